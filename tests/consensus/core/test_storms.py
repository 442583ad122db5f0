"""Seeded storms over whole federations: agreement at every moment, liveness once they end."""

import pytest

from consensus.core.messages import encode_message
from tests.consensus.core import actors
from tests.consensus.core.storm import Actor, Storm

ACTORS: tuple[Actor, ...] = (
    actors.equivocator,
    actors.withholder,
    actors.forger,
    actors.miser,
    actors.spoiler,
)
GROUP = 10  # seeds of one test


def weather(count: int, seed: int, actor: Actor | None = None, *, twin: bool = False) -> None:
    """Let one storm rage and end; it raises when something does not hold."""
    storm = Storm(count, seed, actor, twin=twin)
    storm.rage()
    storm.calm()


@pytest.mark.parametrize("group", range(12))
def test_four_validators_agree_and_recover(group: int) -> None:
    """Loss, delays, partitions and crashes cost four validators time and nothing else."""
    for seed in range(group * GROUP, (group + 1) * GROUP):
        weather(4, seed)


@pytest.mark.parametrize("seed", range(6))
def test_seven_validators_agree_and_recover(seed: int) -> None:
    """The same for seven, of which two may be down at a time."""
    weather(7, seed)


@pytest.mark.parametrize("actor", ACTORS, ids=lambda actor: actor.__name__)
def test_one_faulty_validator_changes_nothing(actor: Actor) -> None:
    """Four validators agree and order everything although one of them does its worst."""
    for seed in range(GROUP):
        weather(4, seed, actor)


def test_twins_change_nothing() -> None:
    """Two machines with one key cannot make the others disagree, or stop."""
    for seed in range(2 * GROUP):
        weather(4, seed, twin=True)
    weather(7, 0, actors.equivocator, twin=True)


def test_the_same_storm_gives_the_same_messages() -> None:
    """A core is a function of its inputs: two runs of one seed send the same bytes in order."""

    def messages(seed: int) -> list[bytes]:
        storm = Storm(4, seed, twin=True)
        storm.rage()
        storm.calm()
        return [encode_message(message) for _, message in storm.world.wire]

    assert messages(3) == messages(3)
    assert messages(3) != messages(4)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 5, 7, 10])
def test_many_storms(count: int) -> None:
    """More seeds, and numbers of validators that are not 3 f + 1."""
    for seed in range(1_000, 1_000 + 4_000 // count**2):
        weather(count, seed)


@pytest.mark.slow
@pytest.mark.parametrize("actor", [*ACTORS, None], ids=lambda a: getattr(a, "__name__", "twin"))
def test_many_storms_with_a_faulty_validator(actor: Actor | None) -> None:
    """More seeds for each kind of faulty validator, among four and among seven."""
    for seed in range(1_000, 1_100):
        weather(4, seed, actor, twin=actor is None)
    for seed in range(1_000, 1_010):
        weather(7, seed, actor, twin=actor is None)
