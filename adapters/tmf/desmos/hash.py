"""Desmos' hashes: H, hashlinks, and the hashed names of entities and organisations.

Owns the canonical form that Desmos hashes. It is Jackson's and Java's, not RFC 8785: the elements
of arrays are sorted, so that H says nothing of their order, and numbers with a fraction look as
``Double.toString`` writes them. Pure. H must be the same as the peers' to the last byte, or no
entity of theirs is ever accepted.

One difference is known: before Java 19 ``Double.toString`` wrote a digit too many for a few
numbers. Such a number in an entity of an old peer makes the hashes differ, and the entity is
refused.
"""

import json
import re
from decimal import Decimal
from hashlib import sha256
from typing import Final, NoReturn, TypeAlias, cast

from ledger.core.errors import DecodeError
from ledger.core.json_nesting import json_nesting
from ledger.core.limits import DESMOS_JSON_DEPTH_MAX

__all__ = ["canonical_json", "digest", "hashed_name", "hashlink", "next_link"]

_Json: TypeAlias = "dict[str, _Json] | list[_Json] | str | float | bool | None"

_BLANKS: Final = " \t\r\n"
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_ESCAPES: Final = {
    '"': r"\"",
    "\\": r"\\",
    "\b": r"\b",
    "\t": r"\t",
    "\n": r"\n",
    "\f": r"\f",
    "\r": r"\r",
}
_PLAIN_MIN: Final = 1e-3
_PLAIN_MAX: Final = 1e7


def digest(text: str) -> str:
    """Give H of a text: 64 lower-case hexadecimal digits.

    A text that begins with a JSON value is hashed in its canonical form, whatever follows the
    value; any other text as it is.

    Raises:
        DecodeError: it is JSON of such depth that nobody follows it.
    """
    if json_nesting(text.encode(errors="replace")) > DESMOS_JSON_DEPTH_MAX:
        raise DecodeError(f"JSON is nested more than {DESMOS_JSON_DEPTH_MAX} levels deep")
    try:
        value = _first_value(text)
    except ValueError:
        return _sha256(text)
    return _sha256(canonical_json(value))


def hashlink(previous: str, entity_hash: str) -> str:
    """Give the link that ties the hash of an entity to the link before it."""
    return digest(previous + entity_hash)


def next_link(previous: str | None, entity_hash: str) -> str:
    """Give the link of a publication: the hash itself when it is the first, or the same again."""
    if previous is None or previous == entity_hash:
        return entity_hash
    return hashlink(previous, entity_hash)


def hashed_name(name: str) -> str:
    """Give what stands on the ledger for an entity's id or an organisation's: 0x and H."""
    return f"0x{digest(name)}"


def canonical_json(value: object) -> str:
    """Write a parsed JSON value in the form that is hashed."""
    return _written(_sorted(cast("_Json", value)))


def _sha256(text: str) -> str:
    # Java writes a question mark for half of a surrogate pair, as Python does for "replace".
    return sha256(text.encode(errors="replace")).hexdigest()


# --- reading, as Jackson does ---------------------------------------------------------------


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _first_value(text: str) -> _Json:
    """Read the JSON value that a text begins with. Raises ValueError."""
    start = len(text) - len(text.lstrip(_BLANKS))
    value, end = _DECODER.raw_decode(text, start)
    rest = text[end : end + 1]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if rest and rest not in _BLANKS:  # "2024-01-01" is a name, and no number
            raise ValueError("a number goes on as something else")
    elif (isinstance(value, bool) or value is None) and _continues_word(rest):
        raise ValueError("a word goes on")
    return cast("_Json", value)


def _continues_word(character: str) -> bool:
    return character >= "0" and character not in "]}" and f"a{character}".isidentifier()


# --- sorting --------------------------------------------------------------------------------


def _sorted(value: _Json) -> _Json:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=_utf16)}
    if isinstance(value, list):
        # An array within an array stays as it is, and all that it holds.
        items = [_sorted(item) if isinstance(item, dict) else item for item in value]
        return sorted(items, key=lambda item: _utf16(_written(item)))
    return value


def _utf16(text: str) -> bytes:
    """Give what orders texts as Java does: by UTF-16 code units."""
    return text.encode("utf-16-be", "surrogatepass")


# --- writing, as Jackson does ---------------------------------------------------------------


def _written(value: _Json) -> str:
    match value:
        case dict():
            rows = (f"{_quoted(key)}:{_written(item)}" for key, item in value.items())
            return f"{{{','.join(rows)}}}"
        case list():
            return f"[{','.join(map(_written, value))}]"
        case str():
            return _quoted(value)
        case float():
            return _java_double(value)
        case _:
            return json.dumps(value)


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04X}"


def _java_double(value: float) -> str:
    """Write a number as ``Double.toString``; one beyond all numbers is a quoted word."""
    if value in (float("inf"), float("-inf")):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    if value == 0 or _PLAIN_MIN <= abs(value) < _PLAIN_MAX:
        return repr(value)
    figures, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    if "." not in figures:  # Java writes the nearest number of two figures, and Python of one
        figures, _, exponent = f"{value:.1e}".partition("e")
    return f"{figures}E{int(exponent)}"
