"""Whose an entity is and which of its versions is the newest: the same answer on every node.

Owns the two rules by which the order of the ledger decides. The first member that publishes an
entity owns it for ever; events of others about it change nothing. Of the owner's events the last
one counts, except one that tells again the version before the newest: it was overtaken on its way.

Judging is a fold over the events of one entity in the ledger's order, so a node that reads all of
them again reaches the same state, whatever it did in between.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from adapters.tmf.replication.core.model import NONE, Status, Told, Tracked
from adapters.tmf.replication.core.selection import Selection

__all__ = ["Folded", "Judgement", "Rules", "fold", "judge", "select", "take"]


class Rules(msgspec.Struct, frozen=True):
    """What a node goes by.

    Attributes:
        own: its member's DID.
        selection: the part of the catalogue that it takes.
    """

    own: str
    selection: Selection = Selection()


class Judgement(StrEnum):
    """What an event is to an entity."""

    NEXT = "next"
    GAP = "gap"
    AGAIN = "again"
    OVERTAKEN = "overtaken"
    SEEN = "seen"
    FOREIGN = "foreign"


class Folded(NamedTuple):
    """What all events of one entity lead to; ``foreign`` are those of members that do not own it."""

    head: Told
    has_gap: bool
    foreign: list[Told]


def judge(head: Told | None, told: Told) -> Judgement:
    """Say what the next event is to an entity whose newest event so far is ``head``."""
    if head is None:
        return Judgement.NEXT if told.previous == NONE else Judgement.GAP
    assert head.key == told.key
    if told.sequence <= head.sequence:
        return Judgement.SEEN
    if told.publisher != head.publisher:
        return Judgement.FOREIGN
    if told.version == head.version:
        return Judgement.AGAIN
    if told.previous == head.version:
        return Judgement.NEXT
    if told.version == head.previous and not told.is_end:
        return Judgement.OVERTAKEN
    return Judgement.GAP


def take(tracked: Tracked | None, told: Told, rules: Rules) -> tuple[Tracked, Judgement]:
    """Take the next event of an entity.

    Returns:
        How the node is with the entity now. ``CURRENT`` with an end as head and something stored
        before asks the caller to remove the entity at once; ``WANTED`` to fetch it.
    """
    judgement = judge(tracked.head if tracked else None, told)
    if judgement in (Judgement.SEEN, Judgement.FOREIGN, Judgement.OVERTAKEN):
        assert tracked is not None
        return tracked, judgement
    stored = tracked.stored if tracked else NONE
    has_gap = judgement is Judgement.GAP or bool(
        tracked and tracked.has_gap and judgement is not Judgement.NEXT
    )
    return _following(told, stored, rules, has_gap=has_gap), judgement


def select(tracked: Tracked, rules: Rules) -> Tracked:
    """Look at an entity again because the selection changed. What is held is followed further."""
    wanted = _following(tracked.head, tracked.stored, rules, has_gap=tracked.has_gap)
    is_changed = (tracked.status is Status.UNWANTED) != (wanted.status is Status.UNWANTED)
    return wanted if is_changed else tracked


def fold(events: Iterable[Told]) -> Folded | None:
    """Judge all events of one entity, in the ledger's order; None when there are none."""
    head: Told | None = None
    has_gap = False
    foreign: list[Told] = []
    for told in events:
        judgement = judge(head, told)
        if judgement is Judgement.FOREIGN:
            foreign.append(told)
        elif judgement in (Judgement.NEXT, Judgement.GAP, Judgement.AGAIN):
            head = told
            has_gap = judgement is Judgement.GAP or (has_gap and judgement is Judgement.AGAIN)
    return None if head is None else Folded(head, has_gap, foreign)


def _following(head: Told, stored: bytes, rules: Rules, *, has_gap: bool) -> Tracked:
    """Give a fresh start with a head."""
    if head.publisher == rules.own:
        return Tracked(head, Status.OWN, has_gap=has_gap)
    if head.is_end:
        return Tracked(head, Status.CURRENT, has_gap=has_gap)
    if head.version == stored:
        return Tracked(head, Status.CURRENT, stored, has_gap)
    if stored == NONE and not rules.selection.wants(head):
        return Tracked(head, Status.UNWANTED, has_gap=has_gap)
    return Tracked(head, Status.WANTED, stored, has_gap)
