"""The seven APIs and their resources, as the v4 definitions have them.

Owns every fact about a resource as a whole; what its attributes are stands in the shape tables.

Three APIs have jobs of the same names. A resource's name is unique, so jobs are named after their
catalogue ("resourceCatalogImportJob"); their paths and events stay as defined ("importJob").
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapters.tmf.resources import lifecycle
from adapters.tmf.resources.model import Api, Operation, Resource
from adapters.tmf.resources.notation import Tables, read_tables
from adapters.tmf.resources.shapes_catalogue import CATALOGUE
from adapters.tmf.resources.shapes_common import COMMON
from adapters.tmf.resources.shapes_trade import TRADE

__all__ = ["APIS", "BY_KEBAB", "BY_PATH", "RESOURCES", "TABLES"]

TABLES: Final[Tables] = read_tables(COMMON, CATALOGUE, TRADE)
"""Shapes and enumerations of all resources."""

_ALWAYS: Final = frozenset({"id", "href"})
_ALL: Final[frozenset[Operation]] = frozenset({"GET", "POST", "PATCH", "DELETE"})
_JOB: Final[frozenset[Operation]] = frozenset({"GET", "POST", "DELETE"})
_TASK: Final[frozenset[Operation]] = frozenset({"GET", "POST"})
_STATEFUL: Final = "Create AttributeValueChange StateChange Delete"
_SIMPLE: Final = "Create Change Delete"
_UNPATCHABLE_620: Final = _ALWAYS | {"lastUpdate", "@type", "@baseType"}


def _resource(path: str, events: str, **facts: object) -> Resource:
    """Build a resource; what all share is filled in by its API.

    ``events`` are the words between the path and "Event".
    """
    type_name = path[0].upper() + path[1:]
    name = str(facts.pop("name", path))
    shape = TABLES.shapes[type_name]
    defaults: dict[str, object] = {
        "name": name,
        "api": "",
        "base": "",
        "path": path,
        "kebab": re.sub(r"(?=[A-Z])", "-", name).lower(),
        "type_name": type_name,
        "required": (),
        "server_set": _ALWAYS - {"id"},
        "unpatchable": _ALWAYS,
        "operations": _ALL,
        "events": tuple(f"{path}{word}Event" for word in events.split()),
        "stamped": ("lastUpdate",) if "lastUpdate" in shape.attributes else (),
    }
    return Resource(**{**defaults, **facts})  # type: ignore[arg-type] # checked by the tests


def _element(path: str, events: str, **facts: object) -> Resource:
    """Build a catalogue element: named, with a life cycle."""
    life_cycle = lifecycle.CATALOGUE_ELEMENT
    shared: dict[str, object] = {
        "required": ("name",),
        "state_attribute": "lifecycleStatus",
        "first_state": "In study",
        "life_cycle": life_cycle,
    }
    return _resource(path, events, **{**shared, **facts})


def _jobs(prefix: str, events: str) -> tuple[Resource, Resource]:
    """Build the import and export jobs of one catalogue."""
    server_set = _ALWAYS - {"id"} | {"status", "creationDate", "completionDate", "errorLog"}

    def job(path: str) -> Resource:
        return _resource(
            path,
            events,
            name=f"{prefix}{path[0].upper()}{path[1:]}",
            required=("url",),
            server_set=server_set,
            operations=_JOB,
            state_attribute="status",
            first_state="Not Started",
            life_cycle=lifecycle.JOB,
            stamped=("creationDate",),
        )

    return job("importJob"), job("exportJob")


def _api(number: int, name: str, base: str, *resources: Resource) -> Api:
    placed = tuple(_placed(each, name, f"/tmf-api/{base}/v4") for each in resources)
    return Api(name=name, number=number, base=f"/tmf-api/{base}/v4", resources=placed)


def _placed(resource: Resource, api: str, base: str) -> Resource:
    facts = {each: getattr(resource, each) for each in resource.__struct_fields__}
    return Resource(**{**facts, "api": api, "base": base})


def _element_620(path: str, batch: str = "", **facts: object) -> Resource:
    """Build an element of the product catalogue, where less may be patched."""
    return _element(path, f"{_STATEFUL}{batch}", unpatchable=_UNPATCHABLE_620, **facts)


def _element_633(path: str, batch: str = "", **facts: object) -> Resource:
    """Build an element of the service catalogue."""
    unpatchable = _ALWAYS | {"lastUpdate"}
    return _element(path, f"{_SIMPLE}{batch}", unpatchable=unpatchable, **facts)


APIS: Final = (
    _api(
        620,
        "productCatalogManagement",
        "productCatalogManagement",
        _element_620("catalog", " Batch"),
        _element_620("category", life_cycle=lifecycle.CATEGORY, first_state="In design"),
        _element_620("productOffering"),
        _element_620("productOfferingPrice"),
        _element_620("productSpecification"),
        *_jobs("catalog", ""),
    ),
    _api(
        622,
        "productOrderingManagement",
        "productOrderingManagement",
        _resource(
            "productOrder",
            f"{_STATEFUL} InformationRequired",
            required=("productOrderItem",),
            server_set=_ALWAYS - {"id"}
            | {"orderDate", "state", "completionDate", "expectedCompletionDate"},
            unpatchable=_ALWAYS | {"orderDate"},
            state_attribute="state",
            first_state="acknowledged",
            life_cycle=lifecycle.ORDER,
            stamped=("orderDate",),
        ),
        _resource(
            "cancelProductOrder",
            "Create StateChange InformationRequired",
            required=("productOrder",),
            server_set=_ALWAYS - {"id"} | {"state", "effectiveCancellationDate"},
            operations=_TASK,
            state_attribute="state",
            first_state="acknowledged",
            life_cycle=lifecycle.CANCELLATION,
        ),
    ),
    _api(
        632,
        "party",
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
        "serviceCatalogManagement",
        _element_633("serviceCatalog", " Batch"),
        _element_633("serviceCategory"),
        _element_633("serviceCandidate", required=("name", "serviceSpecification")),
        _element_633("serviceSpecification"),
        *_jobs("serviceCatalog", ""),
    ),
    _api(
        634,
        "resourceCatalog",
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
        *_jobs("resourceCatalog", "Create StateChange"),
    ),
    _api(
        635,
        "usageManagement",
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
