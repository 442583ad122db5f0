"""The seven APIs and their resources, as the v4 definitions have them.

Owns every fact about a resource as a whole; what its attributes are stands in the shape tables.

Three APIs have jobs of the same names. A resource's name is unique, so jobs are named after their
catalogue ("resourceCatalogImportJob"); their paths and events stay as defined ("importJob").
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypedDict, Unpack

import msgspec

from adapters.tmf.resources import lifecycle
from adapters.tmf.resources.model import Api, Operation, Resource
from adapters.tmf.resources.notation import Tables, read_tables
from adapters.tmf.resources.shapes_catalogue import CATALOGUE
from adapters.tmf.resources.shapes_common import COMMON
from adapters.tmf.resources.shapes_trade import TRADE

__all__ = ["APIS", "BY_KEBAB", "BY_PATH", "RESOURCES", "TABLES"]

TABLES: Final[Tables] = read_tables(COMMON, CATALOGUE, TRADE)
"""Shapes and enumerations of all resources."""

_ALL: Final[frozenset[Operation]] = frozenset({"GET", "POST", "PATCH", "DELETE"})
_JOB: Final[frozenset[Operation]] = frozenset({"GET", "POST", "DELETE"})
_TASK: Final[frozenset[Operation]] = frozenset({"GET", "POST"})
_STATEFUL: Final = "Create AttributeValueChange StateChange Delete"
_SIMPLE: Final = "Create Change Delete"


class _Facts(TypedDict, total=False):
    """What a resource says of itself; see ``Resource``."""

    name: str
    required: tuple[str, ...]
    server_set: set[str]
    unpatchable: set[str]
    operations: frozenset[Operation]
    state_attribute: str
    first_state: str
    life_cycle: lifecycle.LifeCycle
    stamped: tuple[str, ...]
    subtypes: tuple[str, ...]


def _resource(path: str, events: str, **facts: Unpack[_Facts]) -> Resource:
    """Build a resource; ``events`` are the words between its path and "Event"."""
    name = facts.get("name", path)
    type_name = path[0].upper() + path[1:]
    is_stamped = "lastUpdate" in TABLES.shapes[type_name].attributes
    return Resource(
        name=name,
        api="",  # its API is put in by _api
        base="",
        path=path,
        kebab=re.sub(r"(?=[A-Z])", "-", name).lower(),
        type_name=type_name,
        required=facts.get("required", ()),
        server_set=frozenset({"href"} | facts.get("server_set", set())),
        unpatchable=frozenset({"id", "href"} | facts.get("unpatchable", set())),
        operations=facts.get("operations", _ALL),
        events=tuple(f"{path}{word}Event" for word in events.split()),
        state_attribute=facts.get("state_attribute", ""),
        first_state=facts.get("first_state", ""),
        life_cycle=facts.get("life_cycle"),
        stamped=facts.get("stamped", ("lastUpdate",) if is_stamped else ()),
        subtypes=facts.get("subtypes", ()),
    )


def _element(path: str, events: str, **facts: Unpack[_Facts]) -> Resource:
    """Build a catalogue element: named, with a life cycle."""
    shared: _Facts = {
        "required": ("name",),
        "state_attribute": "lifecycleStatus",
        "first_state": "In study",
        "life_cycle": lifecycle.CATALOGUE_ELEMENT,
    }
    return _resource(path, events, **(shared | facts))


def _element_620(path: str, batch: str = "", **facts: Unpack[_Facts]) -> Resource:
    """Build an element of the product catalogue, where less may be patched."""
    facts["unpatchable"] = {"lastUpdate", "@type", "@baseType"}
    return _element(path, f"{_STATEFUL} {batch}", **facts)


def _element_633(path: str, batch: str = "", **facts: Unpack[_Facts]) -> Resource:
    """Build an element of the service catalogue."""
    facts["unpatchable"] = {"lastUpdate"}
    return _element(path, f"{_SIMPLE} {batch}", **facts)


def _job(catalogue: str, path: str, events: str = "") -> Resource:
    """Build a job of one catalogue."""
    return _resource(
        path,
        events,
        name=f"{catalogue}{path[0].upper()}{path[1:]}",
        required=("url",),
        server_set={"status", "creationDate", "completionDate", "errorLog"},
        operations=_JOB,
        state_attribute="status",
        first_state="Not Started",
        life_cycle=lifecycle.JOB,
        stamped=("creationDate",),
    )


def _api(number: int, name: str, *resources: Resource) -> Api:
    base = f"/tmf-api/{name}/v4"
    placed = tuple(msgspec.structs.replace(each, api=name, base=base) for each in resources)
    return Api(name=name, number=number, base=base, resources=placed)


APIS: Final = (
    _api(
        620,
        "productCatalogManagement",
        _element_620("catalog", "Batch"),
        _element_620("category", life_cycle=lifecycle.CATEGORY, first_state="In design"),
        _element_620("productOffering"),
        _element_620("productOfferingPrice"),
        _element_620("productSpecification"),
        _job("catalog", "importJob"),
        _job("catalog", "exportJob"),
    ),
    _api(
        622,
        "productOrderingManagement",
        _resource(
            "productOrder",
            f"{_STATEFUL} InformationRequired",
            required=("productOrderItem",),
            server_set={"orderDate", "state", "completionDate", "expectedCompletionDate"},
            unpatchable={"orderDate"},
            state_attribute="state",
            first_state="acknowledged",
            life_cycle=lifecycle.ORDER,
            stamped=("orderDate",),
        ),
        _resource(
            "cancelProductOrder",
            "Create StateChange InformationRequired",
            required=("productOrder",),
            server_set={"state", "effectiveCancellationDate"},
            operations=_TASK,
            state_attribute="state",
            first_state="acknowledged",
            life_cycle=lifecycle.CANCELLATION,
        ),
    ),
    _api(
        632,
        "party",
        _resource(
            "individual",
            _STATEFUL,
            required=("givenName", "familyName"),
            state_attribute="status",
            first_state="initialized",
        ),
        _resource(
            "organization",
            _STATEFUL,
            required=("tradingName",),
            state_attribute="status",
            first_state="initialized",
        ),
    ),
    _api(
        633,
        "serviceCatalogManagement",
        _element_633("serviceCatalog", "Batch"),
        _element_633("serviceCategory"),
        _element_633("serviceCandidate", required=("name", "serviceSpecification")),
        _element_633("serviceSpecification"),
        _job("serviceCatalog", "importJob"),
        _job("serviceCatalog", "exportJob"),
    ),
    _api(
        634,
        "resourceCatalog",
        _element("resourceCatalog", _SIMPLE),
        _element("resourceCategory", _SIMPLE),
        _element("resourceCandidate", _SIMPLE),
        _element(
            "resourceSpecification",
            _SIMPLE,
            subtypes=(
                "LogicalResourceSpecification",
                "PhysicalResourceSpecification",
                "ResourceFunctionSpecification",
            ),
        ),
        _job("resourceCatalog", "importJob", "Create StateChange"),
        _job("resourceCatalog", "exportJob", "Create StateChange"),
    ),
    _api(
        635,
        "usageManagement",
        _resource(
            "usage",
            _STATEFUL,
            state_attribute="status",
            first_state="received",
            life_cycle=lifecycle.USAGE,
        ),
        _element("usageSpecification", "Create AttributeValueChange Delete", required=()),
    ),
    _api(
        637,
        "productInventory",
        _resource(
            "product",
            f"{_STATEFUL} Batch",
            required=("status",),
            state_attribute="status",
            life_cycle=lifecycle.PRODUCT,
        ),
    ),
)
"""The APIs by their numbers."""

RESOURCES: Final[Mapping[str, Resource]] = MappingProxyType(
    {each.name: each for api in APIS for each in api.resources}
)
"""All resources by name."""

BY_KEBAB: Final[Mapping[str, Resource]] = MappingProxyType(
    {each.kebab: each for each in RESOURCES.values()}
)
"""All resources by kebab name, as ids and events on the ledger have it."""

BY_PATH: Final[Mapping[str, Resource]] = MappingProxyType(
    {f"{each.base}/{each.path}": each for each in RESOURCES.values()}
)
"""All resources by the path of their collection."""
