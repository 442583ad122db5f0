"""What a JSON body must fulfil before its values count: bounded depth, and no name twice.

The usual decoders take the last of two equal names and follow any depth until the C stack ends,
so that two readers of one document may see different events. Everything else that is not JSON
(NaN, lone surrogates, a byte-order mark, trailing text) the typed decoder refuses afterwards.
"""

import json
from typing import TypeVar

import msgspec

from ledger.core.errors import DecodeError
from ledger.core.json_nesting import json_nesting
from ledger.core.limits import GATEWAY_JSON_DEPTH_MAX

__all__ = ["decode_strictly", "json_depth", "require_strict_json"]

T = TypeVar("T")

_PARSED_DEPTH_MAX = 2 * GATEWAY_JSON_DEPTH_MAX  # well within any C stack


def decode_strictly(text: bytes, type_: type[T]) -> T:
    """Read JSON text as a value of ``type_``.

    Raises:
        DecodeError: it is nested too deeply, names a member twice, or is no such value.
    """
    require_strict_json(text)
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(str(error)) from None


def require_strict_json(data: bytes) -> None:
    """Refuse JSON text that is nested too deeply or names a member twice.

    Raises:
        DecodeError: it is, or it is no JSON text in UTF-8 at all.
    """
    if json_depth(data) > GATEWAY_JSON_DEPTH_MAX:
        raise DecodeError(f"JSON is nested more than {GATEWAY_JSON_DEPTH_MAX} levels deep")


def json_depth(data: bytes) -> int:
    """Give how deeply arrays and objects are nested; 0 for a plain value.

    Raises:
        DecodeError: a member stands twice, it is no JSON text in UTF-8, or so deep that a parser
            could not follow it.
    """
    if json_nesting(data) > _PARSED_DEPTH_MAX:
        raise DecodeError("JSON is nested too deeply to be read")
    try:
        value: object = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object_depth, parse_int=str, parse_float=str
        )
        return _depth(value)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from None


def _object_depth(pairs: list[tuple[str, object]]) -> int:
    """Stand in for a finished object: the parser keeps its depth alone."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a member stands twice")
    return 1 + max([_depth(value) for _, value in pairs], default=0)


def _depth(value: object) -> int:
    kind = type(value)
    if kind is int:  # an object inside; numbers are kept as text, and bool is another type
        assert isinstance(value, int)
        return value
    if kind is list:
        assert isinstance(value, list)
        return 1 + max(map(_depth, value), default=0)
    return 0
