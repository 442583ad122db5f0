"""The seven APIs: where they are, what may be done, which events they tell."""

from typing import Final

import pytest

from adapters.tmf.resources.notation import read_tables
from adapters.tmf.resources.registry import APIS, BY_KEBAB, BY_PATH, RESOURCES, TABLES

# base | path, operations but GET, events but those of "CASD"; C Create, A AttributeValueChange,
# H Change, S StateChange, D Delete, B Batch, I InformationRequired | required | not patchable
TABLE: Final = """
productCatalogManagement/v4 | catalog | PPD | CASDB | name | lastUpdate @type @baseType
productCatalogManagement/v4 | category | PPD | CASD | name | lastUpdate @type @baseType
productCatalogManagement/v4 | productOffering | PPD | CASD | name | lastUpdate @type @baseType
productCatalogManagement/v4 | productOfferingPrice | PPD | CASD | name | lastUpdate @type @baseType
productCatalogManagement/v4 | productSpecification | PPD | CASD | name | lastUpdate @type @baseType
productCatalogManagement/v4 | importJob | PD | - | url |
productCatalogManagement/v4 | exportJob | PD | - | url |
productOrderingManagement/v4 | productOrder | PPD | CASDI | productOrderItem | orderDate
productOrderingManagement/v4 | cancelProductOrder | P | CSI | productOrder |
party/v4 | individual | PPD | CASD | givenName familyName |
party/v4 | organization | PPD | CASD | tradingName |
serviceCatalogManagement/v4 | serviceCatalog | PPD | CHDB | name | lastUpdate
serviceCatalogManagement/v4 | serviceCategory | PPD | CHD | name | lastUpdate
serviceCatalogManagement/v4 | serviceCandidate | PPD | CHD | name serviceSpecification | lastUpdate
serviceCatalogManagement/v4 | serviceSpecification | PPD | CHD | name | lastUpdate
serviceCatalogManagement/v4 | importJob | PD | - | url |
serviceCatalogManagement/v4 | exportJob | PD | - | url |
resourceCatalog/v4 | resourceCatalog | PPD | CHD | name |
resourceCatalog/v4 | resourceCategory | PPD | CHD | name |
resourceCatalog/v4 | resourceCandidate | PPD | CHD | name |
resourceCatalog/v4 | resourceSpecification | PPD | CHD | name |
resourceCatalog/v4 | importJob | PD | CS | url |
resourceCatalog/v4 | exportJob | PD | CS | url |
usageManagement/v4 | usage | PPD | CASD | |
usageManagement/v4 | usageSpecification | PPD | CAD | |
productInventory/v4 | product | PPD | CASDB | status |
"""
EVENTS: Final = {
    "C": "Create",
    "A": "AttributeValueChange",
    "H": "Change",
    "S": "StateChange",
    "D": "Delete",
    "B": "Batch",
    "I": "InformationRequired",
}
OPERATIONS: Final = {
    "PPD": {"GET", "POST", "PATCH", "DELETE"},
    "PD": {"GET", "POST", "DELETE"},
    "P": {"GET", "POST"},
}
ROWS: Final = [tuple(map(str.strip, line.split("|"))) for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_resource(row: tuple[str, ...]) -> None:
    """Each resource is where the definitions have it, with its operations, events and rules."""
    base, path, operations, events, required, fixed = row
    resource = BY_PATH[f"/tmf-api/{base}/{path}"]
    assert resource.operations == OPERATIONS[operations]
    expected = {f"{path}{EVENTS[each]}Event" for each in events if each != "-"}
    assert set(resource.events) == expected
    assert resource.required == tuple(required.split())
    assert resource.unpatchable == {"id", "href", *fixed.split()}
    assert resource.href("x") == f"/tmf-api/{base}/{path}/x"


def test_no_resource_more() -> None:
    """There are seven APIs with these resources; names and kebab names are unique."""
    assert [api.number for api in APIS] == [620, 622, 632, 633, 634, 635, 637]
    assert len(BY_PATH) == len(BY_KEBAB) == len(RESOURCES) == len(ROWS)
    assert sum(len(api.resources) for api in APIS) == len(ROWS)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("productOffering", ["Create", "AttributeValueChange", "StateChange", "Delete"]),
        (
            "usageSpecification",
            ["Create", "AttributeValueChange", "AttributeValueChange", "Delete"],
        ),
        ("serviceCatalog", ["Create", "Change", "Change", "Delete"]),
        ("cancelProductOrder", ["Create", "", "StateChange", ""]),
        ("catalogImportJob", ["", "", "", ""]),
        ("resourceCatalogImportJob", ["Create", "", "StateChange", ""]),
    ],
)
def test_event_of_a_change(resource: str, expected: list[str]) -> None:
    """A change is told by the event that its API has for it, else by the next best, else not."""
    facts = RESOURCES[resource]
    told = [
        facts.event_type("create"),
        facts.event_type("attribute"),
        facts.event_type("state"),
        facts.event_type("delete"),
    ]
    type_name = facts.path[0].upper() + facts.path[1:]
    assert told == [f"{type_name}{word}Event" if word else "" for word in expected]


def test_kebab_names() -> None:
    """Kebab names are those that ids and the ledger use."""
    assert RESOURCES["productOfferingPrice"].kebab == "product-offering-price"
    assert RESOURCES["usage"].kebab == "usage"
    assert RESOURCES["resourceCatalogExportJob"].kebab == "resource-catalog-export-job"


def test_tables_hold_together() -> None:
    """Every shape and every enumeration that an attribute names is in the tables."""
    for shape in TABLES.shapes.values():
        for attribute in shape.attributes.values():
            if attribute.kind == "object":
                assert attribute.of in TABLES.shapes, (shape.name, attribute.name)
            elif attribute.kind == "one of":
                assert attribute.of in TABLES.words, (shape.name, attribute.name)


def test_notation() -> None:
    """A statement gives its attributes, those of its parents, and what is required."""
    tables = read_tables(
        """
        """.strip()
        + "\nBase: name! at:time\nMore < Base: name is:boolean[]\n    some:More[+]! how=How\n"
        "How = a | b c"
    )
    more = tables.shapes["More"].attributes
    assert tables.words == {"How": ("a", "b c")}
    assert tables.shapes["Base"].required == ("name",)
    assert tables.shapes["More"].required == ("some",)
    assert (more["at"].kind, more["is"].kind, more["is"].is_many) == ("time", "boolean", True)
    assert (more["some"].of, more["some"].items_min) == ("More", 1)
    assert (more["how"].kind, more["how"].of, more["id"].kind) == ("one of", "How", "string")
