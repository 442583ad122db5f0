"""Each checker bites: fed a doctored observation of a healthy run, it names the broken promise."""

from collections.abc import Callable
from itertools import combinations

import pytest
from msgspec.structs import replace

import simnet.run
from consensus.core.effects import (
    Broadcast,
    CancelTimer,
    Effect,
    Execute,
    Halt,
    Penalize,
    Persist,
    RecordEvidence,
    Reply,
    Send,
)
from consensus.core.inputs import Timer
from consensus.core.messages import AckMessage, ProposalMessage, TimeoutMessage, VoteMessage
from consensus.core.votes import Collected, TimeoutCollector, VoteCollector
from ledger.core.block import Block, LedgerRoot
from ledger.core.certificate import Domain, QuorumCertificate, Timeout, Vote, genesis_certificate
from ledger.core.errors import Offence
from ledger.core.ids import BlockId, Epoch, NodeIndex, Round
from simnet.checkers.certificates import Certificates
from simnet.checkers.delivery import wants
from simnet.checkers.standard import standard_checkers
from simnet.checkers.table import FAULTY_MAX, QUORUM, log_root
from simnet.federation import CoreFederation
from simnet.full.federation import FullFederation
from simnet.full.subscribers import Subscriber
from simnet.machine import Machine
from simnet.observer import Observer, PromiseError
from simnet.scenario import Scenario, Weather
from simnet.swarm import core_scenario, full_scenario

Change = Callable[[Machine, Effect], Effect]

_ROUGH = Scenario(seed=5, weather=Weather(hold=200_000, drop=50_000, crash=300_000))
_LARGE = replace(_ROUGH, entry_bytes=60_000)
_NOTHING = CancelTimer(Timer("nothing"))


def _judge(
    monkeypatch: pytest.MonkeyPatch, change: Change, scenario: Scenario = _ROUGH
) -> simnet.run.Outcome:
    """Run a scenario whose checkers see each effect changed, while the machines go on unharmed."""

    def doctored(of: Scenario) -> list[Observer]:
        (panel,) = standard_checkers(of)
        see = panel.on_effect
        vars(panel)["on_effect"] = lambda machine, effect: see(machine, change(machine, effect))
        return [panel]

    monkeypatch.setattr(simnet.run, "standard_checkers", doctored)
    return simnet.run.simulate(scenario)


def _persist(change: Callable[[Machine, Persist], Persist]) -> Change:
    def apply(machine: Machine, effect: Effect) -> Effect:
        return change(machine, effect) if isinstance(effect, Persist) else effect

    return apply


@pytest.mark.parametrize("seed", range(8))
def test_healthy_runs_break_nothing(seed: int) -> None:
    """Runs of the swarm keep every promise."""
    assert simnet.run.simulate(core_scenario(seed)).plan.failure == ""


def test_a_healthy_run_of_whole_nodes_breaks_nothing() -> None:
    """So does one of whole nodes."""
    assert simnet.run.simulate(full_scenario(1)).plan.failure == ""


def test_quorums_share_more_than_the_faulty() -> None:
    """The checkers' own table: two quorums share an honest member, and the honest are a quorum."""
    for count, (faulty, quorum) in enumerate(zip(FAULTY_MAX, QUORUM, strict=True)):
        if count:
            assert 2 * quorum - count > faulty
            assert quorum <= count - faulty
            assert 2 * (quorum - 1) - count <= faulty, "no larger than it must be"


# --- statements -----------------------------------------------------------------------------


def _forge(machine: Machine, vote: Vote, block: bytes) -> Vote:
    assert machine.core is not None
    domain = machine.core._parts.context.domain
    return Vote.make(domain, vote.round, BlockId(block), None, machine.signer)


def test_a_second_vote_in_a_round_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that sends a vote for another block than it voted for is caught."""

    def change(machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Broadcast) and isinstance(effect.message, VoteMessage):
            return Broadcast(VoteMessage(_forge(machine, effect.message.vote, bytes(32))))
        return effect

    assert _judge(monkeypatch, change).promise == "double vote"


def test_a_vote_after_the_timeout_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that holds a vote of a round given up before is caught."""

    def change(machine: Machine, effect: Persist) -> Persist:
        record = effect.record
        timeout, vote = record.last_timeout, record.last_vote
        if timeout is None or vote is None or vote.round <= timeout.round:
            return effect
        late = _forge(machine, replace(vote, round=timeout.round), vote.block_id)
        return replace(effect, record=replace(record, last_vote=late))

    scenario = replace(_ROUGH, weather=replace(_ROUGH.weather, hold=0, drop=150_000))
    assert _judge(monkeypatch, _persist(change), scenario).promise in {
        "vote after timeout",
        "double vote",
    }


@pytest.mark.parametrize("kind", [VoteMessage, TimeoutMessage, ProposalMessage])
def test_what_leaves_unrecorded_is_noticed(
    monkeypatch: pytest.MonkeyPatch, kind: type[object]
) -> None:
    """Whatever is sent without having been kept is caught."""

    def change(_machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Persist):
            return _NOTHING
        if isinstance(effect, Broadcast | Send) and not isinstance(effect.message, kind):
            return _NOTHING
        return effect

    assert _judge(monkeypatch, change).promise == "unpersisted"


def test_a_block_that_was_voted_for_and_not_kept_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A record without the block of its vote is caught."""
    outcome = _judge(monkeypatch, _persist(lambda _, effect: replace(effect, proposals=())))
    assert outcome.promise == "unpersisted"


@pytest.mark.parametrize("field", ["counter", "acted_round", "timed_round", "lock_round"])
def test_a_record_that_goes_back_is_noticed(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """No round in the record may fall, nor its counter."""

    def change(_machine: Machine, effect: Persist) -> Persist:
        if effect.record.acted_round < 5:
            return effect
        return replace(effect, record=replace(effect.record, **{field: 0}))

    assert _judge(monkeypatch, _persist(change)).promise in {"record", "lock"}


def test_a_hidden_lock_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout that reports an older certificate than the lock is caught."""

    def change(machine: Machine, effect: Persist) -> Persist:
        timeout, record = effect.record.last_timeout, effect.record
        if timeout is None or not record.lock_round or machine.core is None:
            return effect
        domain = machine.core._parts.context.domain
        first = genesis_certificate(BlockId(machine.world.genesis.block_id))
        hidden = Timeout.make(domain, timeout.round, first, timeout.last_tc, machine.signer)
        return replace(effect, record=replace(record, last_timeout=hidden))

    assert _judge(monkeypatch, _persist(change)).promise == "lock"


def test_a_vote_for_an_unjustified_block_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block over a gap without a timeout certificate is caught."""

    def change(_machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Persist):
            changed = tuple(replace(p, block=replace(p.block, tc=None)) for p in effect.proposals)
            return replace(effect, proposals=changed)
        return effect

    assert _judge(monkeypatch, change).promise in {"justification", "unpersisted"}


def test_an_acknowledgement_before_the_batch_is_durable_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An acknowledgement of a batch that the store does not hold is caught."""

    def change(machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Send) and isinstance(effect.message, AckMessage):
            vars(machine.storage)["has_batch"] = lambda _id: False
        return effect

    assert _judge(monkeypatch, change, _LARGE).promise == "unpersisted"


# --- certificates ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forge",
    [
        lambda rows: rows[:-1],
        lambda rows: (rows[0], *rows[:-1]),
        lambda rows: ((rows[0][0], bytes(64)), *rows[1:]),
        lambda rows: rows[::-1],
    ],
    ids=["no quorum", "a signer twice", "never said", "not in order"],
)
def test_a_false_certificate_is_noticed(
    monkeypatch: pytest.MonkeyPatch, forge: Callable[[tuple[object, ...]], tuple[object, ...]]
) -> None:
    """A machine that holds a certificate which is none is caught."""

    def change(_machine: Machine, effect: Persist) -> Persist:
        qc = effect.record.high_qc
        if not qc.round:
            return effect
        false = replace(qc, signatures=forge(qc.signatures))
        return replace(effect, record=replace(effect.record, high_qc=false))

    assert _judge(monkeypatch, _persist(change)).promise == "certificate"


def test_two_certificates_of_one_round_are_noticed() -> None:
    """Safety is lost with the second certificate, before any machine has applied anything."""
    world = _World(Scenario(seed=1, sets=((0, 1, 2, 3, 4),)), frozenset(range(4)))
    certificates = Certificates(world)  # type: ignore[arg-type]
    holder = world.machines[4]  # not yet a member
    certificates.check_qc(world.certify(b"1" * 32), holder)
    certificates.check_qc(world.certify(b"1" * 32), holder)
    with pytest.raises(PromiseError, match="two certificates in round 1"):
        certificates.check_qc(world.certify(b"2" * 32), holder)


class _World:
    """As much of a world as certificates ask for."""

    def __init__(self, scenario: Scenario, faulty: frozenset[int]) -> None:
        self.faulty = faulty
        self.scenario = scenario
        self.federation = CoreFederation(scenario)
        self.genesis = self.federation.genesis
        self.machines = self.federation.machines(self)  # type: ignore[arg-type]
        self._signers = self.federation._signers[: scenario.validators]

    def certify(self, block: bytes) -> QuorumCertificate:
        domain = Domain(self.genesis.hash, Epoch(0), self.genesis.validator_set())
        id_, round_ = BlockId(block), Round(1)
        votes = [Vote.make(domain, round_, id_, None, signer) for signer in self._signers]
        rows = tuple((vote.signer, vote.signature) for vote in votes)
        return QuorumCertificate(Epoch(0), round_, id_, None, rows)


# --- finality -------------------------------------------------------------------------------


def test_a_block_without_its_certificate_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that commits another block than the one it comes with is caught."""
    kept: list[object] = []

    def change(_machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Execute) and effect.certificate is not None:
            kept.append(effect.certificate)
            return replace(effect, certificate=kept[0])
        return effect

    assert _judge(monkeypatch, change).promise == "finality"


@pytest.mark.parametrize(
    ("fields", "promise"),
    [({"parent_id": bytes(32)}, "order"), ({"time_ms": 0}, "time"), ({"round": 0}, "order")],
)
def test_a_block_out_of_its_chain_is_noticed(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, object], promise: str
) -> None:
    """A block that does not follow its parent is caught."""
    monkeypatch.setattr("simnet.checkers.finality.block_id", lambda _block: bytes(32))

    def change(_machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Execute):
            block = replace(effect.block, **fields)
            return replace(effect, block=block, block_id=bytes(32), certificate=None)
        return effect

    assert _judge(monkeypatch, change).promise == promise


class _Spoiler(Observer):
    """Calls a function when a block was applied, or at the end."""

    def __init__(self, applied: Callable[[Machine], None] | None = None) -> None:
        self._applied = applied
        self.at_end: Callable[[Machine], object] | None = None

    def on_applied(self, machine: Machine, block: Block, root: LedgerRoot) -> None:
        del block, root
        if self._applied is not None:
            self._applied(machine)

    def on_end(self, world: object) -> None:
        if self.at_end is not None:
            for machine in vars(world)["machines"][:1]:
                self.at_end(machine)


def _swap(machine: Machine) -> None:
    log = vars(machine.storage)["log"]
    log[0], log[1] = log[1], log[0]


def _double(machine: Machine) -> None:
    vars(machine.storage)["log"].append(machine.storage.log[0])


@pytest.mark.parametrize(
    ("spoil", "promises"), [(_swap, {"replay"}), (_double, {"replay", "once"})]
)
def test_a_spoilt_log_is_noticed(spoil: Callable[[Machine], None], promises: set[str]) -> None:
    """A log that does not follow from the chain, or holds something twice, is caught."""
    spoiler = _Spoiler()
    spoiler.at_end = spoil
    assert simnet.run.simulate(Scenario(seed=3), [spoiler]).promise in promises


def test_another_root_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines with different roots of one height are caught."""

    def doctored(of: Scenario) -> list[Observer]:
        (panel,) = standard_checkers(of)
        see = panel.on_applied

        def on_applied(machine: Machine, block: Block, root: LedgerRoot) -> None:
            see(machine, block, replace(root, log_size=99) if machine.index == 1 else root)

        vars(panel)["on_applied"] = on_applied
        return [panel]

    monkeypatch.setattr(simnet.run, "standard_checkers", doctored)
    assert simnet.run.simulate(Scenario(seed=3)).promise == "roots"


def test_a_block_applied_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A height that a machine applies again without a crash is caught."""

    def doctored(of: Scenario) -> list[Observer]:
        (panel,) = standard_checkers(of)
        see = panel.on_applied

        def on_applied(machine: Machine, block: Block, root: LedgerRoot) -> None:
            see(machine, block, root)
            see(machine, block, root)

        vars(panel)["on_applied"] = on_applied
        return [panel]

    monkeypatch.setattr(simnet.run, "standard_checkers", doctored)
    assert simnet.run.simulate(Scenario(seed=3)).promise == "order"


# --- the others -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "promise"),
    [
        (Penalize(NodeIndex(2), Offence.BAD_BLOCK, ""), "accusation"),
        (RecordEvidence(NodeIndex(2), "double_vote", b"1", b"2", Epoch(0)), "accusation"),
        (Halt("no reason"), "halted"),
    ],
)
def test_accusations_of_the_honest_are_noticed(
    monkeypatch: pytest.MonkeyPatch, effect: Effect, promise: str
) -> None:
    """Nobody honest is penalised, shown to contradict itself, or stops."""
    assert _judge(monkeypatch, lambda _machine, _effect: effect).promise == promise


def test_untrue_receipts_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer with too few verdicts is caught."""

    def change(_machine: Machine, effect: Effect) -> Effect:
        return replace(effect, verdicts=()) if isinstance(effect, Reply) else effect

    assert _judge(monkeypatch, change).promise == "receipt"


def test_what_was_accepted_and_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that is neither in the log nor on its way, in a machine that never crashed."""

    def change(machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Reply) and isinstance(effect.verdicts, tuple):
            life = machine.name, machine.incarnation
            receipts._accepted.setdefault(life, []).append(b"never brought in")
        return effect

    (panel,) = standard_checkers(_ROUGH)
    receipts = next(c for c in vars(panel)["_checkers"] if type(c).__name__ == "Receipts")
    see = panel.on_effect
    vars(panel)["on_effect"] = lambda machine, effect: see(machine, change(machine, effect))
    monkeypatch.setattr(simnet.run, "standard_checkers", lambda _scenario: [panel])
    assert simnet.run.simulate(Scenario(seed=3)).promise == "receipt"


def test_a_collection_without_a_limit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever grows in a core beyond a few items for each member, and has no limit, is caught."""

    def change(machine: Machine, effect: Effect) -> Effect:
        if machine.core is not None:
            vars(machine.core._parts.dissemination).setdefault("_junk", []).append(effect)
        return effect

    assert _judge(monkeypatch, change).promise == "limits"


def test_a_rejected_input_that_leaves_a_trace_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A penalised message after which the core is another is caught."""

    def change(machine: Machine, effect: Effect) -> Effect:
        if isinstance(effect, Penalize) and machine.core is not None:
            machine.core._parts.dissemination.mempool._bytes += 1
        return effect

    promises = {
        _judge(monkeypatch, change, Scenario(seed=seed, actors=((0, "mutator"),))).promise
        for seed in range(6)
    }
    assert "rejection" in promises


def test_a_livelock_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that say the same again and again for ever are caught long before the bound."""
    monkeypatch.setattr(TimeoutCollector, "add", lambda _self, _timeout: None)
    monkeypatch.setattr(VoteCollector, "add", lambda _self, _vote: Collected())
    outcome = simnet.run.simulate(Scenario(seed=1))
    assert outcome.promise == "livelock"
    assert outcome.virtual_us < 10_000_000


def _first_seen(machine: Machine) -> list[tuple[int, bytes]]:
    federation = machine.world.federation
    assert isinstance(federation, FullFederation)
    return federation.subscribers[0].seen


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (lambda seen: seen.pop(0), "delivery"),
        (lambda seen: seen.append((10**6, bytes(32))), "delivery"),
        (lambda seen: seen.__setitem__(0, (seen[0][0], bytes(32))), "delivery"),
        (lambda _seen: None, ""),
    ],
    ids=["missed", "before it was final", "another event", "healthy"],
)
def test_a_wrong_delivery_is_noticed(
    change: Callable[[list[tuple[int, bytes]]], object], promise: str
) -> None:
    """A subscriber that misses an event, or is given another one, is caught."""
    spoiler = _Spoiler()
    spoiler.at_end = lambda machine: (
        change(vars(machine.world.federation)["subscribers"][0].seen) and None
    )
    scenario = replace(
        full_scenario(2), weather=Weather(), actors=(), lasts_ms=4_000, chaos_ms=2_000
    )
    assert simnet.run.simulate(scenario, [spoiler]).promise == promise


def test_a_subscriber_that_is_given_nothing_more_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Standing still is no correct delivery: what was final when the chaos ended must arrive."""

    def poll_no_more(subscriber: Subscriber) -> None:
        if subscriber.name != "1":
            poll(subscriber)

    poll = Subscriber._poll
    monkeypatch.setattr(Subscriber, "_poll", poll_no_more)
    scenario = replace(
        full_scenario(2), weather=Weather(), actors=(), lasts_ms=8_000, chaos_ms=2_000
    )
    outcome = simnet.run.simulate(scenario)
    assert (outcome.promise, "stands at -1" in outcome.plan.failure) == ("delivery", True)


def test_patterns_are_matched_naively() -> None:
    """The checkers' own filter knows both wildcards."""
    assert wants(">", "a")
    assert wants("a.>", "a.b.c")
    assert not wants("a.>", "a")
    assert wants("a.*.c", "a.b.c")
    assert not wants("a.*", "a.b.c")


def test_the_own_tree_head_is_that_of_the_standard() -> None:
    """The plain tree head tells logs apart, of all small sizes, and by order."""
    logs = [
        list(entries) for n in range(5) for entries in combinations([b"1", b"2", b"3", b"4"], n)
    ]
    assert len({log_root(log) for log in logs}) == len(logs)
    assert log_root([b"1", b"2"]) != log_root([b"2", b"1"])
