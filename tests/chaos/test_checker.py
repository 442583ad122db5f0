"""The chaos checker finds every kind of damage that is planted, and nothing in a good history."""

from collections.abc import Callable

import pytest

from ledger.core.event import open_entry
from simnet.checkers.promises import RESTART_S_MAX, History, event_id, find_faults
from tests.ledger.sample_network import entry

IDS = [bytes([number]) * 32 for number in range(1, 7)]
BLOCKS = [bytes([number]) * 32 for number in range(101, 107)]


def good_history() -> History:
    """Give a history in which every promise was kept."""
    return History(
        handed_in={*IDS, b"refused" * 4},
        acknowledged={id_: {sequence} for sequence, id_ in enumerate(IDS[:4])},
        logs={f"member {i}": list(IDS) for i in range(4)},
        roots={f"member {i}": b"root" for i in range(4)},
        blocks={f"member {i}": list(BLOCKS[: 3 + i]) for i in range(4)},
        accusations={("member 0", "member 1")},
        suspects={"member 1"},
        seen={f"subscriber {i}": list(enumerate(IDS)) for i in range(4)},
        restarts_s=[0.0, RESTART_S_MAX],
    )


def _lost(history: History) -> None:
    for log in history.logs.values():
        assert isinstance(log, list)
        del log[3:]
    history.seen = {}


def _moved(history: History) -> None:
    for name in history.logs:
        history.logs[name] = [IDS[1], IDS[0], *IDS[2:]]
    history.seen = {}


def _shorter(history: History) -> None:
    history.logs["member 2"] = IDS[:5]


def _forked(history: History) -> None:
    history.logs["member 2"] = [*IDS[:4], IDS[5], IDS[4]]


def _other_root(history: History) -> None:
    history.roots["member 3"] = b"other root"


def _other_block(history: History) -> None:
    history.blocks["member 1"] = [*BLOCKS[:2], IDS[0]]


def _accused(history: History) -> None:
    history.accusations.add(("member 3", "member 2"))


def _twice_in_log(history: History) -> None:
    for name in history.logs:
        history.logs[name] = [*IDS, IDS[0]]
    history.seen = {}


def _invented(history: History) -> None:
    history.handed_in.discard(IDS[5])


def _gap(history: History) -> None:
    history.seen["subscriber 1"] = [row for row in enumerate(IDS) if row[0] != 2]


def _twice_seen(history: History) -> None:
    history.seen["subscriber 1"] = [*enumerate(IDS[:3]), (2, IDS[2]), *list(enumerate(IDS))[3:]]


def _other_seen(history: History) -> None:
    history.seen["subscriber 1"] = [*list(enumerate(IDS))[:5], (5, bytes(32))]


def _end_unseen(history: History) -> None:
    history.seen["subscriber 1"] = list(enumerate(IDS))[:5]


def _two_places(history: History) -> None:
    history.acknowledged[IDS[0]].add(5)


def _slow(history: History) -> None:
    history.restarts_s.append(RESTART_S_MAX + 0.01)


DAMAGES: list[tuple[Callable[[History], None], str]] = [
    (_lost, "member 0 does not hold the acknowledged event"),
    (_moved, "member 0 does not hold the acknowledged event"),
    (_shorter, "member 2 holds 5 events, another member 6"),
    (_forked, "member 2 holds another event at 4 than the longest log"),
    (_other_root, "ledger roots differ"),
    (_other_block, "member 1 has another final block at height 3 than the longest chain"),
    (_accused, "member 3 holds evidence that member 2 contradicted itself"),
    (_twice_in_log, "member 0 holds 1 events more than once"),
    (_invented, "member 0 holds 1 events that nobody published"),
    (_gap, "subscriber 1 was not given 2 to 2"),
    (_twice_seen, "subscriber 1 was given 2 again after 2"),
    (_other_seen, "subscriber 1 was given another event as 5 than the log holds"),
    (_end_unseen, "subscriber 1 was given nothing from 5 to 5"),
    (_two_places, "was acknowledged as final at [0, 5]"),
    (_slow, "full restart 3: first new commit after 3.01 s"),
]


def test_a_good_history_has_no_fault() -> None:
    """Nothing is found where every promise was kept."""
    assert find_faults(good_history()) == []


@pytest.mark.parametrize("damage, fault", DAMAGES)
def test_each_damage_is_found(damage: Callable[[History], None], fault: str) -> None:
    """One planted damage is named by the check that is there for it."""
    history = good_history()
    damage(history)
    assert any(fault in found for found in find_faults(history))


def test_many_faults_of_one_kind_are_counted() -> None:
    """The first faults of a kind are told, the others counted."""
    history = good_history()
    history.logs["member 1"] = []
    faults = [fault for fault in find_faults(history) if "acknowledged" in fault or "more" in fault]
    assert len(faults) == 4
    assert faults[-1] == "... and 1 more of this kind"


def test_the_id_is_that_of_the_event() -> None:
    """The checker's own digest of an entry is the event's id."""
    encoded = entry()
    assert event_id(encoded) == open_entry(encoded).id
