"""What a list answer says about the list, and which resource a path names: the pure parts."""

import pytest

from adapters.tmf.api.paging import Shown, list_headers, list_status
from adapters.tmf.api.routing import Paths, Place
from adapters.tmf.query.model import Query
from adapters.tmf.resources.registry import APIS, RESOURCES

PATHS = Paths(APIS)
BASE = "/tmf-api/party/v4"


def links(query: Query, shown: Shown, raw: str = "") -> dict[str, str]:
    """Give the links of a list answer by relation."""
    header = list_headers("/x", raw, query, shown).get("link", "")
    parts = [part.split(">; rel=") for part in header.split(", ") if part]
    return {relation.strip('"'): url.removeprefix("<") for url, relation in parts}


@pytest.mark.parametrize(
    "query, shown, status, span",
    [
        (Query(), Shown(3, 3), 200, None),
        (Query(), Shown(3, 9), 200, None),  # the node's own bound
        (Query(limit=3), Shown(3, 3), 200, None),
        (Query(limit=3), Shown(3, 4), 206, "items 0-2/4"),
        (Query(offset=1), Shown(3, 4), 206, "items 1-3/4"),
        (Query(offset=9), Shown(0, 4), 206, "items */4"),
        (Query(limit=0), Shown(0, 4), 206, "items */4"),
        (Query(offset=9, limit=1), Shown(0, 0), 200, None),
    ],
)
def test_when_a_list_is_a_part(query: Query, shown: Shown, status: int, span: str | None) -> None:
    """Only a client that asked for a part gets 206, and then the range that it got."""
    assert list_status(query, shown) == status
    assert list_headers("/x", "", query, shown).get("content-range") == span


def test_a_list_that_the_node_cut_leads_on() -> None:
    """Also without paging of the client's, there is a way to the rest."""
    assert links(Query(), Shown(3, 7)) == {
        "first": "/x?offset=0&limit=3",
        "next": "/x?offset=3&limit=3",
        "last": "/x?offset=6&limit=3",
    }


def test_links_stay_within_the_list() -> None:
    """Nothing leads before the first or behind the last entity."""
    assert links(Query(offset=1, limit=2), Shown(2, 3)) == {
        "first": "/x?offset=0&limit=2",
        "prev": "/x?offset=0&limit=2",
        "last": "/x?offset=2&limit=2",
    }
    assert links(Query(offset=50, limit=2), Shown(0, 3))["prev"] == "/x?offset=1&limit=2"
    assert links(Query(limit=0), Shown(0, 3)) == {}
    assert links(Query(limit=3), Shown(3, 3)) == {}


def test_links_repeat_the_question() -> None:
    """Filters stay as they were sent, but for what would end the link."""
    raw = "a.b=c,d&limit=1&e%3E5&offset=2&f>6&g=%22"
    assert links(Query(offset=2, limit=1), Shown(1, 9), raw)["next"] == (
        "/x?a.b=c,d&e%3E5&f%3E6&g=%22&offset=3&limit=1"
    )


def test_every_collection_has_its_paths() -> None:
    """Each resource of the registry is found, its items, its contents and the hub of its API."""
    for resource in RESOURCES.values():
        path = f"{resource.base}/{resource.path}"
        for suffix, place, id_ in (
            ("", Place.COLLECTION, ""),
            ("/", Place.COLLECTION, ""),
            ("/hub", Place.ITEM, "hub"),
            ("/a%3Ab", Place.ITEM, "a:b"),
            ("/a/content", Place.CONTENT, "a"),
        ):
            found = PATHS.find(path + suffix)
            assert found is not None
            assert (found.place, found.resource, found.id) == (place, resource, id_)
        hub = PATHS.find(f"{resource.base}/hub")
        assert hub is not None
        assert (hub.place, hub.api.name) == (Place.HUB, resource.api)
        registration = PATHS.find(f"{resource.base}/hub/7/")
        assert registration is not None
        assert (registration.place, registration.id) == (Place.REGISTRATION, "7")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/tmf-api",
        BASE,
        f"{BASE}/none",
        f"{BASE}/individual/a/b",
        f"{BASE}/individual//content",
        f"{BASE}/hub/a/content",
        f"//{BASE}/individual",
        "/tmf-api/party/v5/individual",
        "/tmf-api%2Fparty/v4/individual",
    ],
)
def test_other_paths_name_nothing(path: str) -> None:
    """What is no path of the definitions is nothing, however near it is."""
    assert PATHS.find(path) is None
