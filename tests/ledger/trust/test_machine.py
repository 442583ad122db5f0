"""The state machine of the trust framework: what each operation does, and what it refuses."""

import hashlib

import pytest

from ledger.core.codec import Codec
from ledger.core.errors import RejectCode
from ledger.core.genesis import Governors, Participant, ParticipantKey
from ledger.core.ids import PublicKey
from ledger.core.state import GOVERNORS_KEY, participant_key
from ledger.core.trust.lists import EntryStatus, entry_codec, revision_key
from ledger.core.trust.operations import (
    AddKey,
    Approve,
    ChangeList,
    Propose,
    PutEntry,
    RegisterParticipant,
    RevokeEntry,
    RevokeKey,
    SetGovernors,
    SetParameter,
    SetParticipant,
    key_possession_message,
    operation_codec,
)
from tests.ledger.trust.world import (
    CHAIN,
    GOVERNORS,
    NOW_MS,
    PLAIN,
    REGISTRAR,
    WRITER,
    TrustWorld,
    participant,
    signer_of,
)

ISSUER = "did:elsi:VATES-12345678"
CREDENTIAL = b'{"credentialsType":"LEARCredential"}'


def put(
    id_: str, body: bytes = b"", *, kind: str = "issuer", expected: int | None = None
) -> PutEntry:
    """Make a change without limits of time."""
    return PutEntry(id_, kind, body, 0, 0, expected)


def stored(world: TrustWorld, did: str) -> Participant | None:
    """Give a participant as the state holds it."""
    encoded = world.state.get(participant_key(did))
    return None if encoded is None else Codec(Participant).decode(encoded)


# --- lists ----------------------------------------------------------------------------------


def test_an_entry_gets_revisions_and_keeps_its_history() -> None:
    """A second writing is revision 2, with the digest of its own body; the first stays readable."""
    world = TrustWorld()
    first = put(ISSUER + "/a", CREDENTIAL, kind="credential")
    assert world.do(WRITER, ChangeList("issuers", (first,))) is None
    again = put(ISSUER + "/a", b'{"credentialsType":"Other"}', kind="credential", expected=1)
    assert world.do(WRITER, ChangeList("issuers", (again,)), now_ms=NOW_MS + 5) is None
    entry = world.entry("issuers", ISSUER + "/a")
    assert entry is not None
    assert (entry.revision, entry.changed_ms, entry.writer) == (2, NOW_MS + 5, WRITER)
    assert entry.body_hash == hashlib.sha256(again.body).digest()
    old = world.state.get(revision_key("issuers", ISSUER + "/a", 1))
    assert old is not None
    assert entry_codec.decode(old).body == CREDENTIAL


def test_a_stale_writer_is_told_of_the_conflict() -> None:
    """An expected revision that is not the newest refuses the change."""
    world = TrustWorld()
    assert world.do(WRITER, ChangeList("issuers", (put(ISSUER, expected=0),))) is None
    refused = world.do(WRITER, ChangeList("issuers", (put(ISSUER, expected=0),)))
    assert refused is RejectCode.CONFLICT


def test_a_revoked_entry_stands_no_more_and_may_come_back() -> None:
    """Revoking keeps the body and ends its validity; revoking twice finds nothing to revoke."""
    world = TrustWorld()
    world.do(WRITER, ChangeList("issuers", (put(ISSUER),)))
    revoke = ChangeList("issuers", (RevokeEntry(ISSUER, None),))
    assert world.do(WRITER, revoke) is None
    entry = world.entry("issuers", ISSUER)
    assert entry is not None
    assert entry.status is EntryStatus.REVOKED
    assert not entry.is_valid_at(NOW_MS)
    assert world.do(WRITER, revoke) is RejectCode.NO_SUCH_ENTRY
    assert world.do(WRITER, ChangeList("issuers", (put(ISSUER),))) is None
    back = world.entry("issuers", ISSUER)
    assert back is not None
    assert (back.revision, back.is_valid_at(NOW_MS)) == (3, True)


def test_a_change_of_several_entries_happens_whole_or_not_at_all() -> None:
    """One bad change among good ones refuses all of them and leaves no trace."""
    world = TrustWorld()
    changes = (put(ISSUER), put(ISSUER + "/a", b"{}", kind="credential"))
    assert world.do(WRITER, ChangeList("issuers", changes)) is RejectCode.OPERATION_REFUSED
    assert world.state.changes == {}


def test_validity_must_end_after_it_begins() -> None:
    """An interval that is empty or backwards is refused; its bounds are exact."""
    world = TrustWorld()
    backwards = PutEntry(ISSUER, "issuer", b"", 10, 10, None)
    assert world.do(WRITER, ChangeList("issuers", (backwards,))) is RejectCode.OPERATION_REFUSED
    bounded = PutEntry(ISSUER, "issuer", b"", 10, 20, None)
    assert world.do(WRITER, ChangeList("issuers", (bounded,))) is None
    entry = world.entry("issuers", ISSUER)
    assert entry is not None
    assert [entry.is_valid_at(t) for t in (9, 10, 19, 20)] == [False, True, True, False]


@pytest.mark.parametrize(
    "body",
    [
        b'{"credentialsType":"A","email":"x"}',
        b'{"credentialsType":"ann@example.org"}',
        b'{"credentialsType":"A","claims":[{"first_name":"Ann"}]}',
        b'{"claims":[]}',
        b'{"credentialsType":"A","other":1}',
        b'{"credentialsType":"A","credentialsType":"B"}',
        b"[]",
        b"nonsense",
        b'{"credentialsType":NaN}',
        b'{"credentialsType":"\xff"}',
        b'{"credentialsType":' + b"[" * 40 + b"]" * 40 + b"}",
        b"{" * 100_00,
    ],
)
def test_bodies_that_are_wrong_or_could_hold_personal_data_are_refused(body: bytes) -> None:
    """Nothing but a known, flat enough object without personal data gets on the list."""
    world = TrustWorld()
    change = put(ISSUER, body, kind="credential")
    assert world.do(WRITER, ChangeList("issuers", (change,))) is RejectCode.OPERATION_REFUSED
    assert world.state.changes == {}


def test_brackets_inside_strings_do_not_nest() -> None:
    """The depth of a body counts structure, not text."""
    world = TrustWorld()
    body = b'{"credentialsType":"' + b"[" * 99 + b'\\"' + b"{" * 99 + b'"}'
    change = put(ISSUER, body, kind="credential")
    assert world.do(WRITER, ChangeList("issuers", (change,))) is None


def test_unknown_lists_and_kinds_are_refused() -> None:
    """A list has the kinds that the protocol names, and there are no others."""
    world = TrustWorld()
    for name, kind in (("nothing", "issuer"), ("issuers", "service")):
        refused = world.do(WRITER, ChangeList(name, (put("a", kind=kind),)))
        assert refused is RejectCode.OPERATION_REFUSED


def test_an_operation_belongs_to_one_topic() -> None:
    """On another topic it is no operation, whoever may write there."""
    world = TrustWorld()
    change = ChangeList("issuers", (put(ISSUER),))
    for topic in ("ledger.lists.schemas", "ledger.identity", "ledger.governance"):
        assert world.do(WRITER, change, topic=topic) is RejectCode.OPERATION_MALFORMED
    assert world.do_raw(WRITER, "ledger.lists.issuers", b"") is RejectCode.OPERATION_MALFORMED
    long_form = operation_codec.encode(change).replace(b"\x00", b"\xcc\x00", 1)
    refused = world.do_raw(WRITER, "ledger.lists.issuers", long_form)
    assert refused is RejectCode.OPERATION_MALFORMED


# --- participants and keys ------------------------------------------------------------------


def test_a_registrar_registers_but_grants_no_reserved_right() -> None:
    """New participants with plain topics are taken, reserved topics and governors are not."""
    world = TrustWorld()
    new = participant("did:elsi:NEW", 9)
    assert world.do(REGISTRAR, RegisterParticipant(new)) is None
    assert stored(world, new.did) == new
    for bad in (
        participant("did:elsi:NEW2", 9, ("ledger.lists.issuers",)),
        participant("did:elsi:NEW2", 9, ("ledger.>",)),
        participant(GOVERNORS[0], 0),
        participant(WRITER, 4),
        participant(PLAIN, 8),
    ):
        assert world.do(REGISTRAR, RegisterParticipant(bad)) is RejectCode.OPERATION_REFUSED
    renamed = participant(PLAIN, 5, ("other.>",))
    assert world.do(REGISTRAR, RegisterParticipant(renamed)) is None


def test_a_participant_rotates_its_keys_with_overlap() -> None:
    """A key is added with its holder's consent, the old one revoked; the last one never."""
    world = TrustWorld()
    fresh, old = signer_of(7), signer_of(5)
    proof = fresh.sign(key_possession_message(CHAIN, PLAIN, fresh.public_key))
    assert world.do(PLAIN, RevokeKey(old.public_key)) is RejectCode.OPERATION_REFUSED
    assert world.do(PLAIN, AddKey(fresh.public_key, proof)) is None
    assert world.do(PLAIN, RevokeKey(old.public_key)) is None
    now = stored(world, PLAIN)
    assert now is not None
    expected = (ParticipantKey(old.public_key, True), ParticipantKey(fresh.public_key, False))
    assert now.keys == expected
    again = old.sign(key_possession_message(CHAIN, PLAIN, old.public_key))
    assert world.do(PLAIN, AddKey(old.public_key, again)) is RejectCode.CONFLICT
    assert world.do(PLAIN, RevokeKey(bytes(32))) is RejectCode.NO_SUCH_ENTRY


@pytest.mark.parametrize("what", ["did", "chain", "key", "small order"])
def test_a_key_without_its_holders_consent_is_refused(what: str) -> None:
    """The proof is bound to the key, the participant and the network."""
    world = TrustWorld()
    fresh = signer_of(7)
    key = PublicKey(bytes(32)) if what == "small order" else fresh.public_key
    did = WRITER if what == "did" else PLAIN
    chain = "other-chain" if what == "chain" else CHAIN
    signer = signer_of(8) if what == "key" else fresh
    proof = signer.sign(key_possession_message(chain, did, key))
    assert world.do(PLAIN, AddKey(key, proof)) is RejectCode.OPERATION_REFUSED


# --- governance -----------------------------------------------------------------------------

GRANT = SetParticipant(participant(PLAIN, 5, ("market.>", "ledger.lists.schemas")))
EXPIRES_MS = NOW_MS + 1_000


def test_two_of_three_governors_carry_an_action_out() -> None:
    """One approval is not enough, the second carries it out, a third comes too late."""
    world = TrustWorld()
    assert world.do(GOVERNORS[0], Propose(GRANT, EXPIRES_MS)) is None
    id_ = world.last_id
    assert stored(world, PLAIN) != GRANT.participant
    assert world.do(GOVERNORS[0], Approve(id_)) is RejectCode.DUPLICATE
    assert world.do(GOVERNORS[1], Approve(id_), now_ms=NOW_MS + 1) is None
    assert stored(world, PLAIN) == GRANT.participant
    done = world.proposal(id_)
    assert done is not None
    assert (done.approvals, done.executed_ms) == (GOVERNORS[:2], NOW_MS + 1)
    assert world.do(GOVERNORS[2], Approve(id_)) is RejectCode.CONFLICT


def test_an_expired_proposal_cannot_be_approved() -> None:
    """At its expiry a proposal is over."""
    world = TrustWorld()
    world.do(GOVERNORS[0], Propose(GRANT, EXPIRES_MS))
    refused = world.do(GOVERNORS[1], Approve(world.last_id), now_ms=EXPIRES_MS)
    assert refused is RejectCode.CONFLICT


def test_only_governors_propose_and_approve() -> None:
    """Anybody else is refused, whatever rights they have, and an unknown proposal is not found."""
    world = TrustWorld()
    for did in (PLAIN, WRITER, REGISTRAR):
        assert world.do(did, Propose(GRANT, EXPIRES_MS)) is RejectCode.TOPIC_FORBIDDEN
        assert world.do(did, Approve(bytes(32))) is RejectCode.TOPIC_FORBIDDEN
    assert world.do(GOVERNORS[0], Approve(bytes(32))) is RejectCode.NO_SUCH_ENTRY


def test_approvals_of_former_governors_do_not_count() -> None:
    """Whoever governs no more has no say in what is carried out afterwards."""
    world = TrustWorld()
    world.do(GOVERNORS[0], Propose(GRANT, EXPIRES_MS))
    grant = world.last_id
    world.do(GOVERNORS[1], Propose(SetGovernors(Governors(2, GOVERNORS[1:])), EXPIRES_MS))
    assert world.do(GOVERNORS[2], Approve(world.last_id)) is None
    assert world.do(GOVERNORS[1], Approve(grant)) is None
    assert stored(world, PLAIN) != GRANT.participant
    assert world.do(GOVERNORS[2], Approve(grant)) is None
    assert stored(world, PLAIN) == GRANT.participant


@pytest.mark.parametrize(
    "action",
    [
        SetGovernors(Governors(1, ("did:elsi:UNKNOWN",))),
        SetGovernors(Governors(3, (GOVERNORS[0], GOVERNORS[0], GOVERNORS[1]))),
    ],
)
def test_governors_who_could_never_act_are_refused(action: SetGovernors) -> None:
    """Unknown governors, or a threshold that cannot be reached, would end all governance."""
    world = TrustWorld()
    refused = world.do(GOVERNORS[0], Propose(action, EXPIRES_MS))
    assert refused is RejectCode.OPERATION_REFUSED
    assert world.state.get(GOVERNORS_KEY) == world.base[GOVERNORS_KEY]


def test_a_proposal_lives_for_a_bounded_time() -> None:
    """It may not be over already, nor live for ever."""
    world = TrustWorld()
    for expires_ms in (NOW_MS, NOW_MS + 10**12):
        refused = world.do(GOVERNORS[0], Propose(GRANT, expires_ms))
        assert refused is RejectCode.OPERATION_REFUSED


def test_a_governor_has_a_bounded_number_of_open_proposals() -> None:
    """Beyond the limit a proposal waits for others to be done or to expire."""
    world = TrustWorld()
    for number in range(256):
        propose = Propose(SetParameter("speed", number, 0), EXPIRES_MS)
        assert world.do(GOVERNORS[0], propose) is None
    more = Propose(SetParameter("speed", 1, 0), EXPIRES_MS + 9_999)
    assert world.do(GOVERNORS[0], more) is RejectCode.OVERLOADED
    assert world.do(GOVERNORS[1], more) is None
    assert world.do(GOVERNORS[0], more, now_ms=EXPIRES_MS) is None
