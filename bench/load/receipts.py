"""What a gateway says of published events, read as little as measuring needs."""

import msgspec

__all__ = ["FINAL", "REFUSED", "Receipt", "read_receipts"]

FINAL = "final"
REFUSED = "refused"


class Receipt(msgspec.Struct):
    """Of one event."""

    status: str
    code: str = ""
    sequence: int = -1


class _Receipts(msgspec.Struct):
    receipts: list[Receipt] = []


_decode = msgspec.json.Decoder(_Receipts).decode


def read_receipts(body: bytes) -> list[Receipt]:
    """Read the body of an answer; none when it holds none. Raises msgspec.MsgspecError."""
    return _decode(body).receipts
