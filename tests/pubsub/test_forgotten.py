"""A gateway whose member has forgotten old events: a clear answer, and every proof."""

import json
from base64 import b64decode

import pytest

from ledger.core.errors import RejectCode
from ledger.core.ids import Epoch, Sequence
from ledger.core.limits import HASH_BYTES
from ledger.core.merkle import leaf_hash
from ledger.core.proof import decode_bundle, verify_bundle, with_entry
from ledger.core.tlog.checkpoint import Checkpoint, StoredCheckpoint
from ledger.core.tlog.policy import policy_of
from ledger.core.tlog.proof import parse_tlog_proof, verify_tlog_proof, with_tlog_entry
from pubsub.core.consumer.config import ConsumerConfig, Start, StartPolicy
from pubsub.core.problems import HttpCode, Refusal
from tests.ledger.pruned_world import prune
from tests.ledger.sample_network import GENESIS, VALIDATORS
from tests.ledger.tlog.cosigned import TIME_S, note_of, signed_lines
from tests.pubsub.gateway_world import World, sample
from tests.pubsub.test_reads import ENTRY, PROOF, numbers

BLOCKS, BLOCK_EVENTS = 12, 10
COUNT = BLOCKS * BLOCK_EVENTS
FIRST = 50


@pytest.fixture
def pruned(world: World) -> World:
    """Give a gateway whose store holds events from FIRST on."""
    for block in range(BLOCKS):
        world.chain.extend([sample(block * BLOCK_EVENTS + n).entry for n in range(BLOCK_EVENTS)])
    world.chain.extend()
    assert prune(world.chain.store, FIRST + BLOCK_EVENTS // 2) == FIRST
    return world


async def forgotten(world: World, target: str) -> None:
    """Hold an answer to what a forgotten event gets."""
    answer = await world.get(target)
    assert answer.status_code == 410, answer.text
    assert answer.headers["cache-control"] == "no-store"
    document = json.loads(answer.content)
    assert document["code"] == "forgotten"
    assert document["first_sequence"] == FIRST
    assert "ask a member that keeps more" in document["detail"]


async def test_forgotten_events_are_gone(pruned: World) -> None:
    """By sequence and by id, and never mistaken for one that never was; what is held is given."""
    for number in (0, FIRST - 1):
        await forgotten(pruned, f"/v1/events/{number}")
        await forgotten(pruned, f"/v1/events/{sample(number).id.hex()}")
    for number in (FIRST, COUNT - 1):
        for name in (str(number), sample(number).id.hex()):
            answer = await pruned.get(f"/v1/events/{name}", ENTRY)
            assert answer.content == sample(number).entry
    for name in (str(COUNT), sample(COUNT).id.hex()):
        assert (await pruned.get(f"/v1/events/{name}")).status_code == 404


async def test_proofs_of_forgotten_events_hold(pruned: World) -> None:
    """The bundle of each lacks the entry alone; with the reader's own it is whole."""
    for number in (0, FIRST - 1):
        for name in (str(number), sample(number).id.hex()):
            answer = await pruned.get(f"/v1/events/{name}/proof", PROOF)
            bundle = decode_bundle(answer.content)
            assert bundle.entry == b""
            whole = with_entry(bundle, sample(number).entry)
            assert verify_bundle(whole, GENESIS).sequence == number
            shown = json.loads(
                (await pruned.get(f"/v1/events/{name}/proof", "application/json")).content
            )
            assert (shown["event"], shown["sequence"]) == (None, number)


async def test_log_goes_on_to_be_proven(pruned: World) -> None:
    """Tiles, checkpoint, tlog-proofs are served; bundles with a forgotten entry are not found."""
    with pruned.chain.store.read() as reader:
        root = reader.stored_head(reader.head_height()).root
    checkpoint = Checkpoint(GENESIS.chain_id, root.log_size, root.log_root)
    rows = list(zip(GENESIS.validators, VALIDATORS, strict=True))
    note = note_of(checkpoint, signed_lines(checkpoint, rows))
    with pruned.chain.store.write() as writer:
        writer.put_checkpoint(StoredCheckpoint(Epoch(0), TIME_S, root.log_size, note))
    assert (await pruned.get("/log/checkpoint")).content == note
    tile = (await pruned.get(f"/log/tile/0/000.p/{COUNT}")).content
    assert tile[:HASH_BYTES] == leaf_hash(sample(0).entry)
    answer = await pruned.get("/v1/events/7/tlog-proof")
    proof = with_tlog_entry(parse_tlog_proof(answer.content), sample(7).entry)
    policy = policy_of(GENESIS.chain_id, GENESIS.validator_set())
    assert verify_tlog_proof(proof, policy).sequence == 7
    answer = await pruned.get(f"/log/tile/entries/000.p/{COUNT}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_reading_begins_where_events_are_held(pruned: World) -> None:
    """Without a position at the first held; an earlier position is gone, never silently less."""
    held = list(range(FIRST, COUNT))
    assert numbers(await pruned.get("/v1/events?limit=1000")) == held
    assert numbers(await pruned.get(f"/v1/events?limit=1000&after={FIRST - 1}")) == held
    for after in (-1, FIRST - 2):
        await forgotten(pruned, f"/v1/events?after={after}")
        await forgotten(pruned, f"/v1/stream?after={after}")
    found = await pruned.get("/v1/events?limit=1000&subject=urn:offering:60")
    assert numbers(found) == [60]
    assert numbers(await pruned.get("/v1/events?limit=1000&subject=urn:offering:6")) == []


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (Start(StartPolicy.FIRST), FIRST),
        (Start(StartPolicy.LAST_PER_SUBJECT), FIRST),
        (Start(StartPolicy.LAST), COUNT - 1),
        (Start(StartPolicy.SEQUENCE, FIRST), FIRST),
        (Start(StartPolicy.SEQUENCE, FIRST - 1), None),
        (Start(StartPolicy.TIME, 0), None),
    ],
)
async def test_consumers_begin_where_events_are_held(
    pruned: World, start: Start, expected: int | None
) -> None:
    """`first` is the first that is held; a place that is forgotten is refused."""
    consumers = pruned.gateway.consumers
    config = ConsumerConfig(name="orders", start=start)
    if expected is None:
        with pytest.raises(Refusal) as refusal:
            await consumers.create(config, "owner", lambda _: True)
        assert refusal.value.code is HttpCode.FORGOTTEN
    else:
        view = await consumers.create(config, "owner", lambda _: True)
        assert view.position == expected


async def test_who_joins_is_sent_to_another_member(pruned: World) -> None:
    """A copy of the log cannot begin here, and the answer says why."""
    answer = await pruned.get(f"/v1/snapshot/log?first=0&size={COUNT}")
    assert answer.status_code == 404
    assert f"below sequence {FIRST}" in answer.json()["detail"]
    assert (await pruned.get("/v1/snapshot")).status_code == 200


async def test_status_and_metrics_show_what_is_held(pruned: World) -> None:
    """An operator sees the first sequence in both."""
    await pruned.node.extend([sample(COUNT).entry])
    chain = (await pruned.get("/v1/status")).json()["chain"]
    assert (chain["first_sequence"], chain["log_size"]) == (FIRST, COUNT + 1)
    metrics = (await pruned.get("/metrics")).text
    assert f"concordat_gateway_first_sequence {float(FIRST)}" in metrics


async def test_stream_goes_on_from_what_is_held(pruned: World) -> None:
    """The window of new events begins no earlier than what is held, and new ones are read."""
    feed = pruned.gateway.feed
    feed._rows.clear()
    feed.end = 0
    with pruned.chain.store.read() as reader:
        assert feed.read(reader, COUNT, COUNT)
    assert feed.start == FIRST
    assert feed.row(Sequence(FIRST)).opened == sample(FIRST)


async def test_waiting_for_the_proof_of_a_forgotten_event(pruned: World) -> None:
    """Said again it is a duplicate whose whole proof is given: the entry is in the request."""
    pruned.node.judge = lambda _: RejectCode.DUPLICATE
    answer = await pruned.post_bulk([sample(7).entry, sample(COUNT - 1).entry], "?wait=proof")
    assert answer.status_code == 200, answer.text
    for receipt, number in zip(answer.json()["receipts"], (7, COUNT - 1), strict=True):
        bundle = decode_bundle(b64decode(receipt["proof"]))
        assert bundle.entry == sample(number).entry
        assert verify_bundle(bundle, GENESIS).sequence == receipt["sequence"] == number
