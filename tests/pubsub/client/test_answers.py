"""Receipts and refusals are read strictly: an answer for other events is no answer."""

import pytest
from msgspec.json import encode

from ledger.core.errors import PeerFault, RejectCode, Rejected
from ledger.core.event import OpenEntry
from pubsub.client.answers import Answer, raise_problem, read_problem, read_receipts
from pubsub.core.documents import Receipt, Receipts
from pubsub.core.problems import HttpCode, Refusal
from tests.support.memory_chain import make_entry

ONE, TWO = make_entry("test-1", 1), make_entry("test-1", 2)


def answer(*rows: Receipt) -> Answer:
    """Give an answer with these receipts."""
    return Answer(200, encode(Receipts(list(rows))), {})


def test_receipts_stand_for_the_events_handed_in() -> None:
    """Each event has its receipt, in order, whether or not the gateway repeats the ids."""
    rows = (
        Receipt(status="pending", id=ONE.id.hex()),
        Receipt(status="final", sequence=4, height=2),
    )
    first, second = read_receipts(answer(*rows), [ONE, TWO])
    assert (first.id, first.status, first.sequence) == (ONE.id, "pending", None)
    assert (second.id, second.status, second.sequence, second.height) == (TWO.id, "final", 4, 2)


def test_a_receipt_may_stand_for_several_events() -> None:
    """Of those it says what one for each would say."""
    rows = (
        Receipt(status="final", sequence=4, height=2, count=2),
        Receipt(status="pending", count=1),
        Receipt(status="pending", id=TWO.id.hex()),
    )
    receipts = read_receipts(answer(*rows), [ONE, TWO, ONE, TWO])
    assert [(r.id, r.status, r.sequence, r.height) for r in receipts] == [
        (ONE.id, "final", 4, 2),
        (TWO.id, "final", 5, 2),
        (ONE.id, "pending", None, None),
        (TWO.id, "pending", None, None),
    ]


def test_a_duplicate_is_no_refusal() -> None:
    """An event that is known is final or on its way; a refused one has its code."""
    known = Receipt(status="refused", code="duplicate", sequence=7, height=3, duplicate=True)
    waiting = Receipt(status="refused", code="duplicate", duplicate=True)
    refused = Receipt(status="refused", code="unknown_key", detail="which?")
    receipts = read_receipts(answer(known, waiting, refused), [ONE, ONE, TWO])
    assert [(r.status, r.duplicate) for r in receipts] == [
        ("final", True),
        ("pending", True),
        ("refused", False),
    ]
    assert (receipts[2].code, receipts[2].detail) == (RejectCode.UNKNOWN_KEY, "which?")


@pytest.mark.parametrize(
    ("rows", "handed_in"),
    [
        ([], [ONE]),
        ([Receipt(status="pending")] * 2, [ONE]),
        ([Receipt(status="pending", id=TWO.id.hex())], [ONE]),
        ([Receipt(status="pending", count=2)], [ONE]),
        ([Receipt(status="pending", count=10**18)], [ONE]),
        ([Receipt(status="pending", count=3), Receipt(status="pending", count=-2)], [ONE]),
        ([Receipt(status="pending", count=0), Receipt(status="pending")], [ONE]),
        ([Receipt(status="pending", count=2, id=ONE.id.hex())], [ONE, TWO]),
        ([Receipt(status="refused", code="malformed", count=2)], [ONE, TWO]),
        ([Receipt(status="pending", current_hash="00" * 10**6, count=2)], [ONE, TWO]),
        ([Receipt(status="final", sequence=1, proof="AAAA", count=1)], [ONE]),
        ([Receipt(status="final")], [ONE]),
        ([Receipt(status="refused")], [ONE]),
        ([Receipt(status="refused", code="whatever")], [ONE]),
        ([Receipt(status="final", sequence=1, proof="!")], [ONE]),
        ([Receipt(status="final", sequence=1, proof="AAAA")], [ONE]),
    ],
)
def test_receipts_of_something_else_are_a_fault(
    rows: list[Receipt], handed_in: list[OpenEntry]
) -> None:
    """A wrong number, id, status, code or proof is the gateway's fault."""
    with pytest.raises(PeerFault):
        read_receipts(answer(*rows), handed_in)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"receipts":1}', b"\xff", b"[" * 100_000])
def test_any_bytes_are_receipts_or_a_fault(body: bytes) -> None:
    """Bytes that are no receipts never raise anything but PeerFault."""
    with pytest.raises(PeerFault):
        read_receipts(Answer(200, body, {}), [ONE])
    assert read_problem(Answer(500, body, {})).code == ""


@pytest.mark.parametrize(
    ("code", "means"),
    [
        (RejectCode.REVOKED_KEY, RejectCode.REVOKED_KEY),
        (HttpCode.INVALID_PARAMETER, RejectCode.MALFORMED),
        (HttpCode.BODY_TOO_LARGE, RejectCode.TOO_LARGE),
        (HttpCode.NOT_FOUND, None),
    ],
)
def test_a_problem_becomes_an_error(code: RejectCode | HttpCode, means: RejectCode | None) -> None:
    """A refusal keeps its code; what no request of ours can cause is the gateway's fault."""
    refusal = Refusal(code, "why so")
    problem = Answer(refusal.status, encode(refusal.problem("/v1/events")), {})
    with pytest.raises((Rejected, PeerFault), match="why so") as caught:
        raise_problem(problem)
    assert getattr(caught.value, "code", None) == means


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("-1", -1), ("", 9), ("x", 9), ("1.5", 9), ("\u0663", 9), ("9" * 99, 9)],
)
def test_numbers_in_headers_are_read_strictly(text: str, number: int) -> None:
    """A header holds a whole number or counts as absent."""
    assert Answer(200, b"", {"retry-after": text}).number("retry-after", 9) == number
