"""The state view: what genesis put there, decoded, and nothing else."""

import pytest

from ledger.core import state, statemap
from ledger.core.codec import encode
from ledger.core.errors import InvariantError
from ledger.core.genesis import Participant, ParticipantKey
from ledger.core.limits import TOPIC_RIGHTS_REMEMBERED_MAX
from ledger.core.state import (
    GOVERNORS_KEY,
    PENDING_VALIDATORS_KEY,
    VALIDATORS_KEY,
    Rights,
    StateMemory,
    StateView,
    genesis_changes,
    genesis_state,
    participant_key,
)
from ledger.core.topic_rules import RULES_KEY
from tests.ledger.sample_network import ALICE, ALICE_DID, BOB_DID, GENESIS, REVOKED

ROOT, NODES = genesis_state(GENESIS)


def read_node(node_hash: bytes) -> bytes:
    """Read a node of the genesis state."""
    return NODES.get(node_hash, b"")


def test_genesis_puts_participants_validators_and_governors() -> None:
    """The state at height 0 has one key for each participant and one for each list."""
    changes = genesis_changes(GENESIS)
    assert set(changes) == {
        b"participant/did:web:alice.example",
        b"participant/did:web:bob.example",
        b"validators",
        b"governors",
    }
    assert changes[VALIDATORS_KEY] == encode(GENESIS.validators)
    assert changes[GOVERNORS_KEY] == encode(GENESIS.governors)


def test_genesis_state_is_that_of_its_changes() -> None:
    """Root and nodes of genesis are those of its keys and values in an empty map."""
    for key, value in genesis_changes(GENESIS).items():
        assert statemap.get(read_node, ROOT, key) == value
    assert len(list(statemap.items(read_node, ROOT))) == 4


def test_participant_is_found_by_did() -> None:
    """A view decodes the participant that stands under its root."""
    view = StateView(read_node, ROOT)
    assert view.root == ROOT
    assert view.participant(ALICE_DID) == GENESIS.participants[0]
    assert view.participant(BOB_DID) == GENESIS.participants[1]


def test_unknown_participant_is_none() -> None:
    """Who is not in the state has no rights."""
    view = StateView(read_node, ROOT)
    assert view.participant("did:web:nobody.example") is None
    assert view.rights("did:web:nobody.example") is None


def test_participant_is_read_once() -> None:
    """A second question about a participant reads no node, also in another view of the root."""
    reads: list[bytes] = []

    def counting(node_hash: bytes) -> bytes:
        reads.append(node_hash)
        return read_node(node_hash)

    memory = StateMemory()
    StateView(counting, ROOT, memory).rights(ALICE_DID)
    count = len(reads)
    assert count > 0
    StateView(counting, ROOT, memory).rights(ALICE_DID)
    assert len(reads) == count


def test_unknown_participants_are_not_remembered() -> None:
    """Questions about strangers, of which there is no end, take no memory."""
    memory = StateMemory()
    view = StateView(read_node, ROOT, memory)
    for number in range(100):
        view.rights(f"did:web:stranger-{number}.example")
    assert memory.rights == {}


def test_broken_state_is_an_invariant_error() -> None:
    """A participant that cannot be decoded, and a missing node, stop the process."""
    root, nodes = statemap.update(lambda _: b"", bytes(32), {b"participant/did:web:x": b"\xc0"})
    with pytest.raises(InvariantError, match="no participant"):
        StateView(lambda node: nodes.get(node, b""), root).participant("did:web:x")
    with pytest.raises(InvariantError):
        StateView(lambda _: b"", ROOT).participant(ALICE_DID)


def test_rights_know_keys_and_their_revocation() -> None:
    """A registered key is there with its state; any other is not."""
    rights = StateView(read_node, ROOT).rights(ALICE_DID)
    assert rights is not None
    assert rights.revoked == {ALICE.public_key: False, REVOKED.public_key: True}


def test_rights_follow_the_patterns() -> None:
    """A topic is allowed when one pattern names it, the same at the second question."""
    rights = Rights(Participant("did:web:x", "X", (), ("catalog.*.changed", "news")))
    for _ in range(2):
        assert rights.may_publish("catalog.offering.changed")
        assert rights.may_publish("news")
        assert not rights.may_publish("catalog.offering")
        assert not rights.may_publish("news.today")


def test_no_pattern_means_no_topic() -> None:
    """A participant without patterns may publish nowhere."""
    key = ParticipantKey(ALICE.public_key, revoked=False)
    assert not Rights(Participant("did:web:x", "X", (key,), ())).may_publish("news")


def test_reserved_topics_need_a_reserved_pattern() -> None:
    """``>`` and wildcards in front give no power over the lists; keys and proposals are open."""
    wide = Rights(Participant("did:web:x", "X", (), (">", "*.lists.issuers", "*.>")))
    narrow = Rights(Participant("did:web:x", "X", (), ("ledger.lists.issuers",)))
    assert not wide.may_publish("ledger.lists.issuers")
    assert narrow.may_publish("ledger.lists.issuers")
    assert not narrow.may_publish("ledger.lists.schemas")
    for topic in ("ledger.identity", "ledger.governance"):
        assert wide.may_publish(topic)
    assert not wide.may_publish("ledger.participants")


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_memory_of_topics_is_bounded(extra: int) -> None:
    """Whatever number of topics is asked about, the answers are right and the memory bounded."""
    rights = Rights(Participant("did:web:x", "X", (), ("a.>",)))
    for number in range(TOPIC_RIGHTS_REMEMBERED_MAX + extra):
        assert rights.may_publish(f"a.{number}")
        assert len(rights._allowed) <= TOPIC_RIGHTS_REMEMBERED_MAX
    assert rights.may_publish("a.0")
    assert not rights.may_publish("b.0")


def test_memory_of_participants_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more participants are remembered than the limit, and the answers stay right."""
    monkeypatch.setattr(state, "PARTICIPANTS_COUNT_MAX", 1)
    memory = StateMemory()
    view = StateView(read_node, ROOT, memory)
    for did in (ALICE_DID, BOB_DID, ALICE_DID):
        participant = view.participant(did)
        assert participant is not None
        assert participant.did == did
        assert list(memory.rights) == [did]


def test_memory_serves_the_next_root_until_what_it_holds_changes() -> None:
    """A change of what it may hold begins a new memory; any other change does not."""
    memory = StateMemory()
    assert memory.after([b"entity/x", b"topic-rule/a", VALIDATORS_KEY]) is memory
    assert memory.after([b"x", participant_key("did:web:x")]) is not memory
    assert memory.after([RULES_KEY]) is not memory
    assert memory.after([PENDING_VALIDATORS_KEY]) is not memory


def test_validators_that_wait_are_read_once() -> None:
    """Also that none wait is remembered."""
    memory = StateMemory()
    assert StateView(read_node, ROOT, memory).pending_validators() == b""
    assert StateView(lambda _: b"", ROOT, memory).pending_validators() == b""
    root, nodes = statemap.update(lambda _: b"", bytes(32), {PENDING_VALIDATORS_KEY: b"set"})
    memory = StateMemory()
    assert StateView(nodes.__getitem__, root, memory).pending_validators() == b"set"
    assert StateView(lambda _: b"", root, memory).pending_validators() == b"set"


def test_rules_are_read_once_and_broken_ones_stop_the_process() -> None:
    """Also that there is no rule is remembered; what is no list of patterns is an error."""
    memory = StateMemory()
    assert not StateView(read_node, ROOT, memory).topic_rules()
    assert not StateView(lambda _: b"", ROOT, memory).topic_rules()
    for broken in (b"", encode(("a..b",)), encode("a")):
        root, nodes = statemap.update(lambda _: b"", bytes(32), {RULES_KEY: broken})
        with pytest.raises(InvariantError):
            StateView(nodes.__getitem__, root).topic_rules()
