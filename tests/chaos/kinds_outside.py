"""Faults of what a member stands on: its processes, its links, its clock."""

import random

import trio

from tests.chaos.stage import Stage
from tests.chaos.switch import Link
from tests.support.processes import Part

__all__ = ["clock", "cut", "flap", "kill", "lossy", "one_way", "pause", "slow", "split", "stop"]

_NODE, _GATEWAY = Part.NODE, Part.GATEWAY
_CUT = Link(is_cut=True)
_JUMPS_S = (-3_600.0, -10.0, 10.0, 3_600.0)


def _parts(dice: random.Random) -> tuple[Part, ...]:
    return dice.choice([(_NODE, _GATEWAY), (_NODE, _GATEWAY), (_NODE,), (_NODE,), (_GATEWAY,)])


async def kill(stage: Stage, member: int, dice: random.Random) -> None:
    """SIGKILL, and a start after a while."""
    await _down(stage, member, dice, is_asked=False)


async def stop(stage: Stage, member: int, dice: random.Random) -> None:
    """SIGTERM, and a start after a while."""
    await _down(stage, member, dice, is_asked=True)


async def _down(stage: Stage, member: int, dice: random.Random, *, is_asked: bool) -> None:
    parts, down_s = _parts(dice), dice.uniform(0.0, 4.0)
    signal = "SIGTERM" if is_asked else "SIGKILL"
    stage.say(f"member {member}: {signal} to its {' and '.join(parts)}, {down_s:.1f} s")
    await (stage.stop if is_asked else stage.kill)(member, *parts)
    await trio.sleep(down_s)
    for part in parts:
        stage.network.start(member, part)


async def pause(stage: Stage, member: int, dice: random.Random) -> None:
    """SIGSTOP for a while."""
    parts, frozen_s = _parts(dice), dice.uniform(0.5, 5.0)
    stage.say(f"member {member}: SIGSTOP to its {' and '.join(parts)}, {frozen_s:.1f} s")
    for part in parts:
        stage.network.pause(member, part)
    await trio.sleep(frozen_s)
    for part in parts:
        stage.network.resume(member, part)


async def clock(stage: Stage, member: int, dice: random.Random) -> None:
    """Move the wall clock of both processes, and back, perhaps with a start in between."""
    jump_s, held_s = dice.choice(_JUMPS_S), dice.uniform(2.0, 6.0)
    restarts = dice.random() < 0.5
    more = ", its node is started again" if restarts else ""
    stage.say(f"member {member}: clock {jump_s:+.0f} s, for {held_s:.1f} s{more}")
    assert stage.network.clocks is not None
    stage.network.clocks.move(member, jump_s)
    if restarts:
        await trio.sleep(dice.uniform(0.0, 1.0))
        await stage.kill(member, _NODE)
        stage.network.start(member, _NODE)
    await trio.sleep(held_s)
    stage.network.clocks.move(member, 0)
    if dice.random() < 0.5:
        await stage.stop(member, _NODE)
        stage.network.start(member, _NODE)


async def cut(stage: Stage, member: int, dice: random.Random) -> None:
    """Nothing reaches a member, or nothing that it says reaches others, or both."""
    way, cut_s = dice.choice(["both ways", "hears nothing", "says nothing"]), dice.uniform(1.0, 6.0)
    stage.say(f"member {member}: cut off ({way}), {cut_s:.1f} s")
    hears, speaks = way == "says nothing", way == "hears nothing"
    await _hurt_links(stage, member, _CUT, cut_s, (not hears, not speaks))


async def one_way(stage: Stage, member: int, dice: random.Random) -> None:
    """Nothing goes from a member to one other; all other links are well."""
    assert stage.network.wire is not None
    wire, cut_s = stage.network.wire, dice.uniform(1.0, 8.0)
    other = dice.choice([i for i in range(stage.network.size) if i != member])
    stage.say(f"member {member}: nothing goes from it to {other}, {cut_s:.1f} s")
    wire.hurt(lambda a, b: _CUT if (a, b) == (member, other) else None)
    await trio.sleep(cut_s)
    wire.heal(lambda a, b: (a, b) == (member, other))


async def slow(stage: Stage, member: int, dice: random.Random) -> None:
    """All that a member says and hears comes late."""
    delay_s, held_s = dice.uniform(0.05, 0.5), dice.uniform(2.0, 6.0)
    stage.say(f"member {member}: {delay_s * 1_000:.0f} ms late each way, {held_s:.1f} s")
    await _hurt_links(stage, member, Link(delay_s, delay_s / 4), held_s, (True, True))


async def lossy(stage: Stage, member: int, dice: random.Random) -> None:
    """A member's links lose and reorder packets."""
    loss, held_s = dice.uniform(0.02, 0.2), dice.uniform(2.0, 6.0)
    stage.say(f"member {member}: loses {loss * 100:.0f} % of packets, {held_s:.1f} s")
    await _hurt_links(stage, member, Link(0.002, 0.005, loss, 0.05), held_s, (True, True))


async def flap(stage: Stage, member: int, dice: random.Random) -> None:
    """A member is cut off and back several times."""
    times = dice.randint(3, 8)
    stage.say(f"member {member}: cut off and back {times} times")
    for _ in range(times):
        await _hurt_links(stage, member, _CUT, dice.uniform(0.05, 0.8), (True, True))
        await trio.sleep(dice.uniform(0.05, 0.8))


async def split(stage: Stage, _member: int, dice: random.Random) -> None:
    """Two groups that cannot hear each other, neither with a quorum. Nothing becomes final."""
    assert stage.network.wire is not None
    wire, size = stage.network.wire, stage.network.size
    group = set(dice.sample(range(size), size // 2))
    cut_s = dice.uniform(1.0, 6.0)
    stage.say(f"all: members {sorted(group)} apart from the others, {cut_s:.1f} s")
    wire.hurt(lambda a, b: _CUT if (a in group) != (b in group) else None)
    await trio.sleep(cut_s)
    wire.heal(lambda a, b: (a in group) != (b in group))


async def _hurt_links(
    stage: Stage, member: int, link: Link, seconds: float, ways: tuple[bool, bool]
) -> None:
    """Make the links to a member and from it (``ways``) be ``link`` for a while."""
    assert stage.network.wire is not None
    to_it, from_it = ways

    def is_meant(source: int, target: int) -> bool:
        return (to_it and target == member) or (from_it and source == member)

    stage.network.wire.hurt(lambda a, b: link if is_meant(a, b) else None)
    await trio.sleep(seconds)
    stage.network.wire.heal(is_meant)
