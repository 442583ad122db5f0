"""Names of tiles: each tile has one, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub.core.tlog.paths import (
    TILE_PATTERN,
    TileName,
    entry_bundle,
    parse_level,
    parse_tile,
    tile_text,
)
from tests.independent import tlog_verifier as independent

NUMBERS = st.integers(0, 2**55 - 1) | st.integers(0, 2_000_000)


@given(NUMBERS, st.integers(1, 256))
def test_every_tile_has_one_name(number: int, width: int) -> None:
    """A name is read as it is written, by both implementations alike."""
    name = TileName(number, width)
    assert parse_tile(tile_text(name)) == name
    assert independent.tile_path(number, width) == tile_text(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("000", TileName(0, 256)),
        ("999", TileName(999, 256)),
        ("x001/000", TileName(1_000, 256)),
        ("x001/x234/067", TileName(1_234_067, 256)),
        ("x001/x234/067.p/1", TileName(1_234_067, 1)),
        ("008.p/255", TileName(8, 255)),
    ],
)
def test_examples_of_the_specification(text: str, name: TileName) -> None:
    """Groups of three digits, each but the last behind an x, and the width of a partial tile."""
    assert parse_tile(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "00",
        "0000",
        "x000/001",
        "x001",
        "001/002",
        "x001/x002",
        "x1/000",
        "000.p/0",
        "000.p/256",
        "000.p/01",
        "000.p/",
        "000.p",
        "000/",
        "/000",
        "-01",
        "\u0660\u0660\u0660",
        "000\n",
        "x036/x028/x797/x018/x963/x968",
        "x036/x028/x797/x018/x963/968",
        "/".join(["x999"] * 7 + ["999"]),
    ],
)
def test_what_is_no_name(text: str) -> None:
    """Other spellings of a number, widths that are none, and tiles beyond any log."""
    assert parse_tile(text) is None


@given(st.text(max_size=40) | st.from_regex(TILE_PATTERN))
def test_any_text(text: str) -> None:
    """Any text is a name that is written as it was read, or none."""
    name = parse_tile(text)
    assert name is None or tile_text(name) == text


@pytest.mark.parametrize("level", [0, 9, 10, 59, 63])
def test_levels(level: int) -> None:
    """Levels are 0 to 63."""
    assert parse_level(str(level)) == level


@pytest.mark.parametrize("text", ["", "64", "70", "00", "-1", "100", "entries", "\u0661", "1\n"])
def test_what_is_no_level(text: str) -> None:
    """Anything else is none."""
    assert parse_level(text) is None


def test_bundles() -> None:
    """Entries follow each other, the length of each in two bytes before it."""
    assert entry_bundle([b"", b"a" * 258]) == b"\x00\x00\x01\x02" + b"a" * 258
    assert entry_bundle([b"x" * 65_535])[:2] == b"\xff\xff"
