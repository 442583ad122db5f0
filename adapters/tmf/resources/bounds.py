"""The bounds of any document, whatever its resource: depth, counts, sizes, characters, numbers.

What passes is safe to copy, to canonicalise, to index and to keep in every database. The walk has a
stack of its own, so that no document can exhaust the interpreter's.
"""

import math
from typing import Final

from adapters.tmf.resources.problems import Place, malformed
from ledger.core.limits import (
    TMF_ARRAY_ITEMS_MAX,
    TMF_ATTRIBUTES_MAX,
    TMF_DEPTH_MAX,
    TMF_NAME_CHARS_MAX,
    TMF_STRING_CHARS_MAX,
    TMF_VALUES_MAX,
)

__all__ = ["check_bounds"]

_INTEGER_MAX: Final = 2**53 - 1  # beyond, readers of JSON disagree (RFC 8785)


def check_bounds(value: object) -> None:
    """Refuse a value that is no JSON of bounded size.

    Raises:
        TmfError: 400; the message names the place.
    """
    waiting: list[tuple[object, int, Place]] = [(value, 0, None)]
    values_count = 0
    while waiting:
        found, depth, place = waiting.pop()
        if isinstance(found, dict):
            _check_object(found, depth, place)
            waiting += [(each, depth + 1, (place, name)) for name, each in found.items()]
        elif isinstance(found, list):
            _check_array(found, depth, place)
            waiting += [(each, depth + 1, (place, index)) for index, each in enumerate(found)]
        else:
            _check_leaf(found, place)
        values_count += 1
        if values_count + len(waiting) > TMF_VALUES_MAX:
            raise malformed("too-many-values", None, f"has more than {TMF_VALUES_MAX} values")


def _check_object(found: dict[object, object], depth: int, place: Place) -> None:
    _check_depth(depth, place)
    if len(found) > TMF_ATTRIBUTES_MAX:
        what = f"has {len(found)} attributes, at most {TMF_ATTRIBUTES_MAX} are allowed"
        raise malformed("too-many-attributes", place, what)
    for name in found:
        if not isinstance(name, str):
            raise malformed("not-json", place, "has an attribute whose name is no string")
        if not 0 < len(name) <= TMF_NAME_CHARS_MAX:
            what = f"has an attribute whose name is not of 1 to {TMF_NAME_CHARS_MAX} characters"
            raise malformed("forbidden-name", place, what)
        if not name.isprintable():
            what = "has an attribute whose name has characters that cannot be printed"
            raise malformed("forbidden-name", place, what)


def _check_array(found: list[object], depth: int, place: Place) -> None:
    _check_depth(depth, place)
    if len(found) > TMF_ARRAY_ITEMS_MAX:
        what = f"has {len(found)} items, at most {TMF_ARRAY_ITEMS_MAX} are allowed"
        raise malformed("too-many-items", place, what)


def _check_depth(depth: int, place: Place) -> None:
    if depth >= TMF_DEPTH_MAX:
        raise malformed("too-deep", place, f"is nested more than {TMF_DEPTH_MAX} deep")


def _check_leaf(found: object, place: Place) -> None:
    if isinstance(found, str):
        _check_text(found, place)
    elif isinstance(found, bool) or found is None:
        return
    elif isinstance(found, int):
        if abs(found) > _INTEGER_MAX:
            raise malformed("number-out-of-range", place, "is beyond 2**53 - 1")
    elif isinstance(found, float):
        if not math.isfinite(found) or (found.is_integer() and abs(found) > _INTEGER_MAX):
            raise malformed("number-out-of-range", place, "is beyond 2**53 - 1 or no number")
    else:
        raise malformed("not-json", place, "is no value of JSON")


def _check_text(text: str, place: Place) -> None:
    if len(text) > TMF_STRING_CHARS_MAX:
        what = f"has {len(text)} characters, at most {TMF_STRING_CHARS_MAX} are allowed"
        raise malformed("too-long", place, what)
    if "\0" in text or not _is_unicode(text):
        raise malformed("forbidden-character", place, "has NUL or half of a surrogate pair")


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
