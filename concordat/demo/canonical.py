"""Canonical JSON after RFC 8785, and the SHA-256 entity hash of a catalogue entity.

Two programs that hold the same entity must get the same digest. Keys are sorted by UTF-16 code
units and nothing stands between tokens. Numbers are written as ECMAScript does in the range where
Python's shortest form is the same; others, which no catalogue needs, are refused.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

__all__ = ["Json", "canonical_json", "entity_hash"]

Json = bool | int | float | str | None | Sequence["Json"] | Mapping[str, "Json"]
"""A JSON value."""

_EXACT_INT_MAX = 2**53 - 1
_DECIMAL_MIN, _DECIMAL_MAX = 1e-4, 1e15


def entity_hash(entity: Json) -> bytes:
    """Give the SHA-256 digest (32 bytes) of the canonical form of ``entity``."""
    return hashlib.sha256(canonical_json(entity)).digest()


def canonical_json(value: Json) -> bytes:
    """Write ``value`` in its only canonical form, as UTF-8.

    Raises:
        ValueError: it holds a number or text that has no canonical form here (a NaN, an integer
            beyond 2**53 - 1, a lone surrogate).
    """
    return _text(value).encode()


def _text(value: Json) -> str:
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_string(key)}:{_text(value[key])}" for key in keys) + "}"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _decimal(value)
    return "[" + ",".join(_text(item) for item in value) + "]"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _integer(value: int) -> str:
    if abs(value) > _EXACT_INT_MAX:
        raise ValueError(f"no canonical form of the number {value!r}")
    return str(value)


def _decimal(value: float) -> str:
    if abs(value) <= _EXACT_INT_MAX and value == int(value):
        return str(int(value))
    if _DECIMAL_MIN <= abs(value) <= _DECIMAL_MAX:
        return repr(value)
    raise ValueError(f"no canonical form of the number {value!r}")
