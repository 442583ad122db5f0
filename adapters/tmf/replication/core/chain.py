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

__all__ = ["Head", "Judgement", "Rules", "correct", "fold", "judge", "select", "take"]


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


class Head(NamedTuple):
    """What the events of an entity lead to: fields of ``Tracked`` that follow from them alone."""

    told: Told
    chains: dict[str, Told]
    has_gap: bool


def judge(head: Told | None, last: Told | None, told: Told) -> Judgement:
    """Say what the next event is to an entity.

    Args:
        head: its newest event so far; ``last``: the newest one of the same form.
    """
    assert head is None or head.key == told.key
    assert last is None or last.form == told.form
    if head is not None and told.sequence <= head.sequence:
        return Judgement.SEEN
    if head is not None and told.publisher != head.publisher:
        return Judgement.FOREIGN
    if last is None:
        return Judgement.NEXT if told.previous == NONE else Judgement.GAP
    if told.version == last.version:
        return Judgement.AGAIN
    if told.previous == last.version:
        return Judgement.NEXT
    if told.version == last.previous and not told.is_end:
        return Judgement.OVERTAKEN
    return Judgement.GAP


def take(tracked: Tracked | None, told: Told, rules: Rules) -> tuple[Tracked, Judgement]:
    """Take the next event of an entity.

    Returns:
        How the node is with the entity now. With an end as head, the caller removes at once what
        is stored; ``WANTED`` asks for a fetch.
    """
    before = _head(tracked) if tracked else None
    head, judgement = _step(before, told)
    if tracked and head is before:
        return tracked, judgement
    return _following(head, tracked.stored if tracked else NONE, rules), judgement


def select(tracked: Tracked, rules: Rules) -> Tracked:
    """Look at an entity again because the selection changed. What is held is followed further."""
    wanted = _following(_head(tracked), tracked.stored, rules)
    is_changed = (tracked.status is Status.UNWANTED) != (wanted.status is Status.UNWANTED)
    return wanted if is_changed else tracked


def fold(events: Iterable[Told]) -> Head | None:
    """Judge all events of one entity, in the ledger's order; None when there are none."""
    head: Head | None = None
    for told in events:
        head, _ = _step(head, told)
    return head


def correct(tracked: Tracked | None, head: Head, rules: Rules) -> Tracked:
    """Put right what this node tracks after all events of the entity were read again."""
    if tracked and (tracked.head, tracked.chains) == (head.told, head.chains):
        return msgspec.structs.replace(tracked, has_gap=head.has_gap)
    return _following(head, tracked.stored if tracked else NONE, rules)


def _head(tracked: Tracked) -> Head:
    return Head(tracked.head, tracked.chains, tracked.has_gap)


def _step(head: Head | None, told: Told) -> tuple[Head, Judgement]:
    """Give the head after an event: the same object when the event changes nothing."""
    chains = head.chains if head else {}
    judgement = judge(head.told if head else None, chains.get(told.form), told)
    if head is None:
        return Head(told, {told.form: told}, judgement is Judgement.GAP), judgement
    if judgement in (Judgement.SEEN, Judgement.FOREIGN, Judgement.OVERTAKEN):
        return head, judgement
    is_link = judgement is Judgement.NEXT
    has_gap = judgement is Judgement.GAP or (head.has_gap and not is_link)
    return Head(told, {**chains, told.form: told}, has_gap), judgement


def _following(head: Head, stored: bytes, rules: Rules) -> Tracked:
    """Give a fresh start with a head."""
    told = head.told
    if told.publisher == rules.own:
        return Tracked(told, head.chains, Status.OWN, has_gap=head.has_gap)
    if told.is_end:
        return Tracked(told, head.chains, Status.CURRENT, has_gap=head.has_gap)
    if told.version == stored:
        return Tracked(told, head.chains, Status.CURRENT, stored, head.has_gap)
    if stored == NONE and not rules.selection.wants(told):
        return Tracked(told, head.chains, Status.UNWANTED, has_gap=head.has_gap)
    return Tracked(told, head.chains, Status.WANTED, stored, head.has_gap)
