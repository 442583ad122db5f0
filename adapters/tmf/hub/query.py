"""What a registration's query asks for: types of events, conditions, attributes, and where to.

Owns the grammar of the hub (TMF630 10): conditions as in list requests, over the event. Clauses are
joined by ``&`` (all must hold) or by ``;`` (any), never by both:

* ``eventType=ProductOfferingCreateEvent``; several types by ``;``, by ``,``, or by repeating it;
* ``event.<resource>.<path>`` and the members of the event itself (``domain=...``,
  ``analyticCharacteristic.value.previous=Active``) with the operators of list requests;
* ``fields=`` attributes of the resource, or paths of the event (``event.productOffering.name``);
* ``delivery=raw`` or ``delivery=listener``: where events are posted, to the callback itself or to
  ``/listener/<event>`` below it. This one is ours.

Pure.
"""

from http import HTTPStatus
from typing import Final, NamedTuple, cast, get_args

from adapters.tmf.entity import JsonObject
from adapters.tmf.hub.model import Delivery
from adapters.tmf.query.fields import select
from adapters.tmf.query.model import AnyOf, Comparison, Condition
from adapters.tmf.query.parse import parse_conditions
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.model import Api
from ledger.core.limits import TMF_FIELDS_MAX, TMF_HUB_QUERY_CHARS_MAX

__all__ = ["Wanted", "project", "read_query"]

_TYPE: Final = "eventType"
_ALWAYS: Final = (_TYPE, "eventId", "eventTime")
_MEMBERS: Final = frozenset(
    {
        *_ALWAYS,
        *("correlationId", "domain", "title", "description", "priority", "timeOcurred"),
        *("event", "analyticCharacteristic"),
    }
)
_DELIVERIES: Final[tuple[str, ...]] = get_args(Delivery)
_DIRECTIVES: Final = frozenset({"fields", "delivery"})


class Wanted(NamedTuple):
    """A query that was read.

    Attributes:
        types: of events; None for all of the API.
        conditions: on the event, all must hold.
        fields: paths to show of the event; None for all.
        delivery: None for the node's own way.
    """

    types: frozenset[str] | None = None
    conditions: tuple[Condition, ...] = ()
    fields: tuple[str, ...] | None = None
    delivery: Delivery | None = None


def read_query(text: str, api: Api) -> Wanted:
    """Read a registration's query.

    Raises:
        TmfError: 400, which names what is wrong.
    """
    if len(text) > TMF_HUB_QUERY_CHARS_MAX:
        raise _refused(f"has more than {TMF_HUB_QUERY_CHARS_MAX} characters")
    if "&" in text and ";" in text:
        raise _refused("mixes '&' and ';'")
    sign = ";" if ";" in text else "&"
    given: dict[str, str] = {}
    clauses: list[str] = []
    for clause in filter(None, map(str.strip, text.split(sign))):
        name, equals, value = map(str.strip, clause.partition("="))
        if name not in _DIRECTIVES:
            clauses.append(f"{name}{equals}{value}")
        elif sign == ";":
            raise _refused(f"{name} cannot be one of alternatives")
        elif given.setdefault(name, value) != value:
            raise _refused(f"{name} stands more than once")
    types, conditions = _parted(parse_conditions(sign.join(clauses)), api)
    return Wanted(
        types=types,
        conditions=conditions,
        fields=_fields(given.get("fields")),
        delivery=_delivery(given.get("delivery")),
    )


def project(event: JsonObject, resource: str, fields: tuple[str, ...]) -> JsonObject:
    """Show part of an event: what was asked for, its identity, and that of the resource."""
    inside = f"event.{resource}."
    paths = [
        field if field.partition(".")[0] in _MEMBERS else inside + field
        for field in (*_ALWAYS, *fields, f"{inside}id", f"{inside}href")
    ]
    return select(event, paths)


def _parted(
    conditions: tuple[Condition, ...], api: Api
) -> tuple[frozenset[str] | None, tuple[Condition, ...]]:
    """Take the types of events out of the conditions, where they stand alone."""
    types: frozenset[str] | None = None
    others: list[Condition] = []
    for condition in conditions:
        comparisons = condition.comparisons if isinstance(condition, AnyOf) else (condition,)
        named = [_checked(comparison, api) for comparison in comparisons]
        if all(each.path == _TYPE and each.operator == "eq" for each in named):
            found = frozenset(each.value for each in named)
            types = found if types is None else types & found
        else:
            others.append(AnyOf(tuple(named)) if len(named) > 1 else named[0])
    return types, tuple(others)


def _checked(comparison: Comparison, api: Api) -> Comparison:
    """See that a comparison can be met by an event of the API."""
    head, *rest = comparison.path.split(".")
    if head not in _MEMBERS:
        raise _refused(f"{comparison.path} is no member of an event: write event.<resource>.<path>")
    resources = {resource.path for resource in api.resources}
    if head == "event" and (len(rest) < 2 or rest[0] not in resources):  # noqa: PLR2004 - resource and path
        known = ", ".join(sorted(resources))
        raise _refused(f"{comparison.path} names no attribute of {known}")
    if comparison.path != _TYPE or comparison.operator != "eq":
        return comparison
    value = comparison.value
    known_types = {name[0].upper() + name[1:] for each in api.resources for name in each.events}
    type_ = value[:1].upper() + value[1:]
    if type_ not in known_types:
        raise _refused(f"eventType {value} is none of {api.name}")
    return Comparison(_TYPE, "eq", type_)


def _fields(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    if len(names) > TMF_FIELDS_MAX:
        raise _refused(f"fields names more than {TMF_FIELDS_MAX} attributes")
    return tuple(name for name in names if name != "none") if names else None


def _delivery(text: str | None) -> Delivery | None:
    if text is None:
        return None
    if text not in _DELIVERIES:
        raise _refused(f"delivery is one of {', '.join(_DELIVERIES)}")
    return cast("Delivery", text)


def _refused(what: str) -> TmfError:
    return TmfError(HTTPStatus.BAD_REQUEST, "bad-query", "Invalid query", f"query: {what}")
