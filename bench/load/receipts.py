"""What a gateway says of published events, read as little as measuring needs."""

import msgspec

__all__ = ["FINAL", "REFUSED", "Receipt", "read_receipts"]

FINAL = "final"
REFUSED = "refused"


class Receipt(msgspec.Struct):
    """Of one event, or of ``count`` together."""

    status: str
    code: str = ""
    sequence: int = -1
    count: int = 1


class _Receipts(msgspec.Struct):
    receipts: list[Receipt] = []


_decode = msgspec.json.Decoder(_Receipts).decode


def read_receipts(body: bytes) -> list[Receipt]:
    """Read the body of an answer, one receipt for each event; none when it holds none.

    Raises:
        msgspec.MsgspecError: it is no such body.
    """
    return [row for row in _decode(body).receipts for _ in range(row.count)]
