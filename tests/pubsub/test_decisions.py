"""What became of many events at once: the same as of each alone, with few questions."""

from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

from ledger.core.event import entry_id, event_key
from ledger.core.ids import Height
from ledger.io.chain_reader import ChainReader
from pubsub.core.entries import Entries, name_entries
from pubsub.io.decisions import find_decisions, find_run
from tests.ledger.sample_network import entry
from tests.pubsub.gateway_world import Chain, World, sample


def test_entries_have_their_names() -> None:
    """Ids and times of entries stand in their order, also beside what is no entry."""
    events = [sample(0), sample(1)]
    named = name_entries(Entries.of(events[0].entry, b"junk", b"", events[1].entry))
    assert named.ids == [events[0].id, entry_id(b"junk"), entry_id(b""), events[1].id]
    times_ms = [each.event.time_ms for each in events]
    assert named.times_ms == [times_ms[0], 0, 0, times_ms[1]]
    assert named.keys == list(map(event_key, named.times_ms, named.ids))
    assert named.at([3, 0]).keys == [named.keys[3], named.keys[0]]
    assert named.at([3, 0]).ids == [events[1].id, events[0].id]
    assert named.at([3, 0]).times_ms == [times_ms[1], times_ms[0]]


@pytest.mark.parametrize("sizes", [(1,), (3, 1, 4, 2), (40,), (1, 1, 1, 1, 1)])
def test_decisions_are_those_of_each_event(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """Over any blocks, and in any order, each event has its own receipt."""
    chain = Chain(tmp_path / "chain")
    events = [sample(nonce) for nonce in range(sum(sizes))]
    rest = [each.entry for each in events]
    for size in sizes:
        chain.extend(rest[:size])
        chain.extend([entry(size, topic="forbidden.topic")])
        del rest[:size]
    asked = [*(each.entry for each in reversed(events)), sample(999).entry]
    asked += [entry(size, topic="forbidden.topic") for size in set(sizes)]
    with chain.store.read() as reader:
        found = find_decisions(reader, name_entries(Entries.of(*asked)), Height(0))
        assert found == [reader.receipt(entry_id(data)) for data in asked]
        assert found.count(None) == 1


def test_run_is_of_one_block_in_order(tmp_path: Path) -> None:
    """Events are a run if they stand one behind the other; it says of each what it alone would."""
    chain = Chain(tmp_path / "chain")
    chain.extend([sample(nonce).entry for nonce in range(5)])
    chain.extend([sample(nonce).entry for nonce in range(5, 10)])
    runs: dict[tuple[int, ...], tuple[int, int, int] | None]
    runs = {(1, 2, 3): (1, 3, 1), (5, 6, 7, 8, 9): (5, 5, 2), (4,): (4, 1, 1)}
    runs |= dict.fromkeys([(3, 4, 5), (2, 1), (1, 3), (1, 1), (8, 9, 10), (10, 9), (1, 10)])
    with chain.store.read() as reader:
        for nonces, expected in runs.items():
            named = name_entries(Entries.of(*(sample(nonce).entry for nonce in nonces)))
            run = find_run(reader, named)
            assert run == expected
            if run is not None:
                assert run.decisions() == find_decisions(reader, named, Height(0))


def test_earlier_refusals_are_left_out(tmp_path: Path) -> None:
    """A refusal up to the given height is none; what is in the log always counts."""
    chain = Chain(tmp_path / "chain")
    refused = entry(0, topic="forbidden.topic")
    chain.extend([refused, sample(1).entry])
    with chain.store.read() as reader:
        for entries in ((refused,), (refused, sample(1).entry)):
            for since, is_known in ((0, True), (1, False)):
                found = find_decisions(reader, name_entries(Entries.of(*entries)), Height(since))
                assert (found[0] is not None) is is_known
                assert None not in found[1:]


def test_few_heights_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All events of one block cost two questions for a height."""
    asked: list[int] = []
    height_of = ChainReader.height_of

    def counted(reader: ChainReader, sequence: int) -> Height:
        asked.append(sequence)
        return height_of(reader, sequence)  # type: ignore[arg-type]

    monkeypatch.setattr(ChainReader, "height_of", counted)
    chain = Chain(tmp_path / "chain")
    entries = tuple(sample(nonce).entry for nonce in range(50))
    chain.extend(entries)
    asked.clear()
    with chain.store.read() as reader:
        find_decisions(reader, name_entries(Entries.of(*entries)), Height(0))
    assert len(asked) == 2


async def test_last_event_may_be_decided_first(world: World) -> None:
    """A request whose events come in several blocks, in any order, is answered after the last."""
    events = [sample(nonce) for nonce in range(5)]
    answers: list[httpx.Response] = []

    async def publish() -> None:
        answers.append(await world.post_bulk([each.entry for each in events], "?wait=final"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await _until(lambda: len(world.gateway.finality) == 1)
            for rows in ((4, 2), (0,), (1,)):
                await world.node.extend([events[row].entry for row in rows])
                await anyio.sleep(0.02)
                assert not answers
            await world.node.extend([events[3].entry])
    receipts = answers[0].json()["receipts"]
    assert [receipt["id"] for receipt in receipts] == [each.id.hex() for each in events]
    assert [receipt["sequence"] for receipt in receipts] == [2, 3, 1, 4, 0]
    assert [receipt["height"] for receipt in receipts] == [2, 3, 1, 4, 1]


async def test_part_that_is_final_in_time_is_told(world: World) -> None:
    """When the time is over, the receipts of what became final say so, wherever it stands."""
    world.node.finalises = False
    events = [sample(nonce) for nonce in range(3)]
    answers: list[httpx.Response] = []

    async def publish() -> None:
        entries = [each.entry for each in events]
        answers.append(await world.post_bulk(entries, "?wait=final&timeout_ms=200"))

    async with anyio.create_task_group() as group:
        group.start_soon(publish)
        await _until(lambda: len(world.gateway.finality) == 1)
        await world.node.extend([events[0].entry])
    assert answers[0].status_code == 504
    states = [receipt["status"] for receipt in answers[0].json()["receipts"]]
    assert states == ["final", "pending", "pending"]


async def test_block_that_came_before_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that everybody looked at before the node's answer is not missed by its wait."""

    async def submit(entries: Entries, *, is_awaited: bool) -> tuple[str, ...]:
        assert is_awaited
        world.chain.extend(entries.split())
        await world.gateway._advance()
        return ()

    monkeypatch.setattr(world.gateway.link, "submit", submit)
    with anyio.fail_after(3):
        answer = await world.post_bulk([sample(7).entry], "?wait=final")
    assert answer.json()["receipts"][0]["status"] == "final"


async def test_duplicate_among_new_events(world: World) -> None:
    """What was final before is told so although the others of its request are not decided."""
    world.chain.extend([sample(7).entry])
    entries = [sample(8).entry, sample(7).entry]
    answer = await world.post_bulk(entries, "?wait=final&timeout_ms=50")
    new, old = answer.json()["receipts"]
    assert new == {"status": "pending", "id": sample(8).id.hex()}
    assert (old["status"], old["sequence"], old["duplicate"]) == ("final", 0, True)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await anyio.sleep(0.002)
