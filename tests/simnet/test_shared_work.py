"""What machines of one run share: digests that are computed once, and observers' calls."""

from collections import Counter

import pytest

import ledger.core.block as blocks
from consensus.core.effects import Effect, Persist
from consensus.core.inputs import Input, Submitted, TimerFired
from ledger.core.block import Batch, batch_id, decode_batch
from ledger.core.codec import encode
from ledger.core.errors import DecodeError
from ledger.core.ids import NodeIndex
from simnet.audit import Audit
from simnet.changes import changing_scenario
from simnet.digests import remembered_digests
from simnet.machine import Machine
from simnet.observer import Observer
from simnet.run import simulate
from simnet.scenario import Scenario
from simnet.signatures import CheapSigner, cheap_signatures, is_signed
from simnet.world import World

_BATCHES = [encode(Batch(NodeIndex(0), number, (b"entry",))) for number in range(3)]


def test_remembered_digests_are_the_true_ones() -> None:
    """Each digest and each decoded batch is what it is without memory, the second time too."""
    true = [(batch_id(encoded), decode_batch(encoded)) for encoded in _BATCHES]
    with remembered_digests():
        for _ in range(2):
            assert [(batch_id(data), decode_batch(data)) for data in _BATCHES] == true


def test_what_is_refused_is_refused_again() -> None:
    """Bytes that are no batch are none the second time either."""
    with remembered_digests():
        for _ in range(2):
            with pytest.raises(DecodeError):
                decode_batch(_BATCHES[0] + b"x")


def test_nothing_is_remembered_beyond_the_context() -> None:
    """Production code is as it was, also when the run in it failed."""
    names = ("_batch_digest", "_block_digest", "_root_digest", "_batch_codec")
    before = [vars(blocks)[name] for name in names]

    def fail() -> None:
        with remembered_digests():
            assert not any(vars(blocks)[name] in before for name in names)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [vars(blocks)[name] for name in names] == before


def test_a_signature_that_nobody_made_is_false() -> None:
    """What was signed in a run is known; any other key, message or signature is computed anew."""
    one, other = CheapSigner(bytes(32)), CheapSigner(bytes([1]) * 32)
    with cheap_signatures():
        signature = one.sign(b"said")
        assert is_signed(one.public_key, b"said", signature)
        assert not is_signed(other.public_key, b"said", signature)
        assert not is_signed(one.public_key, b"else", signature)
        assert not is_signed(one.public_key, b"said", bytes(64))
    assert is_signed(one.public_key, b"said", signature)


class _Counting(Observer):
    """Counts what it is shown."""

    def __init__(self, *kinds: type[object]) -> None:
        self.kinds = frozenset(kinds) or None
        self.seen: Counter[type[object]] = Counter()

    def on_input(self, machine: Machine, input_: Input) -> None:
        """Count an input."""
        del machine
        self.seen[type(input_)] += 1

    def on_effect(self, machine: Machine, effect: Effect) -> None:
        """Count an effect."""
        del machine
        self.seen[type(effect)] += 1


def test_an_observer_sees_all_of_the_kinds_that_it_wants() -> None:
    """It is shown each of them, and nothing of another kind; who names none sees everything."""
    everything, some = _Counting(), _Counting(Persist, Submitted, TimerFired)
    simulate(Scenario(seed=4), (everything, some))
    wanted = {Persist, Submitted, TimerFired}
    assert some.seen == {kind: n for kind, n in everything.seen.items() if kind in wanted}
    assert set(some.seen) == wanted < set(everything.seen)


class _Late(Observer):
    """Lets another one watch from the end of the chaos on."""

    def __init__(self) -> None:
        self.other = _Counting(Persist)

    def on_calm(self, world: World) -> None:
        """Begin."""
        world.watch(self.other)


def test_an_observer_may_come_later() -> None:
    """It sees what happens from then on."""
    first, late = _Counting(Persist), _Late()
    simulate(Scenario(seed=4), (first, late))
    assert 0 < late.other.seen[Persist] < first.seen[Persist]


def test_machines_know_who_is_who_in_each_epoch() -> None:
    """After a change of members every machine's table is that of the set of its epoch."""

    class Look(Observer):
        def on_end(self, world: World) -> None:
            """Compare the tables with the sets."""
            sets = (tuple(range(world.scenario.validators)), *world.scenario.sets)
            for machine in world.honest:
                members = sets[machine.epoch]
                roster = machine.roster
                assert [roster.member_at(seat) for seat in range(len(members))] == list(members)
                assert [roster.seat_of(NodeIndex(n)) for n in members] == list(range(len(members)))
                assert set(roster.others) == set(members) - {machine.index}
                looked.add((world.scenario.seed, machine.epoch))

    looked: set[tuple[int, int]] = set()
    for seed in range(6):
        outcome = simulate(changing_scenario(seed), (Look(), Audit()))
        assert outcome.promise == "", outcome.plan.failure
    assert {epoch for _, epoch in looked} >= {1, 2}
