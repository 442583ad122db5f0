"""Governors change the members of whole nodes: what is decided, who leaves, what is refused."""

import msgspec
import pytest

from consensus.core.departure import Departure
from ledger.core.event import entry_id, open_entry
from ledger.core.ids import Height
from ledger.core.trust.governance import PENDING_VALIDATORS_KEY
from simnet.audit import Audit
from simnet.changes import COURSES, governed_scenario
from simnet.choices import Choices
from simnet.full.federation import FullFederation
from simnet.full.governance import Governance
from simnet.full.storage import FullStorage
from simnet.full.tables import Table
from simnet.marks import Marks
from simnet.observer import Observer
from simnet.run import replay, simulate
from simnet.scenario import Plan, Scenario
from simnet.world import World


class _End(Observer):
    """Keeps the world of a run."""

    world: World

    def on_end(self, world: World) -> None:
        """Keep it."""
        self.world = world


def _course(name: str, **fields: object) -> Scenario:
    course = COURSES[name]
    calm = Scenario(
        seed=3,
        tier="full",
        chaos_ms=6_000,
        lasts_ms=8_000,
        submissions=30,
        sets=course.sets,
        renewed=course.renewed,
    )
    return msgspec.structs.replace(calm, **fields)


def _run(scenario: Scenario) -> tuple[World, Marks]:
    end, marks = _End(), Marks()
    outcome = simulate(scenario, [end, marks])
    assert outcome.plan.failure == ""
    return end.world, marks


@pytest.mark.parametrize("name", sorted(COURSES))
def test_governors_bring_every_course_to_its_end(name: str) -> None:
    """Whoever is a validator in the end knows every epoch; removed machines have ended."""
    world, marks = _run(_course(name))
    sets = COURSES[name].sets
    assert marks.hit["members changed"] >= len(sets)
    ever = {number for set_ in sets for number in set_} | set(range(4))
    for machine in world.machines:
        assert isinstance(machine.storage, FullStorage)
        start = machine.storage.snapshot.epoch_start()
        is_member = machine.index in sets[-1]
        if is_member:
            assert start.number == len(sets)
            assert start.members == world.federation.sets[-1]
            assert machine.is_up
            assert not machine.storage.snapshot.state.get(PENDING_VALIDATORS_KEY)
        assert machine.left == (machine.index in ever - set(sets[-1])), machine.name


def test_what_governors_may_not_do_is_in_no_log() -> None:
    """Beside the decisions there are wrong ones of each kind, and changes of a list."""
    world, _ = _run(_course("4 5 4", submissions=90))
    federation = world.federation
    assert isinstance(federation, FullFederation)
    kinds = {item.kind for item in federation.publishers.handed}
    wrong = {"stale change", "no such proposal", "no set", "no governor", "again"}
    assert wrong <= kinds
    log = world.machines[0].storage.log
    topics = {open_entry(entry).event.topic for entry in log}
    assert {"ledger.governance", "ledger.lists.schemas"} <= topics
    bad = {item.entry for item in federation.publishers.handed if item.kind in wrong}
    assert not bad & set(log)


def test_a_decision_is_the_same_however_often_it_is_asked_for() -> None:
    """Handed in again and again, a proposal is one event, and its approval names it."""
    scenario = _course("4 7 4")
    choices = Choices(3)
    federation = FullFederation(scenario, choices)
    governance = Governance(choices, federation.publishers, federation.sets)
    first = governance.change(0, 1_000)
    assert governance.change(0, 9_000) == first
    assert governance.change(1, 9_000) != first
    assert first[1].find(bytes(entry_id(first[0]))) >= 0


def test_a_twin_and_crashes_do_not_stop_a_change() -> None:
    """A Byzantine member, machines that crash, and a late network: every promise is kept."""
    weather = msgspec.structs.replace(Scenario(seed=0).weather, latency_us=20_000, crash=600_000)
    _run(_course("all of them", actors=((1, "twin"),), weather=weather))


def test_who_leaves_waits_for_who_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was cut off knows the old set alone: without its members it never learns of the new."""
    away = Plan(
        _course("all of them", submissions=5, calm_ms=8_000),
        {"partition 0": (2_500_000, 3_000_000, 1 << 7, 0x7F, 1, 0)},
    )
    assert replay(away).promise == ""
    true = Departure.follow

    def hasty(self: Departure, chain: FullStorage, height: Height) -> None:
        vars(self)["_is_known"] = True
        true(self, chain, height)

    monkeypatch.setattr(Departure, "follow", hasty)
    assert replay(away).promise == "liveness"


def test_some_seeds_of_the_tier_are_governed() -> None:
    """About every third, with different courses; the others are as they were."""
    drawn = [governed_scenario(seed) for seed in range(60)]
    governed = [scenario for scenario in drawn if scenario.sets]
    assert 10 <= len(governed) <= 30
    assert len({scenario.sets for scenario in governed}) >= 5
    assert {scenario.tier for scenario in drawn} == {"full"}


def test_the_same_run_has_the_same_digest() -> None:
    """Nothing of it depends on what ran before in the process."""
    digests = []
    for _ in range(2):
        audit = Audit()
        simulate(_course("half of them", chaos_ms=3_000, lasts_ms=0), [audit])
        digests.append(audit.digest())
    assert digests[0] == digests[1]


def test_rows_of_a_table_are_what_its_writer_sees() -> None:
    """Deleted rows are gone, open ones are there."""
    table = Table[int, str]()
    table.put(1, "a")
    table.put(2, "b")
    table.commit()
    table.delete(1)
    table.put(3, "c")
    assert dict(table.rows()) == {2: "b", 3: "c"}
    table.lose()
    assert dict(table.rows()) == {1: "a", 2: "b"}
