"""The documents of the usage log's HTTP interface, and the reading of its parameters.

Owns names and forms alone: hashes in hexadecimal, moments as RFC 3339 in answers and questions.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec

from adapters.tmf.query.values import instant_of
from adapters.tmf.refusal import TmfError
from adapters.tmf.usage.disputes import Difference
from adapters.tmf.usage.evidence import BlockView, RecordFilter, RecordView
from adapters.tmf.usage.leaves import Opening
from adapters.tmf.usage.limits import USAGE_PAGE_RECORDS, USAGE_PAGE_RECORDS_MAX

__all__ = [
    "block_document",
    "difference_document",
    "number_of",
    "opening_document",
    "page_of",
    "record_document",
    "record_filter",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER_MAX: Final = 2**53


def block_document(view: BlockView, *, is_seller: bool) -> dict[str, object]:
    """Show one block as it stands, or will stand, on the ledger.

    Args:
        is_seller: why it waits may tell of the seller's own network.
    """
    block = view.block
    return {
        "number": block.number,
        "seller": block.seller,
        "hash": view.hash.hex(),
        "previous": block.previous.hex(),
        "first": block.first,
        "count": block.count,
        "from": _moment(block.from_ms),
        "to": _moment(block.to_ms),
        "root": block.root.hex(),
        "commitment": block.commitment.hex(),
        "totals": [
            {
                "reference": total.reference.hex(),
                "unit": total.unit,
                "amount": total.amount,
                "records": total.records,
            }
            for total in block.totals
        ],
        "event": view.event_id.hex(),
        "sequence": view.sequence,
        "state": "waiting" if view.sequence is None else "final",
        "fault": view.fault if is_seller else "",
    }


def opening_document(opening: Opening, reference: bytes) -> dict[str, object]:
    """Show whose and of what one total is."""
    buyer, product, metric, unit = opening.key
    return {
        "reference": reference.hex(),
        "buyer": buyer,
        "product": product,
        "metric": metric,
        "unit": unit,
        "salt": opening.salt.hex(),
    }


def record_document(view: RecordView) -> dict[str, Any]:
    """Show one record and where it is."""
    return {
        "number": view.number,
        "block": view.block,
        "leaf": view.leaf,
        "supersedes": view.entry.supersedes,
        "supersededBy": view.superseded_by,
        "record": msgspec.Raw(view.entry.body),
    }


def difference_document(difference: Difference) -> dict[str, object]:
    """Show one difference between two sides."""
    return {
        "id": difference.id,
        "what": difference.what,
        "attributes": [one._asdict() for one in difference.attributes],
        "buyerBlock": difference.buyer_block,
        "sellerBlock": difference.seller_block,
    }


def record_filter(parameters: Mapping[str, str]) -> RecordFilter:
    """Read which records are asked for. Raises TmfError 400."""
    _require_known(parameters, {"id", "product", "from", "to", "after", "limit"})
    after, limit = _page(parameters)
    return RecordFilter(
        id=parameters.get("id"),
        product=parameters.get("product"),
        from_ms=_instant_ms(parameters, "from"),
        to_ms=_instant_ms(parameters, "to"),
        after=after,
        limit=limit,
    )


def page_of(parameters: Mapping[str, str]) -> tuple[int, int]:
    """Read after which number, and how many. Raises TmfError 400."""
    _require_known(parameters, {"after", "limit"})
    return _page(parameters)


def number_of(text: str, name: str) -> int:
    """Read a number that is not below zero. Raises TmfError 400."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(_NUMBER_MAX)):
        raise _bad(f"{name} is no number")
    return int(text)


def _page(parameters: Mapping[str, str]) -> tuple[int, int]:
    after = number_of(parameters.get("after", "0"), "after")
    limit = number_of(parameters.get("limit", str(USAGE_PAGE_RECORDS)), "limit")
    return after, min(limit, USAGE_PAGE_RECORDS_MAX)


def _require_known(parameters: Mapping[str, str], known: set[str]) -> None:
    unknown = sorted(parameters.keys() - known)
    if unknown:
        raise _bad(f"{unknown[0][:80]} is none of {', '.join(sorted(known))}")


def _instant_ms(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    # A plus sign that was not encoded arrives as a space.
    instant_us = instant_of(text.replace(" ", "+"))
    if instant_us is None:
        raise _bad(f"{name} is no date-time of RFC 3339")
    return max(0, instant_us // 1000)


def _moment(ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bad(message: str) -> TmfError:
    return TmfError(HTTPStatus.BAD_REQUEST, "invalid-parameter", "Invalid parameter", message)
