"""Whole nodes: what publishers hand in, what ledgers take, what subscribers see."""

import pytest

from ledger.core.event import entry_id
from simnet.choices import Choices
from simnet.full.federation import FullFederation
from simnet.full.gateway import BULK, entries_of
from simnet.full.publishers import Publishers
from simnet.full.storage import FullStorage
from simnet.full.subscribers import Subscriber
from simnet.full.tables import Table
from simnet.observer import Observer
from simnet.run import replay, simulate
from simnet.scenario import Scenario, Weather
from simnet.world import World

_WEATHER = Weather(
    latency_us=20_000, crash=500_000, crash_emits=300, hold=50_000, subscriber_crash=300_000
)


class _World(Observer):
    """Remembers the world."""

    world: World

    def on_begin(self, world: World) -> None:
        """Remember."""
        self.world = world


def _run(seed: int) -> tuple[World, FullFederation]:
    watch = _World()
    scenario = Scenario(
        seed=seed,
        tier="full",
        chaos_ms=6_000,
        lasts_ms=9_000,
        submissions=30,
        weather=_WEATHER,
    )
    outcome = simulate(scenario, [watch])
    assert outcome.plan.failure == ""
    assert outcome.virtual_us >= 9_000_000
    assert replay(outcome.plan).plan == outcome.plan
    federation = watch.world.federation
    assert isinstance(federation, FullFederation)
    return watch.world, federation


@pytest.fixture(scope="module", params=[1, 2, 3])
def finished(request: pytest.FixtureRequest) -> tuple[World, FullFederation]:
    """Give a run that is over."""
    return _run(request.param)


def test_logs_hold_good_events_alone_and_each_once(
    finished: tuple[World, FullFederation],
) -> None:
    """Rejected input changes nothing: what no ledger may take is in no log."""
    world, federation = finished
    handed = federation.publishers.handed
    good = {item.entry for item in handed if item.is_admissible}
    kinds = {item.kind for item in handed}
    assert len(kinds) > 5
    for machine in world.machines:
        log = machine.storage.log
        assert log
        assert set(log) <= good
        assert len({entry_id(entry) for entry in log}) == len(log)


def test_honest_machines_end_with_one_ledger(finished: tuple[World, FullFederation]) -> None:
    """After the calm all logs, roots and tiles are equal."""
    world, _ = finished
    storages = [m.storage for m in world.machines]
    assert all(isinstance(storage, FullStorage) for storage in storages)
    shortest = min(len(storage.blocks) for storage in storages)
    assert len({storage.roots[shortest].digest for storage in storages}) == 1


def test_subscribers_see_what_they_want_in_order_and_miss_nothing(
    finished: tuple[World, FullFederation],
) -> None:
    """Every wanted event is seen, repetitions only after a crash and only backwards to a page."""
    world, federation = finished
    log = world.machines[0].storage.log
    assert federation.subscribers[0].pattern == ">"
    for subscriber in federation.subscribers:
        first_seen = list(dict.fromkeys(sequence for sequence, _ in subscriber.seen))
        assert first_seen == sorted(first_seen)
        assert all(entry_id(log[sequence]) == id_ for sequence, id_ in subscriber.seen)
    everything = {sequence for sequence, _ in federation.subscribers[0].seen}
    assert everything == set(range(int(federation.subscribers[0].cursor) + 1))
    assert len(everything) >= len(log) - 4


def test_a_subscriber_that_crashes_sees_a_page_again() -> None:
    """The cursor is saved after the page was handled: at least once, never less."""
    seen_twice = 0
    for seed in (1, 2, 3):
        _, federation = _run(seed)
        for subscriber in federation.subscribers:
            assert isinstance(subscriber, Subscriber)
            seen_twice += len(subscriber.seen) - len(set(subscriber.seen))
    assert seen_twice


def test_requests_of_every_form_reach_the_node() -> None:
    """JSON and MessagePack bodies give the entries that were signed."""
    publishers = Publishers(Choices(1), "simnet-0123456789abcdef")
    forms: set[str] = set()
    for number in range(60):
        media_type, body = publishers.request(number, 40, 1_760_000_000_000)
        forms.add(media_type)
        handed = [item.entry for item in publishers.handed]
        entries = entries_of(media_type, body)
        assert all(entry in handed for entry in entries)
        assert entries
    assert len(forms) == 3
    assert entries_of(BULK, b"no list") == ()
    assert entries_of("application/cloudevents+json", b"{}") == ()
    assert entries_of("application/cloudevents-batch+json", b'[{"id":1}]') == ()


def test_a_table_shows_readers_what_is_committed_only() -> None:
    """The writer sees its own changes; readers see them after the commit, and none after a loss."""
    table = Table[str, int]()
    table.put("a", 1)
    assert (table.get("a"), table.durable) == (1, {})
    table.commit()
    table.delete("a")
    table.put("b", 2)
    assert (table.get("a"), table.get("b"), table.durable) == (None, 2, {"a": 1})
    table.lose()
    assert (table.get("a"), table.get("b")) == (1, None)
    table.delete("a")
    table.commit()
    assert table.durable == {}


def test_damage_at_the_end_of_a_chain_is_found(finished: tuple[World, FullFederation]) -> None:
    """A flipped bit in the last entry, tile, block or root keeps a machine from starting."""
    world, _ = finished
    for where, machine in enumerate(world.machines[:4]):
        storage = machine.storage
        assert storage.fault() == ""
        storage.damage(where)
        assert storage.fault() != ""
        storage.damage(where)
        assert storage.fault() == ""
