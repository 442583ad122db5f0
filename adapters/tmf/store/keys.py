"""Leaves and values as bytes whose order is the order of the query model. Pure.

A key is a byte for the kind (number, time, text), for numbers and times eight bytes that order
them, and the head of the text; what the head leaves over is the tail, which stands beside. So one
index serves equality, ranges and sorting, and neither database compares texts in its own way.
"""

import struct
from typing import Final, NamedTuple

from adapters.tmf.query.leaves import Leaf
from adapters.tmf.query.model import Operator
from adapters.tmf.query.values import number_of, number_text, time_of
from ledger.core.limits import TMF_LEAF_HEAD_BYTES

__all__ = ["Key", "Range", "key_of_leaf", "key_of_text", "other_texts", "range_of", "text_of"]

_NUMBER: Final = b"1"
_TIME: Final = b"2"
_TEXT: Final = b"3"
_VALUE_BYTES: Final = 8
_SIGN: Final = 1 << 63


class Key(NamedTuple):
    """Where a leaf stands in the order of all leaves at its path."""

    key: bytes
    tail: bytes = b""


class Range(NamedTuple):
    """Leaves from ``first`` on, and before ``end``."""

    first: Key
    end: Key


def key_of_leaf(leaf: Leaf) -> Key:
    """Give the key of a leaf."""
    return _key(_value_of(leaf.number, leaf.time), leaf.text)


def key_of_text(text: str) -> Key:
    """Give the key of leaves that have exactly this text."""
    return _key(_value_of(number_of(text), time_of(text)), text)


def text_of(key: bytes, tail: bytes) -> bytes:
    """Give back the text of a leaf, in UTF-8."""
    start = 1 if key.startswith(_TEXT) else 1 + _VALUE_BYTES
    return key[start:] + tail


def other_texts(value: str) -> Range | None:
    """Give the range that holds numbers equal to a value which JSON writes in another way."""
    number = number_of(value)
    if number is None or number_text(number) == value:
        return None
    return _same_value(_value_of(number, None))


def range_of(operator: Operator, value: str) -> Range:
    """Give the leaves that are greater or less than a value, or equal where that is asked for."""
    read = _value_of(number_of(value), time_of(value))
    if read == _TEXT:
        first = _key(read, value)
        same = Range(first, Key(first.key, first.tail + b"\0"))
        if len(value.encode()) < TMF_LEAF_HEAD_BYTES:  # no leaf with this key has a tail
            same = Range(first, Key(first.key + b"\0"))
    else:
        same = _same_value(read)
    kind = Range(Key(read[:1]), Key(_after(read[:1])))
    match operator:
        case "gt":
            return Range(same.end, kind.end)
        case "gte":
            return Range(same.first, kind.end)
        case "lt":
            return Range(kind.first, same.first)
        case "lte":
            return Range(kind.first, same.end)
        case _:
            raise ValueError(f"{operator} is no order")


def _value_of(number: float | None, time: int | None) -> bytes:
    """Give the beginning of a key: the kind, and what orders the leaves of this kind."""
    if number is not None:
        bits = int.from_bytes(struct.pack(">d", number + 0.0), "big")  # -0.0 is 0.0
        ordered = bits | _SIGN if bits < _SIGN else 2 * _SIGN - 1 - bits
        return _NUMBER + ordered.to_bytes(_VALUE_BYTES, "big")
    if time is not None:
        return _TIME + (time + _SIGN).to_bytes(_VALUE_BYTES, "big")
    return _TEXT


def _key(value: bytes, text: str) -> Key:
    encoded = text.encode()
    return Key(value + encoded[:TMF_LEAF_HEAD_BYTES], encoded[TMF_LEAF_HEAD_BYTES:])


def _same_value(value: bytes) -> Range:
    return Range(Key(value), Key(_after(value)))


def _after(value: bytes) -> bytes:
    """Give the first bytes beyond all that begin with ``value``."""
    return (int.from_bytes(value, "big") + 1).to_bytes(len(value), "big")
