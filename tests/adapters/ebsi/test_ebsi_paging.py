"""EBSI's pages: against a naive list, and at every edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ebsi.paging import Paging, page_document, read_query
from adapters.ebsi.problems import EbsiProblem

NO_NUMBER = "must be a number conforming to the specified constraints"
URL = "https://h/trusted-issuers-registry/v5/issuers"


def naive_links(page: int, size: int, total: int) -> dict[str, int]:
    """Say by counting which page each link names."""
    pages = [list(range(total))[start : start + size] for start in range(0, total, size)] or [[]]
    last = len(pages)
    before = [number for number in range(1, last + 1) if number < page]
    behind = [number for number in range(1, last + 1) if number > page]
    return {
        "first": 1,
        "prev": before[-1] if before else 1,
        "next": behind[0] if behind else last,
        "last": last,
    }


@given(st.integers(1, 60), st.integers(1, 50), st.integers(0, 400))
def test_links_are_those_of_a_naive_list(page: int, size: int, total: int) -> None:
    """Each link names the page that counting finds, with literal brackets and the asked size."""
    document = page_document(URL, Paging(page, size), total, [])
    links = document["links"]
    assert isinstance(links, dict)
    expected = {
        name: f"{URL}?page[after]={number}&page[size]={size}"
        for name, number in naive_links(page, size, total).items()
    }
    assert links == expected
    assert list(links) == ["first", "prev", "next", "last"]
    assert document["self"] == f"{URL}?page[after]={page}&page[size]={size}"
    assert (document["total"], document["pageSize"]) == (total, size)


@given(st.integers(1, 50), st.lists(st.integers(), max_size=120))
def test_following_next_gives_each_item_once(size: int, rows: list[int]) -> None:
    """All pages from the first to the last hold the list, in order."""
    last = max(1, -(-len(rows) // size))
    seen: list[int] = []
    for number in range(1, last + 1):
        offset = Paging(number, size).offset
        seen += rows[offset : offset + size]
    assert seen == rows


@pytest.mark.parametrize(
    ("pairs", "faults"),
    [
        ([("page[size]", "0")], '["page[size] must not be less than 1"]'),
        ([("page[size]", "51")], '["page[size] must not be greater than 50"]'),
        ([("page[after]", "0")], '["page[after] must not be less than 1"]'),
        ([("page[after]", "-1")], '["page[after] must not be less than 1"]'),
        (
            [("page[after]", "abc")],
            f'["page[after] must not be less than 1","page[after] {NO_NUMBER}"]',
        ),
        (
            [("page[size]", "1"), ("page[size]", "2")],
            (
                '["page[size] must not be greater than 50","page[size] must not be less than 1",'
                f'"page[size] {NO_NUMBER}"]'
            ),
        ),
        ([("invalid-query", "abc")], '["property invalid-query should not exist"]'),
    ],
)
def test_faults_have_the_texts_of_ebsi(pairs: list[tuple[str, str]], faults: str) -> None:
    """What is wrong with a query is listed word by word as EBSI lists it."""
    with pytest.raises(EbsiProblem) as refused:
        read_query(pairs)
    assert (refused.value.status, refused.value.title) == (400, "Bad Request")
    assert refused.value.detail == faults


@pytest.mark.parametrize(("size", "page"), [("1", "1"), ("50", "999999999999999")])
def test_bounds_themselves_are_allowed(size: str, page: str) -> None:
    """The least and the largest size, the first page and any behind it, are read."""
    paging, filters = read_query([("page[size]", size), ("page[after]", page), ("f", "x")], ("f",))
    assert (paging, filters) == (Paging(int(page), int(size)), {"f": "x"})
    assert read_query([])[0] == Paging(1, 10)


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=20)), max_size=4))
def test_any_query_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    """No text in a query does anything but be read or refused."""
    named = [("page[after]", value) for _, value in pairs] + pairs
    try:
        paging, _ = read_query(named)
    except EbsiProblem:
        return
    assert paging.page >= 1
    assert 1 <= paging.size <= 50
