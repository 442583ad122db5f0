"""Any block gives a result: blocks of structured, mutated and random operations, stored for real.

What raises while a block is applied stops every node of the network at once, so nothing may.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.core.errors import RejectCode
from ledger.core.event import Event, sign_event
from ledger.core.execute import execute_block
from ledger.core.genesis import Governors, Participant, ParticipantKey
from ledger.core.limits import LIST_BODY_DEPTH_MAX
from ledger.core.signing import SeedSigner
from ledger.core.trust.bodies import LISTS
from ledger.core.trust.operations import (
    Operation,
    Propose,
    SetGovernors,
    SetParticipant,
    key_possession_message,
    operation_codec,
)
from ledger.io.chain_store import ChainStore
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import (
    ALICE,
    ALICE_DID,
    BOB,
    BOB_DID,
    CHAIN_ID,
    GENESIS,
    START_MS,
    batch,
    block_after,
)

SIGNERS = {
    ALICE_DID: ALICE,
    BOB_DID: BOB,
    **{f"did:x:{'l' * 199}{n}": SeedSigner(bytes([60 + n]) * 32) for n in range(3)},
}
DIDS = tuple(SIGNERS)
KEYS = tuple(signer.public_key for signer in SIGNERS.values())
BAD_KEYS = (bytes(32), bytes([1]) + bytes(31), b"\xff" * 32, b"\x02" + bytes(31))

dids = st.sampled_from(DIDS)
keys = st.sampled_from(KEYS * 3 + BAD_KEYS)
times = st.sampled_from((0, 1, START_MS, START_MS + 5_000, START_MS + 10**6, 2**63 - 1))
topics = st.lists(
    st.sampled_from(
        ("ledger.>", "ledger", "ledger.*", ">", "*.>", "a.b", "ledger.participants", "x" * 64)
    ),
    max_size=64,
).map(tuple)
participants = st.tuples(
    dids,
    st.text(max_size=256),
    st.lists(st.tuples(keys, st.booleans()), max_size=33).map(tuple),
    topics,
)
validators = st.lists(
    st.tuples(
        st.sampled_from(("a", "b", "c", "d" * 63)),
        dids,
        keys,
        keys,
        st.sampled_from(("h:1", "[::1]:2", "h" * 255 + ":99999")),
    ),
    max_size=110,
).map(tuple)
actions = st.one_of(
    st.tuples(st.just(0), participants),
    st.tuples(
        st.just(1),
        st.tuples(st.integers(0, 101), st.lists(dids, max_size=101).map(tuple)),
    ),
    st.tuples(st.just(2), validators),
    st.tuples(st.just(3), st.sampled_from(("speed", "p" * 64, "")), times, times),
    st.tuples(
        st.just(4),
        st.sampled_from(("ledger.>", ">", "*.>", "ledger.lists.*", "a..b", "x" * 256)),
        st.booleans(),
        st.booleans(),
    ),
)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
HOSTILE_BODIES = (
    b"{}",
    b"",
    b'{"a":1e999}',
    b'{"a":"\\ud800"}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b'{"a":1,"a":1}',
    b"a.b.c",
    b'{"a":' + b"[" * (LIST_BODY_DEPTH_MAX + 1) + b"]" * (LIST_BODY_DEPTH_MAX + 1) + b"}",
    b'{"a":' * 6_000,
    b"[" * 30_000,
    b'{"a":-' + b"9" * 30_000 + b"}",
    b'{"a":' + b"9" * 30_000 + b".0}",
)
bodies = st.one_of(
    st.binary(max_size=64),
    _json.map(lambda value: json.dumps({"a": value}).encode()),
    st.sampled_from(HOSTILE_BODIES),
)
kinds = st.sampled_from([(name, kind) for name, of_list in LISTS.items() for kind in of_list])
revisions = st.none() | st.integers(0, 3) | st.just(2**63 - 1)
ids = st.sampled_from(("a", "~" * 400, "!/x", "did:x:y/0"))


@st.composite
def list_changes(draw: st.DrawFn) -> tuple[object, ...]:
    """Give a change of a list, mostly of a kind that it has."""
    name, kind = draw(kinds)
    put = st.tuples(
        st.just(0), ids, st.just(kind), bodies, st.just(0), st.sampled_from((0, 1)), revisions
    )
    revoke = st.tuples(st.just(1), ids, revisions)
    changes = draw(st.lists(put | revoke, min_size=1, max_size=5).map(tuple))
    return (0, name, changes)


operations = st.one_of(
    list_changes(),
    list_changes(),
    st.tuples(st.just(1), participants),
    st.tuples(st.just(2), keys, st.binary(min_size=64, max_size=64)),
    st.tuples(st.just(3), keys),
    st.tuples(st.just(4), actions, times),
    st.tuples(st.just(5), st.integers(0, 40)),  # approve the n-th event so far
)


class Author:
    """Signs what was drawn, for whoever was drawn, and knows the ids of its events."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []

    def entry(self, drawn: tuple[object, ...], nonce: int) -> bytes:
        """Give the signed entry of (publisher, operation, where to damage its bytes)."""
        did, operation, damage = drawn
        assert isinstance(did, str)
        assert isinstance(operation, tuple)
        topic, data = self._encoded(did, operation)
        if isinstance(damage, tuple):
            at, byte = damage
            data = data[: at % (len(data) + 1)] + bytes([byte]) + data[at % (len(data) + 1) + 1 :]
        signer = SIGNERS[did]
        event = Event(
            version=1,
            chain_id=CHAIN_ID,
            topic=topic,
            publisher=did,
            key=signer.public_key,
            nonce=nonce,
            time_ms=START_MS,
            type="t",
            subject="s" * (nonce % 512),
            entity_hash=b"",
            previous_hash=b"",
            location="",
            content_type="",
            data=data[:32_768],
            tags=(),
        )
        signed = sign_event(event, signer)
        self.ids.append(signed.id)
        return signed.entry

    def _encoded(self, did: str, operation: tuple[object, ...]) -> tuple[str, bytes]:
        if operation[0] == 5 and self.ids:
            operation = (5, self.ids[operation[1] % len(self.ids)])  # type: ignore[operator]
        if operation[0] == 2:
            key = operation[1]
            signer = next((s for s in SIGNERS.values() if s.public_key == key), None)
            if signer is not None:
                proof = signer.sign(key_possession_message(CHAIN_ID, did, signer.public_key))
                operation = (2, key, proof)
        data = msgspec.msgpack.encode(operation)
        fixed = {0: None, 1: "ledger.participants", 2: "ledger.identity", 3: "ledger.identity"}
        topic = fixed.get(operation[0], "ledger.governance")  # type: ignore[call-overload]
        return topic or f"ledger.lists.{operation[1]}", data


blocks = st.lists(
    st.lists(
        st.tuples(
            dids,
            operations,
            st.none() | st.none() | st.tuples(st.integers(0, 200), st.integers(0, 255)),
        ),
        min_size=1,
        max_size=8,
    ),
    min_size=1,
    max_size=5,
)


def opening(author: Author) -> list[bytes]:
    """Give what makes the long-named participants governors with every right."""
    people = [
        SetParticipant(
            Participant(
                did,
                "n" * 256,
                (ParticipantKey(SIGNERS[did].public_key, revoked=False),),
                ("ledger.>", *(("x" * 60 + f".{n}") for n in range(60))),
            )
        )
        for did in DIDS
    ]
    every: list[SetParticipant | SetGovernors] = [*people, SetGovernors(Governors(2, DIDS))]
    made: list[bytes] = []
    for number, action in enumerate(every):
        operation: Operation = Propose(action, START_MS + 10**6)
        drawn = msgspec.msgpack.decode(operation_codec.encode(operation), type=tuple)
        made.append(author.entry((ALICE_DID, drawn, None), 1_000 + number))
    return made


def test_hostile_bodies_are_judged_and_nothing_more() -> None:
    """Each of them on each list gets a code or is taken; the block is applied."""
    author = Author()
    entries = [
        author.entry((ALICE_DID, (0, name, ((0, "a", kind, body, 0, 0, None),)), None), number)
        for number, (name, kind, body) in enumerate(
            (name, kind, body)
            for name, of_list in LISTS.items()
            for kind in of_list
            for body in HOSTILE_BODIES
        )
    ]
    ledger = MemoryLedger()
    payload = [batch(entries[at : at + 7], at) for at in range(0, len(entries), 7)]
    for row in payload:
        result = ledger.execute([row])
        assert not {item.code for item in result.refused} - {RejectCode.OPERATION_REFUSED}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(blocks=blocks)
def test_any_block_gives_a_result_that_can_be_stored(
    blocks: list[list[tuple[object, ...]]],
) -> None:
    """Whatever members with every right sign, it is accepted or refused, and the store takes it."""
    author = Author()
    contents = [opening(author)]
    nonce = 0
    for rows in blocks:
        contents.append([])
        for row in rows:
            nonce += 1
            contents[-1].append(author.entry(row, nonce))
    with TemporaryDirectory() as folder, ChainStore.create(Path(folder) / "c", GENESIS) as store:
        for number, entries in enumerate(contents):
            id_, encoded = batch(entries, number)
            with store.write() as writer:
                writer.store_batch(id_, encoded)
                parent = writer.reader.head().block_id
                block_id, block = block_after(writer.root, parent, [id_])
                result = execute_block(writer, block_id, block, lambda _: False)
                assert len(result.accepted) + len(result.refused) == len(entries)
                assert number or not result.refused
                writer.apply(result)
