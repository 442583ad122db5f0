"""What a JSON body must fulfil before its values count: bounded depth, and no name twice.

The usual decoders take the last of two equal names and follow any depth until the C stack ends,
so that two readers of one document may see different events. Everything else that is not JSON
(NaN, lone surrogates, a byte-order mark, trailing text) the typed decoder refuses afterwards.
"""

import json
import re
from typing import Final

from ledger.core.errors import DecodeError
from ledger.core.limits import GATEWAY_JSON_DEPTH_MAX

__all__ = ["json_depth", "require_strict_json"]

# A string that does not end is taken to the end of the text: the scan stays linear.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_OPENING: Final = (b"{", b"[")
_CLOSING: Final = (b"}", b"]")


def json_depth(data: bytes) -> int:
    """Give how deeply arrays and objects are nested, for text that may be no JSON at all."""
    depth = deepest = 0
    for match in _TOKEN.finditer(data):
        token = match[0]
        if token in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif token in _CLOSING:
            depth -= 1
    return deepest


def require_strict_json(data: bytes) -> None:
    """Refuse JSON text that is nested too deeply or names a member twice.

    Raises:
        DecodeError: it is, or it is no JSON text in UTF-8 at all.
    """
    if json_depth(data) > GATEWAY_JSON_DEPTH_MAX:
        msg = f"JSON is nested more than {GATEWAY_JSON_DEPTH_MAX} levels deep"
        raise DecodeError(msg)
    try:
        json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise DecodeError(msg) from None


def _unique(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the member {twice[:64]!r} stands twice"
        raise ValueError(msg)
