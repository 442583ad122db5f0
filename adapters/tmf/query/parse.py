"""Reading the query of a list request as TMF630 writes it (Part 1, 4.3 to 4.7). Pure.

Owns the grammar. The raw query is cut at ``&``, each part at ``;``, and only then decoded, so that
encoded characters are data. Conditions are ANDed; ``;`` ORs whole conditions or further values of
one; ``,`` ORs values; the same attribute with the same operator again is ORed, too. Operators are
suffixes (``price.value.gt=5``) or literals (``price.value%3E5``). An attribute that no entity has
is no error: nothing matches.
"""

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import re2

from adapters.tmf.query.model import AnyOf, Comparison, Condition, Operator, Query, SortKey
from adapters.tmf.refusal import TmfError
from ledger.core.limits import (
    TMF_CONDITIONS_MAX,
    TMF_FIELDS_MAX,
    TMF_FOUND_MAX,
    TMF_OFFSET_MAX,
    TMF_PATH_CHARS_MAX,
    TMF_QUERY_CHARS_MAX,
    TMF_REGEX_CHARS_MAX,
    TMF_REGEXES_MAX,
    TMF_SORT_KEYS_MAX,
)

__all__ = ["parse_conditions", "parse_query"]

_SUFFIXES: Final[dict[str, Operator]] = {
    "eq": "eq",
    "ne": "ne",
    "gt": "gt",
    "gte": "gte",
    "lt": "lt",
    "lte": "lte",
    "regex": "regex",
}
_LITERALS: Final[dict[str, Operator]] = {
    "=": "eq",
    "==": "eq",
    "!=": "ne",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "*=": "regex",
    "=~": "regex",
}
# Of two literals, the longer. A value may begin with `~` or an encoded `=`, so only `%3D~` is a
# regular expression and only `%3D%3D` or `==` the long form of equality.
_LITERAL: Final = re.compile(
    r"(?:>|%3E)(?:=|%3D)?|(?:<|%3C)(?:=|%3D)?|(?:\*|%2A)(?:=|%3D)|(?:!|%21)(?:=|%3D)"
    r"|%3D(?:~|%7E)|%3D%3D|==|=|%3D",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_SPACED_OFFSET: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,}) ([0-9]{2}:[0-9]{2})"
)
_PAGING: Final = ("offset", "limit")
_NOT_OFFERED: Final = ("filter", "depth", "expand")
_DIRECTIVES: Final = frozenset({*_PAGING, *_NOT_OFFERED, "fields", "sort"})


class _Clause(NamedTuple):
    """One condition as it was written: values are ORed, but for ``ne``."""

    path: str
    operator: Operator
    values: tuple[str, ...]


def parse_query(raw: str | bytes) -> Query:
    """Read a query as it stands behind the question mark of an address.

    Raises:
        TmfError: 400 where it breaks the grammar or a limit, 501 where it needs an option that
            this node does not offer.
    """
    parts = _parts(raw)
    given: dict[str, list[str]] = {}
    conditions: list[str] = []
    for part in parts:
        name, _, value = part.partition("=")
        if _decoded(name) in _DIRECTIVES:
            given.setdefault(_decoded(name), []).append(_decoded(value))
        else:
            conditions.append(part)
    for name in _NOT_OFFERED:
        if name in given:
            message = f"The directive '{name}' is not offered here."
            raise TmfError(
                HTTPStatus.NOT_IMPLEMENTED, "not-offered", "Directive not offered", message
            )
    limit = _paging(given, "limit")
    return Query(
        conditions=_conditions(conditions),
        sort=_sort(given.get("sort", [])),
        offset=_paging(given, "offset") or 0,
        limit=None if limit is None else min(limit, TMF_FOUND_MAX),
        fields=_fields(given.get("fields", [])),
    )


def parse_conditions(raw: str | bytes) -> tuple[Condition, ...]:
    """Read conditions alone, as a registration's query has them: no name is a directive.

    Raises:
        TmfError: 400 where it breaks the grammar or a limit.
    """
    return _conditions(_parts(raw))


def _parts(raw: str | bytes) -> list[str]:
    try:
        text = raw.decode("ascii") if isinstance(raw, bytes) else raw
    except UnicodeDecodeError:
        raise _refused("The query holds characters that are not encoded.") from None
    if len(text) > TMF_QUERY_CHARS_MAX:
        raise _refused(f"The query has more than {TMF_QUERY_CHARS_MAX} characters.")
    return [part for part in text.split("&") if part]


# --- conditions ------------------------------------------------------------------------------


def _conditions(parts: list[str]) -> tuple[Condition, ...]:
    """AND the parts; those with the same attribute and operator are one."""
    alone: list[_Clause] = []
    groups: list[list[_Clause]] = []
    for part in parts:
        clauses = _merged(_clauses(part))
        if len(clauses) == 1:
            alone += clauses
        elif clauses:
            groups.append(clauses)
    found = (*([clause] for clause in _merged(alone)), *groups)
    count = sum(len(clause.values) for clauses in found for clause in clauses)
    if count > TMF_CONDITIONS_MAX:
        raise _refused(f"The query has more than {TMF_CONDITIONS_MAX} comparisons.")
    patterns = [clause.values for each in found for clause in each if clause.operator == "regex"]
    if sum(map(len, patterns)) > TMF_REGEXES_MAX:
        raise _refused(f"The query has more than {TMF_REGEXES_MAX} regular expressions.")
    return tuple(condition for clauses in found for condition in _ored(clauses))


def _clauses(part: str) -> Iterator[_Clause]:
    """Read the conditions between semicolons; one without an operator is one more value."""
    last: _Clause | None = None
    for piece in filter(None, part.split(";")):
        match = _LITERAL.search(piece)
        if match is None and last is not None:
            last = last._replace(values=_values(last.operator, piece))
        elif match is None:
            raise _refused(f"'{_shown(piece)}' has no operator: write attribute=value.")
        else:
            last = _clause(piece, match)
        yield last


def _clause(piece: str, match: re.Match[str]) -> _Clause:
    path = _decoded(piece[: match.start()])
    operator = _LITERALS[_decoded(match[0])]
    before, _, suffix = path.rpartition(".")
    if before and suffix in _SUFFIXES and operator == "eq":
        path, operator = before, _SUFFIXES[suffix]
    if not path:
        raise _refused(f"'{_shown(piece)}' names no attribute.")
    if len(path) > TMF_PATH_CHARS_MAX:
        raise _refused(f"An attribute's path has more than {TMF_PATH_CHARS_MAX} characters.")
    return _Clause(path, operator, _values(operator, piece[match.end() :]))


def _values(operator: Operator, raw: str) -> tuple[str, ...]:
    """Read the value, or the values between commas; only equality knows these.

    An encoded comma may be data, or a separator that the client's library encoded: both count.
    """
    if operator == "regex":
        return (_regex(_decoded(raw)),)
    if operator not in {"eq", "ne"}:
        return (_value(raw),)
    values = [_value(piece) for piece in raw.split(",")]
    parts = [part for value in values if "," in value for part in value.split(",")]
    return tuple(dict.fromkeys((*values, *parts)))


def _value(raw: str) -> str:
    """Decode one value; a plus sign in front of a date-time's offset was meant as one."""
    value = _decoded(raw)
    spaced = _SPACED_OFFSET.fullmatch(value)
    return f"{spaced[1]}+{spaced[2]}" if spaced else value


def _regex(pattern: str) -> str:
    if len(pattern) > TMF_REGEX_CHARS_MAX:
        raise _refused(f"A regular expression has more than {TMF_REGEX_CHARS_MAX} characters.")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise _refused(f"A regular expression is none (RE2 syntax): {reason}.") from None
    return pattern


def _merged(clauses: Iterable[_Clause]) -> list[_Clause]:
    """Make one clause of those with the same attribute and operator."""
    merged: dict[tuple[str, Operator], _Clause] = {}
    for clause in clauses:
        key = (clause.path, clause.operator)
        values = merged[key].values if key in merged else ()
        merged[key] = clause._replace(values=tuple(dict.fromkeys(values + clause.values)))
    return list(merged.values())


def _ored(clauses: list[_Clause]) -> tuple[Condition, ...]:
    """Give the conditions for an OR of clauses; not to equal any of some values is an AND."""
    if len(clauses) > 1 and any(c.operator == "ne" and len(c.values) > 1 for c in clauses):
        raise _refused("'ne' of several values cannot be one of alternatives.")
    comparisons = tuple(
        Comparison(clause.path, clause.operator, value)
        for clause in clauses
        for value in clause.values
    )
    if len(comparisons) == 1 or (len(clauses) == 1 and clauses[0].operator == "ne"):
        return comparisons
    return (AnyOf(comparisons),)


# --- directives ------------------------------------------------------------------------------


def _paging(given: dict[str, list[str]], name: str) -> int | None:
    values = given.get(name, [])
    if not values:
        return None
    if len(values) > 1:
        raise _refused(f"'{name}' stands more than once.")
    if _NUMBER.fullmatch(values[0]) is None or int(values[0]) > TMF_OFFSET_MAX:
        raise _refused(f"'{name}' must be a whole number from 0 to {TMF_OFFSET_MAX}.")
    return int(values[0])


def _sort(values: list[str]) -> tuple[SortKey, ...]:
    """Read ``-a,+b``; a plus sign may have become a space."""
    names = [name for value in values for name in value.split(",") if name.strip(" +-")]
    if len(names) > TMF_SORT_KEYS_MAX:
        raise _refused(f"'sort' names more than {TMF_SORT_KEYS_MAX} attributes.")
    return tuple(
        SortKey(_path(name.strip().lstrip("+-").strip(), "sort"), name.strip().startswith("-"))
        for name in names
    )


def _fields(values: list[str]) -> tuple[str, ...] | None:
    names = dict.fromkeys(name.strip() for value in values for name in value.split(","))
    names.pop("", None)
    if not names:
        return None
    if len(names) > TMF_FIELDS_MAX:
        raise _refused(f"'fields' names more than {TMF_FIELDS_MAX} attributes.")
    return tuple(_path(name, "fields") for name in names if name != "none")


def _path(name: str, directive: str) -> str:
    if len(name) > TMF_PATH_CHARS_MAX:
        message = f"'{directive}' has a path of more than {TMF_PATH_CHARS_MAX} characters."
        raise _refused(message)
    return name


def _decoded(raw: str) -> str:
    try:
        return unquote_to_bytes(raw.replace("+", " ")).decode()
    except UnicodeError:
        raise _refused("The query holds bytes that are not UTF-8.") from None


def _shown(piece: str) -> str:
    return ascii(piece[:80])[1:-1]


def _refused(message: str) -> TmfError:
    return TmfError(HTTPStatus.BAD_REQUEST, "bad-query", "Invalid query", message)
