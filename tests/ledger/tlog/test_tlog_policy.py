"""Checkpoints against policies: a quorum and nothing less, for two verifiers that share no code."""

import pytest

from ledger.core.certificate import Domain, Vote
from ledger.core.errors import DecodeError
from ledger.core.ids import Epoch, PublicKey, Round
from ledger.core.limits import POLICY_BYTES_MAX, POLICY_NAMES_MAX
from ledger.core.signing import signable, verify_many
from ledger.core.tlog.checkpoint import (
    Checkpoint,
    CheckpointSignatures,
    cosigner_key,
    holds,
    parse_checkpoint_text,
    sign_checkpoint,
)
from ledger.core.tlog.note import NoteSignature, SignatureType, VerifierKey
from ledger.core.tlog.policy import check_checkpoint, parse_policy, policy_of, write_policy
from tests.ledger.tlog.cosigned import (
    TIME_S,
    Verdict,
    checkpoint_of,
    members_of,
    note_of,
    other,
    production,
    signed_lines,
)
from tests.support.memory_chain import MemoryChain, make_entry, signer_of

VERIFIERS = pytest.mark.parametrize("verdict", [production, other])
CHAIN = MemoryChain(4)
CHAIN.grow([make_entry(CHAIN.genesis.chain_id, number) for number in range(5)])
CHECKPOINT = checkpoint_of(CHAIN, 5)
POLICY = write_policy(policy_of(CHAIN.genesis.chain_id, CHAIN.genesis.validator_set()), "a comment")
LINES = signed_lines(CHECKPOINT, members_of(CHAIN, 3))


@VERIFIERS
@pytest.mark.parametrize("validators_count", [1, 4, 7, 16])
def test_a_quorum_and_nothing_less(validators_count: int, verdict: Verdict) -> None:
    """A quorum of cosignatures is accepted, one less is not, all are."""
    chain = MemoryChain(validators_count)
    chain.grow([make_entry(chain.genesis.chain_id, 1)])
    checkpoint, members = checkpoint_of(chain, 1), chain.genesis.validator_set()
    policy = write_policy(policy_of(chain.genesis.chain_id, members))
    for count in (members.quorum - 1, members.quorum, validators_count):
        lines = signed_lines(checkpoint, members_of(chain, count))
        lines = lines or signed_lines(checkpoint, members_of(chain, 1))[:1]  # the log alone
        assert verdict(note_of(checkpoint, lines), policy) is (count >= members.quorum)


def test_what_is_shown() -> None:
    """The verdict says which log, how long, and when each witness signed."""
    shown = check_checkpoint(note_of(CHECKPOINT, LINES), parse_policy(POLICY))
    assert shown.checkpoint == CHECKPOINT
    assert shown.times_s == {f"{CHECKPOINT.origin}/v{number}": TIME_S for number in range(3)}


@VERIFIERS
def test_every_changed_bit_is_refused(verdict: Verdict) -> None:
    """A checkpoint with exactly a quorum is refused with any one of its bits changed."""
    data = note_of(CHECKPOINT, LINES)
    assert verdict(data, POLICY)
    survivors = []
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        if verdict(bytes(changed), POLICY):
            survivors.append(place)
    assert not survivors


@VERIFIERS
def test_unknown_keys_are_ignored(verdict: Verdict) -> None:
    """Lines of strangers change nothing, also with a known name or a known id."""
    known = LINES[-1]
    strangers = [
        NoteSignature("stranger.example", b"abcd", b"anything"),
        NoteSignature(known.name, b"abcd", bytes(72)),
        NoteSignature("stranger.example", known.key_id, bytes(72)),
    ]
    assert verdict(note_of(CHECKPOINT, [*strangers, *LINES]), POLICY)
    assert not verdict(note_of(CHECKPOINT, [*strangers, *LINES[:-1]]), POLICY)


@VERIFIERS
def test_a_wrong_signature_of_a_known_key_is_refused(verdict: Verdict) -> None:
    """A forged line of a known key refuses the note, although a quorum signed it."""
    validator = CHAIN.genesis.validators[3]
    forged = signed_lines(CHECKPOINT, [(validator, signer_of(77))])
    for line in forged:
        assert not verdict(note_of(CHECKPOINT, [*LINES, line]), POLICY)
    honest = signed_lines(CHECKPOINT, [(validator, signer_of(3))])
    assert verdict(note_of(CHECKPOINT, [*LINES, *honest]), POLICY)


@VERIFIERS
def test_one_validator_counts_once(verdict: Verdict) -> None:
    """Repeating lines makes no quorum."""
    two = signed_lines(CHECKPOINT, members_of(CHAIN, 2))
    assert not verdict(note_of(CHECKPOINT, [*two, *two, *two]), POLICY)


@VERIFIERS
def test_the_log_itself_must_have_signed(verdict: Verdict) -> None:
    """A quorum of cosignatures without any signature of the log is refused."""
    assert not verdict(note_of(CHECKPOINT, LINES[1:]), POLICY)


@VERIFIERS
def test_a_log_signs_for_its_own_origin(verdict: Verdict) -> None:
    """The signature of a log of the policy that is named otherwise is not this log's."""
    own = VerifierKey(CHECKPOINT.origin, SignatureType.ED25519, signer_of(0).public_key)
    other_log = own._replace(name="other")
    assert own.text.encode() in POLICY
    policy = POLICY.replace(own.text.encode(), other_log.text.encode())
    line = LINES[0]._replace(name=other_log.name, key_id=other_log.id)
    assert not verdict(note_of(CHECKPOINT, [line, *LINES[1:]]), policy)


@VERIFIERS
def test_signatures_are_of_this_checkpoint(verdict: Verdict) -> None:
    """Signatures of another size, root, origin or time do not serve."""
    for changed in (
        CHECKPOINT._replace(size=6),
        CHECKPOINT._replace(root=bytes(32)),
        CHECKPOINT._replace(origin="other"),
    ):
        assert not verdict(note_of(changed, LINES), POLICY)
        assert not verdict(note_of(CHECKPOINT, signed_lines(changed, members_of(CHAIN, 3))), POLICY)


@VERIFIERS
@pytest.mark.parametrize(("time_s", "accepted"), [(0, True), (2**63 - 1, True), (2**63, False)])
def test_times(time_s: int, accepted: bool, verdict: Verdict) -> None:
    """A cosignature's time is a number of 63 bits."""
    lines = signed_lines(CHECKPOINT, members_of(CHAIN, 3), time_s=time_s)
    assert verdict(note_of(CHECKPOINT, lines), POLICY) is accepted


@VERIFIERS
@pytest.mark.parametrize("cut", [-1, 1, 9, 63, 70])
def test_signatures_of_other_lengths(cut: int, verdict: Verdict) -> None:
    """A signature line of a known key that is too short or too long refuses the note."""
    for number, line in enumerate(LINES):
        signature = line.signature[:-cut] if cut > 0 else line.signature + b"x"
        lines = [*LINES]
        lines[number] = line._replace(signature=signature or b"x")
        assert not verdict(note_of(CHECKPOINT, lines), POLICY)


@VERIFIERS
def test_another_networks_policy(verdict: Verdict) -> None:
    """The same validators under another chain id are another log."""
    policy = write_policy(policy_of("test-0011223344556677", CHAIN.genesis.validator_set()))
    assert not verdict(note_of(CHECKPOINT, LINES), policy)


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n",
        "a\n1\nAA==\n",
        f"\n1\n{'A' * 43}=\n",
        f"a\n01\n{'A' * 43}=\n",
        f"a\n+1\n{'A' * 43}=\n",
        f"a\n{2**63}\n{'A' * 43}=\n",
        f"a\n1\n{'A' * 43}=",
        f"a\n1\n{'A' * 43}=\nextension\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    """A text that is no checkpoint of this log is refused."""
    with pytest.raises(DecodeError):
        parse_checkpoint_text(text)


def test_checkpoint_texts() -> None:
    """A checkpoint's text is read as it was written, also of an empty log and the longest one."""
    for size in (0, 1, 2**63 - 1):
        checkpoint = Checkpoint("a/b", size, bytes(32))
        assert parse_checkpoint_text(checkpoint.text) == checkpoint


# --- keys that serve for more than checkpoints ----------------------------------------------


def test_signed_texts_are_no_statements_of_consensus() -> None:
    """No text of a checkpoint begins as what is signed for consensus does, and vice versa."""
    signed: list[bytes] = []

    class _Recorder:
        public_key = signer_of(0).public_key

        def sign(self, message: bytes) -> bytes:
            signed.append(message)
            return bytes(64)

    for name in ("test", "concordat", "cosignature", "concordat-v1"):
        origin = f"{name}-0011223344556677"
        sign_checkpoint(_Recorder(), Checkpoint(origin, 5, bytes(32)), TIME_S)
    ours = signable("", b"")
    assert ours == b"concordat/v1/\0"
    prefix = ours.removesuffix(b"\0")
    assert len(signed) == 8
    assert len(set(signed)) == 8
    for message in signed:
        assert not message.startswith(prefix)
        assert not prefix.startswith(message)


def test_votes_are_no_cosignatures() -> None:
    """A vote's signature does not hold for a checkpoint, nor a checkpoint's for a vote."""
    genesis = CHAIN.genesis
    domain = Domain(genesis.hash, Epoch(0), genesis.validator_set())
    vote = Vote.make(domain, Round(1), genesis.block_id, None, signer_of(0))
    key, message, _ = vote.check(domain)
    signed = sign_checkpoint(signer_of(0), CHECKPOINT, TIME_S)
    assert verify_many([(key, message, signature) for signature in signed]) == [False, False]
    crossed = CheckpointSignatures(vote.signature, vote.signature)
    assert not holds(CHECKPOINT, TIME_S, key, crossed)
    assert holds(CHECKPOINT, TIME_S, key, signed)
    assert not holds(CHECKPOINT, TIME_S + 1, key, signed)
    assert not holds(CHECKPOINT, TIME_S, key, signed._replace(as_log=signed.as_cosigner))


def test_only_what_every_verifier_accepts_holds() -> None:
    """A signature that ZIP-215 accepts and strict verifiers refuse does not hold."""
    identity = b"\x01" + bytes(31)  # a point of small order, as key and in the signature
    lax = CheckpointSignatures(identity + bytes(32), identity + bytes(32))
    text = CHECKPOINT.text.encode()
    assert verify_many([(PublicKey(identity), text, lax.as_log)]) == [True]
    assert not holds(CHECKPOINT, TIME_S, identity, lax)


# --- policies -------------------------------------------------------------------------------

KEYS = [
    VerifierKey(f"w{number}", SignatureType.COSIGNATURE, signer_of(number).public_key)
    for number in range(4)
]
WITNESSES = "".join(f"witness {key.name} {key.text}\n" for key in KEYS)


def test_policies_are_read_as_written() -> None:
    """Reading a written policy gives the policy; so does the other verifier's reading."""
    assert parse_policy(POLICY) == policy_of(CHECKPOINT.origin, CHAIN.genesis.validator_set())
    assert POLICY.startswith(b"# a comment\nlog ")


@VERIFIERS
@pytest.mark.parametrize(
    ("rule", "signers", "accepted"),
    [
        ("quorum none", 1, True),
        ("quorum w0", 1, True),
        ("quorum w1", 1, False),
        ("group g any w0 w1\nquorum g", 1, True),
        ("group g all w0 w1\nquorum g", 1, False),
        ("group g all w0 w1\nquorum g", 2, True),
        ("group g 2 w0 w1 w2\n\tgroup h any w3\n group i all g h\nquorum i", 3, False),
        ("group g 2 w0 w1 w2\ngroup h any w3\ngroup i all g h\nquorum i", 4, True),
    ],
)
def test_groups(rule: str, signers: int, accepted: bool, verdict: Verdict) -> None:
    """Groups of groups are met as the specification says."""
    origin = CHECKPOINT.origin
    members = members_of(CHAIN, 4)
    names = {f"w{n}": cosigner_key(origin, member).text for n, (member, _) in enumerate(members)}
    lines = [f"witness {name} {text}" for name, text in names.items()]
    policy = "\n".join([*lines, rule, ""]).encode()
    note = note_of(CHECKPOINT, signed_lines(CHECKPOINT, members[:signers]))
    assert verdict(note, policy) is accepted


@pytest.mark.parametrize(
    "text",
    [
        "",
        WITNESSES,
        WITNESSES + "quorum w9\n",
        WITNESSES + "quorum w0\nquorum w0\n",
        WITNESSES + "quorum w0 w1\n",
        WITNESSES + "group g 0 w0\nquorum g\n",
        WITNESSES + "group g 3 w0 w1\nquorum g\n",
        WITNESSES + "group g -1 w0 w1\nquorum g\n",
        WITNESSES + "group g \u0661 w0 w1\nquorum g\n",
        WITNESSES + "group g 99999999999 w0 w1\nquorum g\n",
        WITNESSES + "group g some w0 w1\nquorum g\n",
        WITNESSES + "group g any w0 w0\nquorum g\n",
        WITNESSES + "group g any w0\ngroup h any w0\nquorum h\n",
        WITNESSES + "group g any none\nquorum g\n",
        WITNESSES + "group none any w0\nquorum none\n",
        WITNESSES + "group w0 any w1\nquorum w0\n",
        WITNESSES + "group g any h\ngroup h any w0\nquorum g\n",
        WITNESSES + WITNESSES.splitlines()[0].replace("witness w0", "witness w9") + "\nquorum w0\n",
        WITNESSES + f"log {KEYS[0].text}\nlog {KEYS[0].text}\nquorum w0\n",
        WITNESSES + "nonsense w0\nquorum w0\n",
        WITNESSES.replace(KEYS[0].text, KEYS[0]._replace(type=SignatureType.ED25519).text)
        + "quorum w0\n",
        WITNESSES + "quorum w0\r\n",
        WITNESSES + "quorum w0\x7f\n",
    ],
)
def test_what_is_no_policy(text: str) -> None:
    """What the specification does not allow is refused."""
    with pytest.raises(DecodeError):
        parse_policy(text.encode())


@pytest.mark.parametrize("more", [0, 1])
def test_number_of_names(more: int) -> None:
    """A policy has at most so many witnesses and groups."""
    count = POLICY_NAMES_MAX - len(KEYS) + more
    groups = "".join(f"group g{n} 1 {f'g{n - 1}' if n else 'w0'}\n" for n in range(count))
    text = f"{WITNESSES}{groups}quorum g{count - 1}\n".encode()
    if more:
        with pytest.raises(DecodeError):
            parse_policy(text)
    else:
        assert parse_policy(text).quorum == f"g{count - 1}"


@pytest.mark.parametrize("more", [0, 1])
def test_size_of_a_policy(more: int) -> None:
    """A policy has at most so many bytes."""
    end = "\nquorum w0\n"
    text = WITNESSES + "#" * (POLICY_BYTES_MAX + more - len(WITNESSES) - len(end)) + end
    if more:
        with pytest.raises(DecodeError):
            parse_policy(text.encode())
    else:
        assert parse_policy(text.encode()).quorum == "w0"


def test_not_utf8() -> None:
    """Bytes that are not UTF-8 are refused."""
    with pytest.raises(DecodeError):
        parse_policy(WITNESSES.encode() + b"# \xff\nquorum w0\n")
