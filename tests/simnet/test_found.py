"""Regressions of the simulator itself: what was found wrong with it while it was built."""

from simnet.choices import Choices, Draw
from simnet.federation import CoreFederation
from simnet.scenario import Scenario
from simnet.signatures import cheap_signatures
from simnet.world import World


def test_a_draw_lasts() -> None:
    """A draw that was asked often is still random; used up after 256 bits, it hit every time."""
    draw = Draw(1, "key")
    hits = [draw.hits(100_000) for _ in range(2_000)]
    assert 100 < sum(hits[1_000:]) + sum(hits[:1_000]) < 320
    assert sum(hits[1_000:]) < 160


def test_no_crash_after_the_chaos() -> None:
    """A crash planned for a later emit is called off; it had swallowed effects without a crash."""
    scenario = Scenario(seed=3, chaos_ms=50)
    with cheap_signatures():
        world = World(scenario, Choices(3), CoreFederation(scenario))
        world.begin()
        world.run(50_000)
        expected = world.heal()
        first = world.machines[0]
        first.crash_at = first.emits + 5
        assert world.run(5_000_000, lambda: expected <= set(first.storage.log))
        assert first.incarnation == 1
