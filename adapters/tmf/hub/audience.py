"""Who is told what of a change: registrations compiled once, and the three views of an event.

Owns the rule of visibility. Whether an entity exists for the owner of a registration is judged
before and after the change:

* after: the whole event is told; previous values only when it was visible before, too.
* before alone: the event is told with nothing of the entity but ``id`` and ``href``, so that the
  owner learns that what it knew is gone from its sight. Conditions are judged on what it knew.
* else: nothing is told.

Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec

from adapters.tmf.caller import Caller
from adapters.tmf.entity import JsonObject
from adapters.tmf.hub.events import CHANGES, HubEvent
from adapters.tmf.hub.matching import Judged, Matchers
from adapters.tmf.hub.model import Registration
from adapters.tmf.hub.query import Wanted, project
from adapters.tmf.query.matching import Test
from adapters.tmf.query.model import Condition
from adapters.tmf.resources.model import Api, Resource

__all__ = ["Audience", "Listener", "Notification", "Told", "Visible", "compile_listener"]

Visible = Callable[[Resource, Caller], tuple[Condition, ...]]
"""What an entity must meet to exist for a caller."""

Tests: TypeAlias = tuple[Test, ...]
Fields: TypeAlias = tuple[str, ...] | None

_IDENTITY: Final = ("id", "href")
_encode: Final = msgspec.json.Encoder().encode


class Notification(NamedTuple):
    """What one registration is told of one event.

    Attributes:
        number: of the change.
        event: lowerCamel name, the last segment of a listener's path.
    """

    number: int
    event: str
    body: bytes


class Told:
    """One event, as all registrations share it: what was judged and encoded is remembered."""

    def __init__(self, event: HubEvent) -> None:
        self.event = event
        self._judged: dict[str, Judged] = {}
        self._bodies: dict[tuple[str, Fields], bytes] = {}
        self._decided: dict[tuple[Tests, Tests, Fields], Notification | None] = {}

    def notification(self, listener: "Listener") -> Notification | None:
        """Give what a listener is told of it."""
        visible = listener.visible[self.event.resource.name]
        key = (visible, listener.tests, listener.fields)
        if key not in self._decided:
            self._decided[key] = self._decide(*key)
        return self._decided[key]

    def _decide(self, visible: Tests, tests: Tests, fields: Fields) -> Notification | None:
        view = self._view(visible)
        if not view or not self._judge(f"event {view}").meets(tests):
            return None
        type_ = self.event.type
        return Notification(
            self.event.number, type_[0].lower() + type_[1:], self._body(view, fields)
        )

    def _view(self, tests: Tests) -> str:
        was_visible = self.event.before is not None and self._judge("before").meets(tests)
        if self.event.after is None:
            return "whole" if was_visible else ""
        if self._judge("after").meets(tests):
            return "whole" if was_visible or self.event.before is None else "new"
        return "gone" if was_visible else ""

    def _judge(self, what: str) -> Judged:
        judged = self._judged.get(what)
        if judged is None:
            judged = self._judged[what] = Judged(self._document(what))
        return judged

    def _document(self, what: str) -> JsonObject:
        event = self.event
        match what:
            case "before":
                return event.before or {}
            case "after":
                return event.after or {}
            case "event whole":
                return event.document
            case "event gone":
                return self._with_payload(event.before or {})
        return self._with_payload(event.after or {})

    def _with_payload(self, entity: JsonObject) -> JsonObject:
        plain = {name: value for name, value in self.event.document.items() if name != CHANGES}
        return {**plain, "event": {self.event.resource.path: entity}}

    def _body(self, view: str, fields: Fields) -> bytes:
        body = self._bodies.get((view, fields))
        if body is None:
            document = self._shown(view)
            if fields is not None:
                document = project(document, self.event.resource.path, fields)
            body = self._bodies[view, fields] = _encode(document)
        return body

    def _shown(self, view: str) -> JsonObject:
        if view != "gone":
            return self._document(f"event {view}")
        known = self.event.before or {}
        return self._with_payload({name: known[name] for name in _IDENTITY if name in known})


class Listener(NamedTuple):
    """A compiled registration.

    Attributes:
        types: of events that it may want; None for all of its API.
        visible: by name of the resource.
    """

    id: str
    api: str
    types: frozenset[str] | None
    tests: Tests
    visible: Mapping[str, Tests]
    fields: Fields


class Audience:
    """Some listeners, by the type of event that they may want."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._of_type: dict[tuple[str, str], list[Listener]] = {}
        self._of_all: dict[str, list[Listener]] = {}
        for listener in listeners:
            if listener.types is None:
                self._of_all.setdefault(listener.api, []).append(listener)
            for type_ in listener.types or ():
                self._of_type.setdefault((listener.api, type_), []).append(listener)

    def tell(self, told: Told) -> dict[str, Notification]:
        """Give what each of them is told of an event, by id."""
        api = told.event.resource.api
        found: dict[str, Notification] = {}
        for listeners in (
            self._of_type.get((api, told.event.type), ()),
            self._of_all.get(api, ()),
        ):
            for listener in listeners:
                if (notification := told.notification(listener)) is not None:
                    found[listener.id] = notification
        return found


def compile_listener(
    registration: Registration, wanted: Wanted, api: Api, visible: Visible, matchers: Matchers
) -> Listener:
    """Compile a registration; equal conditions of all registrations become the same tests."""
    owner = registration.owner
    return Listener(
        id=registration.id,
        api=registration.api,
        types=wanted.types,
        tests=matchers.tests(wanted.conditions),
        visible={
            resource.name: matchers.tests(visible(resource, owner)) for resource in api.resources
        },
        fields=wanted.fields,
    )
