"""Desmos' hashes, from the facts alone: canonical JSON of its own, SHA-256, hashlinks."""

import json
from hashlib import sha256
from typing import Any

ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}


def digest(text: str) -> str:
    """Give H(s): of the canonical form when the text begins with JSON, else of the text."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text.lstrip(" \t\r\n"))
    except ValueError:
        return sha256(text.encode()).hexdigest()
    return sha256(written(canonical(value)).encode()).hexdigest()


def hashlink(previous: str, entity_hash: str) -> str:
    """Give the link that ties an entity's hash to what was before."""
    return sha256((previous + entity_hash).encode()).hexdigest()


def canonical(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Sort the members of objects and the elements of arrays; arrays in arrays stay as they are."""
    if isinstance(value, dict):
        return {key: canonical(value[key]) for key in sorted(value, key=_utf16)}
    if isinstance(value, list):
        items = [canonical(item) if isinstance(item, dict) else item for item in value]
        return sorted(items, key=lambda item: _utf16(written(item)))
    return value


def written(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Write compact JSON as Jackson does."""
    if isinstance(value, dict):
        rows = (f"{_quoted(key)}:{written(item)}" for key, item in value.items())
        return "{" + ",".join(rows) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return java_double(value)
    return json.dumps(value)


def java_double(value: float) -> str:
    """Write a number as ``java.lang.Double.toString`` does."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return format(value, "f") if "e" in repr(value) else repr(value)
    digits, _, exponent = repr(value).partition("e")
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    whole, _, rest = digits.partition(".")
    power = int(exponent or 0)
    figures = (whole + rest).lstrip("0")
    if whole.strip("0"):
        power += len(whole) - 1
    else:
        power -= len(rest) - len(rest.lstrip("0")) + 1
    figures = figures.rstrip("0") or "0"
    return f"{sign}{figures[0]}.{figures[1:] or '0'}E{power}"


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _quoted(text: str) -> str:
    return '"' + "".join(ESCAPES.get(char) or _plain(char) for char in text) + '"'


def _plain(char: str) -> str:
    return char if char >= " " else f"\\u{ord(char):04X}"
