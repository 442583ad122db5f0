"""Names of tiles in URLs, and bundles of entries, as C2SP tlog-tiles has them.

An index is written in groups of three digits, each but the last behind an ``x``, with no group more
than it needs; a partial tile has its width behind it. A tile has one name only.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.core.limits import INT_MAX
from ledger.core.merkle import TILE_HEIGHT, TILE_WIDTH

__all__ = [
    "LEVEL_PATTERN",
    "TILE_PATTERN",
    "TileName",
    "entry_bundle",
    "parse_level",
    "parse_tile",
    "tile_text",
]

TILE_PATTERN: Final = r"^(x[0-9]{3}/){0,6}[0-9]{3}(\.p/[1-9][0-9]{0,2})?$"
LEVEL_PATTERN: Final = r"^([0-9]|[1-5][0-9]|6[0-3])$"

_TILE: Final = re.compile(r"((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?\Z", re.ASCII)
_LEVEL: Final = re.compile(LEVEL_PATTERN.removesuffix("$") + r"\Z", re.ASCII)


class TileName(NamedTuple):
    """Which tile of its level, and how many of its hashes or entries: 1 to 256."""

    number: int
    width: int


def parse_tile(text: str) -> TileName | None:
    """Read ``<N>[.p/<W>]``; None for what names no tile."""
    found = _TILE.match(text)
    if found is None:
        return None
    index = int(found[1].replace("x", "").replace("/", ""))
    width = TILE_WIDTH if found[2] is None else int(found[2])
    is_whole = found[2] is None or width < TILE_WIDTH
    if found[1] != _index_text(index) or not is_whole or index > INT_MAX >> TILE_HEIGHT:
        return None
    return TileName(index, width)


def tile_text(name: TileName) -> str:
    """Write ``<N>[.p/<W>]``; the inverse of :func:`parse_tile`."""
    partial = "" if name.width == TILE_WIDTH else f".p/{name.width}"
    return _index_text(name.number) + partial


def parse_level(text: str) -> int | None:
    """Read ``<L>``; None for what is no level."""
    return int(text) if _LEVEL.match(text) else None


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Write entries one after the other, the length of each in 2 bytes before it."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def _index_text(index: int) -> str:
    groups: list[str] = []
    while True:
        index, group = divmod(index, 1_000)
        groups.append(f"{group:03}" if not groups else f"x{group:03}")
        if not index:
            return "/".join(reversed(groups))
