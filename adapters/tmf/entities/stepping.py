"""Life cycles applied: which steps a change takes, and what happens to those that are forbidden.

Owns the modes: ``strict`` refuses a forbidden step, ``warn`` reports it and lets it through,
``off`` does not look. A life cycle that is advisory is never more than reported. Replicas are
never refused for a step: their owner decided, and its history may have gaps here.
"""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from adapters.tmf.entity import JsonObject, What
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.lifecycle import ORDER_ITEM, ORDER_ITEMS, LifeCycle, fold
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.problems import Place, refusal, spell

__all__ = ["LifeCycles", "Mode", "Step", "kind_of_change"]

Mode = Literal["strict", "warn", "off"]


class Step(msgspec.Struct, frozen=True):
    """One forbidden step of a state.

    Attributes:
        path: of the state ("productOrderItem[0].state").
        before: empty when the entity, or the item, begins.
        after: empty when the state was taken away.
        life_cycle: name of the state machine.
    """

    resource: str
    id: str
    path: str
    before: str
    after: str
    life_cycle: str


class _State(NamedTuple):
    """One state in a document: by which machine it steps, where it stands, what it is."""

    life_cycle: LifeCycle
    place: Place
    text: str


_States: TypeAlias = dict[tuple[str, ...], _State]
"""States by the ids of the items that they are in; the document's own under ``()``."""


def _ignore(step: Step) -> None:
    del step


class LifeCycles:
    """The state machines in one mode.

    Args:
        report: is told of each forbidden step that was let through.
    """

    def __init__(self, mode: Mode, report: Callable[[Step], None] = _ignore) -> None:
        self._mode = mode
        self._report = report

    def judge(self, resource: Resource, before: JsonObject | None, after: JsonObject) -> None:
        """Judge a change that a client asked for.

        Raises:
            TmfError: 409 "transition-forbidden", in mode strict.
        """
        self._judge(resource, before, after, may_refuse=self._mode == "strict")

    def notice(self, resource: Resource, before: JsonObject | None, after: JsonObject) -> None:
        """Report the forbidden steps of a change that is not judged here."""
        self._judge(resource, before, after, may_refuse=False)

    def _judge(
        self,
        resource: Resource,
        before: JsonObject | None,
        after: JsonObject,
        *,
        may_refuse: bool,
    ) -> None:
        if self._mode == "off":
            return
        for step, is_advisory in _forbidden(resource, before, after):
            if may_refuse and not is_advisory:
                raise _refusal(step)
            self._report(step)


def kind_of_change(resource: Resource, before: JsonObject, after: JsonObject) -> What:
    """Tell whether a change of an entity is one of its state."""
    name = resource.state_attribute
    is_same = not name or fold(_text(before.get(name))) == fold(_text(after.get(name)))
    return "attribute" if is_same else "state"


def _forbidden(
    resource: Resource, before: JsonObject | None, after: JsonObject
) -> Iterator[tuple[Step, bool]]:
    """Give each forbidden step, and whether its life cycle is advisory."""
    old, new = _states(resource, before), _states(resource, after)
    for key, (life_cycle, place, state) in new.items():
        earlier = old[key].text if key in old else ""
        if earlier:
            is_allowed = life_cycle.may_follow(earlier, state)
        else:
            is_allowed = not state or life_cycle.may_begin(state)
        if not is_allowed:
            id_ = _text(after.get("id"))
            step = Step(resource.name, id_, spell(place), earlier, state, life_cycle.name)
            yield step, life_cycle.is_advisory


def _states(resource: Resource, document: JsonObject | None) -> _States:
    found: _States = {}
    if document is None or resource.life_cycle is None:
        return found
    name = resource.state_attribute
    found[()] = _State(resource.life_cycle, (None, name), _text(document.get(name)))
    waiting: list[tuple[tuple[str, ...], Place, object]] = []
    if resource.name == "productOrder":
        waiting.append(((), (None, ORDER_ITEMS), document.get(ORDER_ITEMS)))
    while waiting:
        ids, place, items = waiting.pop()
        for index, item in enumerate(items if isinstance(items, list) else ()):
            key = (*ids, _text(item.get("id")))
            here: Place = (place, index)
            found[key] = _State(ORDER_ITEM, (here, "state"), _text(item.get("state")))
            waiting.append((key, (here, ORDER_ITEMS), item.get(ORDER_ITEMS)))
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _refusal(step: Step) -> TmfError:
    if not step.before:
        what = f"a {step.life_cycle} does not begin as {step.after!r}"
    elif not step.after:
        what = f"a {step.life_cycle} does not lose its state"
    else:
        what = f"a {step.life_cycle} does not go from {step.before!r} to {step.after!r}"
    return refusal(HTTPStatus.CONFLICT, "transition-forbidden", f"{step.path}: {what}")
