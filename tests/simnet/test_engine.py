"""The engine of the simulator: links, inbox, disks, and runs that repeat."""

import subprocess
import sys

import msgspec
import pytest

from consensus.core.effects import Effect, Persist
from consensus.core.inputs import Executed, Input, PeerMessage, Submitted, Timer, TimerFired
from consensus.core.messages import BatchMessage, Lane, TimeoutCertificateMessage
from ledger.core.block import LedgerRoot
from ledger.core.certificate import TimeoutCertificate, genesis_certificate
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from simnet.audit import Audit
from simnet.choices import Choices
from simnet.federation import CoreFederation
from simnet.inbox import Inbox
from simnet.links import Link
from simnet.machine import Machine
from simnet.observer import Observer
from simnet.run import replay, simulate
from simnet.scenario import Scenario, Weather
from simnet.signatures import cheap_signatures
from simnet.stand_in import StandInStorage
from simnet.world import World

_BAD_DISKS = Weather(
    crash=600_000,
    safety_loss=500_000,
    slow_disk=100_000,
    slow_disk_us=50_000,
    write_fail=10_000,
    disk_full=300_000,
)
_BAD_LINKS = Weather(
    drop=20_000,
    hold=100_000,
    copy=50_000,
    bytes_per_ms=500,
    clog_us=200_000,
    reset_us=200_000,
    crash=500_000,
    silent_crash=500_000,
    drift_ppm=1_000,
)


class _Faults(Observer):
    """Counts faults by the first word of their keys, and remembers the world."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}
        self.too_many = 0
        self._world: World | None = None
        self._harmed: set[int] = set()

    def on_begin(self, world: World) -> None:
        """Remember the world."""
        self._world = world
        self._harmed = {index for index, _ in world.scenario.actors}

    def on_fault(self, key: str, value: object) -> None:
        """Count a fault."""
        del value
        assert self._world is not None
        word = key.partition(" ")[0]
        self.words[word] = self.words.get(word, 0) + 1
        if word == "disk":
            self._harmed.add(int(key.split()[1]))
        self.too_many += len(self._harmed) > (self._world.scenario.validators - 1) // 3


_FINE = Weather()


def _world(weather: Weather = _FINE, *observers: Observer) -> World:
    """Make a started world of four members without a workload."""
    scenario = Scenario(seed=1, weather=weather, submissions=0)
    world = World(scenario, Choices(1), CoreFederation(scenario), observers)
    world.begin()
    return world


@pytest.mark.parametrize("weather", [_BAD_DISKS, _BAD_LINKS])
def test_replaying_a_plan_repeats_every_effect(weather: Weather) -> None:
    """A plan repeats its run effect by effect, at the same times."""
    for seed in range(8):
        first, again = Audit(), Audit()
        outcome = simulate(Scenario(seed=seed, weather=weather), [first])
        assert outcome.promise == ""
        assert replay(outcome.plan, [again]).plan == outcome.plan
        assert first.digest() == again.digest()


def test_every_trouble_happens_and_never_hurts_more_than_f() -> None:
    """Each fault of disks and links is drawn within some seeds, and the atlas keeps its bound."""
    words: set[str] = set()
    for seed in range(12):
        for weather in (_BAD_DISKS, _BAD_LINKS):
            faults = _Faults()
            actors = ((seed % 4, "twin"),) if seed % 3 == 0 else ()
            assert simulate(Scenario(seed=seed, weather=weather, actors=actors), [faults])
            words |= faults.words.keys()
            assert not faults.too_many
    expected = {"crash", "disk", "persist", "commit", "full", "clog", "reset", "hold", "copy"}
    assert expected <= words


def test_the_digest_is_the_same_in_other_processes_with_other_hash_seeds() -> None:
    """Nothing depends on the order of a set or on an address."""
    program = (
        "import simnet.run as r, simnet.swarm as s, simnet.audit as a\n"
        "x = a.Audit(); r.simulate(s.core_scenario(5), [x]); r.simulate(s.full_scenario(6), [x])\n"
        "print(x.digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_the_inbox_gives_votes_before_timers_before_bulk() -> None:
    """What waited is taken in the order of the shell: own answers, votes, timers, then bulk."""
    genesis_qc = genesis_certificate(BlockId(bytes(32)))
    tc = TimeoutCertificate(Epoch(0), Round(1), (), genesis_qc)
    urgent = PeerMessage(NodeIndex(1), TimeoutCertificateMessage(tc))
    bulk = [PeerMessage(NodeIndex(2), BatchMessage(bytes([i]))) for i in range(70)]
    timer, submitted = TimerFired(Timer("round")), Submitted(1, ())
    own = Executed(Height(1), BlockId(bytes(32)), LedgerRoot(Height(1), 0, b"", b"", b""))
    inbox = Inbox()
    given: list[Input] = [submitted, *bulk, timer, urgent, own]
    for item in given:
        inbox.put(item)
    items = inbox.take()
    assert items == [own, urgent, timer, submitted, *bulk[:63]]
    inbox.put_back(items[2:])
    assert inbox.take() == items[2:]
    assert inbox.take() == bulk[63:]
    assert (inbox.take(), inbox.count) == ([], 0)


def _link(world: World) -> Link:
    return world.network.links["0", "1"]


def test_a_reset_loses_what_is_on_the_way_and_both_ends_go_on() -> None:
    """After a reset the sender knows, dials again, and sends what waited meanwhile."""
    with cheap_signatures():
        world = _world()
        link = _link(world)
        arrived: list[bytes] = []
        link._arrive = lambda _link, frame, _delay: arrived.append(frame)
        link.reset(100_000)
        assert (link.is_up, link.epoch > 0) == (False, True)
        link.send(Lane.CONSENSUS, b"probe", 0)
        world.run(140_000)
        assert not arrived
        world.run(300_000)
        assert link.is_up
        assert b"probe" in arrived


def test_bandwidth_spaces_frames_and_full_bulk_lanes_refuse_the_newest() -> None:
    """A frame leaves when the one before it has left, and lanes are bounded as in the shell."""
    with cheap_signatures():
        world = _world(Weather(bytes_per_ms=1_000))
        link = _link(world)
        arrived: list[tuple[int, int]] = []
        link._arrive = lambda _link, frame, _delay: arrived.append((world.now_us, len(frame)))
        for _ in range(3):
            link.send(Lane.BULK, bytes(10_000), 0)
        world.run(25_000)
        large = [item for item in arrived if item[1] == 10_000]
        assert large == [(10_001, 10_000), (20_002, 10_000)]
        waiting = len(link._queues[Lane.BULK])
        for _ in range(5_000):
            link.send(Lane.BULK, b"x", 0)
        assert link._queues[Lane.BULK].dropped == 5_000 - 4_096 + waiting


def test_a_persist_that_is_slow_holds_back_what_follows_it() -> None:
    """Nothing signed leaves while its record is being written, and a crash then loses both."""
    last: dict[str, Effect] = {}

    class _Watch(Observer):
        def on_effect(self, machine: Machine, effect: Effect) -> None:
            last[machine.name] = effect

    weather = Weather(slow_disk=1_000_000, slow_disk_us=1 << 20)
    with cheap_signatures():
        world = _world(weather, _Watch())
        machine = world.machines[0]
        while machine._unwritten is None:
            assert world._heap, "a leader writes within the first rounds"
            world.run(world._heap[0][0])
        assert isinstance(last["0"], Persist)
        record = machine.storage.safety_record
        world.faults.crash_now(machine)
        assert machine.storage.safety_record == record


def test_what_is_not_committed_is_lost_in_a_crash() -> None:
    """A machine starts again from the blocks of its last commit."""
    outcome_weather = Weather(crash=900_000, crash_emits=40, commit_us=30_000)
    lost = 0

    class _Watch(Observer):
        def on_crash(self, machine: Machine) -> None:
            nonlocal lost
            storage = machine.storage
            assert isinstance(storage, StandInStorage)
            assert len(storage.blocks) == storage.head_height()
            lost += 1

    outcome = simulate(Scenario(seed=3, weather=outcome_weather), [_Watch()])
    assert outcome.promise == ""
    assert lost > 3


def test_an_old_record_makes_its_member_faulty_and_a_lost_one_sits_out() -> None:
    """The atlas knows what each loss costs: an old record a faulty member, a lost one a silent."""
    seen: set[tuple[bool, bool]] = set()

    class _Watch(Observer):
        def on_disk_changed(self, machine: Machine) -> None:
            record = machine.storage.safety.record()
            seen.add((machine.is_honest, record.sit_out))

    for seed in range(30):
        simulate(Scenario(seed=seed, weather=_BAD_DISKS), [_Watch()])
    assert seen >= {(False, False), (True, True), (True, False)}


def test_a_plan_survives_its_file_form() -> None:
    """A plan is JSON, with the scenario and every fault."""
    plan = simulate(Scenario(seed=2, weather=_BAD_LINKS)).plan
    assert msgspec.json.decode(msgspec.json.encode(plan), type=type(plan)) == plan
