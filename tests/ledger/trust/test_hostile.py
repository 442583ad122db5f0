"""What members with rights can try against everybody: cost, size, stale and harmful actions."""

import time

import pytest

from ledger.core.codec import Codec, encode
from ledger.core.errors import RejectCode
from ledger.core.genesis import Governors, Participant, ParticipantKey
from ledger.core.limits import PROPOSALS_OPEN_MAX, STATE_VALUE_BYTES_MAX
from ledger.core.state import GOVERNORS_KEY, participant_key
from ledger.core.trust.bodies import body_fault
from ledger.core.trust.governance import proposal_key
from ledger.core.trust.operations import (
    AddKey,
    Approve,
    ChangeList,
    Propose,
    PutEntry,
    RegisterParticipant,
    RevokeKey,
    SetGovernors,
    SetParameter,
    SetParticipant,
    SetValidators,
    key_possession_message,
)
from ledger.core.trust.overlay import StateOverlay
from ledger.core.validators import Validator
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

LATER_MS = NOW_MS + 1_000_000
IDENTITY_POINT = bytes([1]) + bytes(31)


def decided(world: TrustWorld, action: object) -> RejectCode | None:
    """Have two governors carry an action out; give what the last of them was told."""
    refusal = world.do(GOVERNORS[0], Propose(action, LATER_MS))  # type: ignore[arg-type]
    return refusal or world.do(GOVERNORS[1], Approve(world.last_id))


def validator(number: int, **changes: object) -> Validator:
    """Give a validator whose keys are its own."""
    fields = {
        "name": f"node-{number}",
        "did": f"did:elsi:V{number}",
        "key": signer_of(10 + 2 * number).public_key,
        "peer_key": signer_of(11 + 2 * number).public_key,
        "address": "node:7000",
    }
    return Validator(**(fields | changes))  # type: ignore[arg-type] # any field


# --- bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [b"a" * 32_000, b"a@" + b"b" * 32_000, b"a" * 16_000 + b"@" + b"b." * 8_000, b"a@b." * 8_000],
)
def test_no_body_takes_long_to_judge(text: bytes) -> None:
    """The longest texts that begin like e-mail addresses cost milliseconds, not seconds."""
    begin = time.process_time()
    body_fault("schemas", "metadata", b'{"a":"' + text + b'"}')
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("value", [b"1e999", b"-1e999", b'"\\ud800"', b'["\\udfff\\ud800"]'])
def test_what_others_could_not_write_again_is_refused(value: bytes) -> None:
    """Numbers beyond any float and lone surrogates would break whoever serves the list."""
    assert body_fault("schemas", "metadata", b'{"a":' + value + b"}") is not None
    assert body_fault("schemas", "metadata", b'{"\\ud800":1}') is not None
    assert body_fault("schemas", "metadata", b'{"a":"\\ud83d\\ude00",  "b":1e300}') is None


# --- governance -----------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["key", "peer_key"])
@pytest.mark.parametrize("key", [IDENTITY_POINT, b"\x02" + bytes(31)])
def test_validators_with_keys_that_anybody_could_sign_for_are_refused(
    member: str, key: bytes
) -> None:
    """A validator's keys are held to what genesis holds them to."""
    world = TrustWorld()
    good, bad = validator(0), validator(1, **{member: key})
    assert decided(world, SetValidators((good, bad))) is RejectCode.OPERATION_REFUSED
    assert decided(world, SetValidators((good, validator(1)))) is None


def test_governors_without_a_key_do_not_count_towards_the_threshold() -> None:
    """Governance must not pass to so many who cannot sign that the threshold is out of reach."""
    world = TrustWorld()
    mute = "did:elsi:MUTE"
    assert world.do(REGISTRAR, RegisterParticipant(Participant(mute, "m", (), ()))) is None
    assert decided(world, SetGovernors(Governors(2, (GOVERNORS[0], mute)))) is (
        RejectCode.OPERATION_REFUSED
    )
    assert decided(world, SetGovernors(Governors(1, (GOVERNORS[0], mute)))) is None


def test_governors_are_not_silenced_below_their_threshold() -> None:
    """Taking the keys of a governor is refused; with them the threshold would lose a voice."""
    world = TrustWorld()
    silent = Participant(GOVERNORS[2], "g", (), ())
    assert decided(world, SetParticipant(silent)) is RejectCode.OPERATION_REFUSED


def test_a_stale_action_does_not_bring_a_revoked_key_back() -> None:
    """A key revoked while a proposal waits stays revoked, whoever approves afterwards."""
    world = TrustWorld()
    stale = SetParticipant(participant(PLAIN, 5, ("market.>", "news")))
    assert world.do(GOVERNORS[0], Propose(stale, LATER_MS)) is None
    waiting = world.last_id
    fresh = signer_of(9)
    message = key_possession_message(CHAIN, PLAIN, fresh.public_key)
    assert world.do(PLAIN, AddKey(fresh.public_key, fresh.sign(message))) is None
    assert world.do(PLAIN, RevokeKey(signer_of(5).public_key)) is None
    before = world.state.get(participant_key(PLAIN))
    assert world.do(GOVERNORS[1], Approve(waiting)) is RejectCode.CONFLICT
    assert world.state.get(participant_key(PLAIN)) == before


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_a_participant_names_no_key_twice(order: tuple[bool, bool]) -> None:
    """A key that is both revoked and not would mean something else to every reader."""
    keys = tuple(ParticipantKey(signer_of(20).public_key, revoked=item) for item in order)
    with pytest.raises(ValueError, match="listed twice"):
        Participant("did:elsi:TWICE", "t", keys, ())


def test_approvals_of_changing_governors_never_outgrow_the_state() -> None:
    """However many governors come, approve and go, a proposal stays a value that can be stored."""
    world = TrustWorld()
    others = [f"did:elsi:{number:0>190}" for number in range(100)]
    for did in others:
        world.base[participant_key(did)] = encode(participant(did, 30))
    big = Participant(
        "did:elsi:BIG", "b" * 256, (), tuple(f"{n:0>64}." * 3 + "a" for n in range(64))
    )
    assert world.do(GOVERNORS[0], Propose(SetParticipant(big), LATER_MS)) is None
    waiting = world.last_id
    generation = 0
    for generation in range(6):
        names = tuple(f"{did[:-3]}{generation}{did[-2:]}" for did in others[:99])
        for did in names:
            world.base[participant_key(did)] = encode(participant(did, 30))
        world.state.put(GOVERNORS_KEY, encode(Governors(100, (GOVERNORS[0], *names))))
        for did in names[:98]:
            world.do(did, Approve(waiting))
            assert len(world.state.get(proposal_key(waiting)) or b"") <= STATE_VALUE_BYTES_MAX
    assert generation


def test_a_governor_beyond_its_open_proposals_costs_no_more_than_others() -> None:
    """Refusing one proposal too many does not read those that are open."""
    world = TrustWorld()
    action = SetParticipant(participant("did:elsi:NEW", 8, ["a.b"] * 64))
    for _ in range(PROPOSALS_OPEN_MAX):
        assert world.do(GOVERNORS[0], Propose(action, LATER_MS)) is None
    reads: list[bytes] = []

    def read(key: bytes) -> bytes | None:
        reads.append(key)
        return before.get(key)

    before = world.base | world.state.changes
    world.state = StateOverlay(read)
    assert world.do(GOVERNORS[0], Propose(action, LATER_MS)) is RejectCode.OVERLOADED
    assert len(reads) < 10


def test_a_proposal_that_was_carried_out_is_no_longer_open() -> None:
    """Its place is free for the next one."""
    world = TrustWorld()
    for number in range(PROPOSALS_OPEN_MAX + 3):
        assert decided(world, SetParameter("p", number, 1)) is None


def test_a_list_takes_the_longest_of_everything() -> None:
    """The longest id, the longest list of changes and the longest body fit the state."""
    world = TrustWorld()
    put = PutEntry("x" * 400, "accreditation", b"a.b." + b"c" * 32_000, 0, 0, None)
    assert world.do(WRITER, ChangeList("issuers", (put,))) is None
    codec = Codec(Participant)
    assert codec.decode(world.state.get(participant_key(PLAIN)) or b"").did == PLAIN


def test_what_operations_ask_for_again_and_again_is_read_once() -> None:
    """Proposals that name many governors cost a path through the map once a block, not each."""
    world = TrustWorld()
    reads: list[bytes] = []

    def read(key: bytes) -> bytes | None:
        reads.append(key)
        return world.base.get(key)

    world.state = StateOverlay(read)
    beyond = SetGovernors(Governors(4, GOVERNORS))
    for _ in range(3):
        assert world.do(GOVERNORS[0], Propose(beyond, LATER_MS)) is RejectCode.OPERATION_REFUSED
    assert sorted(reads) == sorted({GOVERNORS_KEY, *map(participant_key, GOVERNORS)})
