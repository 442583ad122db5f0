"""Traces and pictures: what happened in a run, readable, complete and small."""

from html import escape
from html.parser import HTMLParser

import pytest

from simnet.mutants import MUTANTS
from simnet.picture import choose_window, draw_page
from simnet.recording import Record, record
from simnet.run import simulate
from simnet.trace import render_trace


@pytest.fixture(scope="module")
def seen() -> Record:
    """A run with crashes and partitions that ends with a broken promise."""
    mutant = MUTANTS["votes_forgotten_at_restart"]
    for seed in range(1_000):
        outcome = simulate(mutant.scenario(seed))
        faults = outcome.plan.faults.items()
        crashes = any(key.startswith("crash") for key, _ in faults)
        parts = any(
            key.startswith("partition")
            and isinstance(value, tuple)
            and value[0] < outcome.virtual_us
            for key, value in faults
        )
        if outcome.promise and crashes and parts and outcome.height > 2:
            return record(outcome.plan)
    pytest.fail("no seed crashes and parts")


def test_recording_changes_nothing(seen: Record) -> None:
    """A recorded run ends as the run without a recorder."""
    mutant = MUTANTS["votes_forgotten_at_restart"]
    again = simulate(mutant.scenario(seen.outcome.plan.scenario.seed))
    assert again.plan.failure == seen.outcome.plan.failure


def test_a_trace_fits_a_terminal(seen: Record) -> None:
    """No line is wider than asked for, and there are no more than asked for."""
    for width, rows in ((120, 40), (80, 200)):
        lines = render_trace(seen, width=width, rows_max=rows).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) <= rows + 2


def test_a_trace_tells_the_story(seen: Record) -> None:
    """Rounds, votes, final blocks, crashes, partitions and the end are all in it."""
    text = render_trace(seen, rows_max=100_000)
    for words in ("round 2", "vote ", "propose ", "FINAL h1", "CRASH at emit", "START 2"):
        assert words in text, words
    assert "--- partition" in text
    last = text.splitlines()[-1]
    assert f"=== {seen.outcome.promise}" in last


def test_a_part_of_a_trace(seen: Record) -> None:
    """Times outside the part are left out."""
    text = render_trace(seen, from_us=1_000, until_us=seen.end_us // 2)
    times = [float(line[:10]) for line in text.splitlines()[1:] if line[:10].strip("ms. ")]
    assert times
    assert 1 <= min(times) <= max(times) <= seen.end_us / 2_000


class _Page(HTMLParser):
    """Counts elements and keeps titles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_a_picture_is_one_small_page(seen: Record) -> None:
    """It needs no other file and no script, and draws machines, messages and what broke."""
    page = draw_page(seen, choose_window(seen))
    parser = _Page()
    parser.feed(page)
    assert not parser.links
    assert "script" not in parser.tags
    assert parser.tags.count("svg") == 1
    assert parser.tags.count("line") > 20
    assert all(f"machine {escape(name)}" in page for name in seen.machines)
    assert seen.outcome.promise in page
    assert len(page) < 500_000


def test_a_window_is_chosen(seen: Record) -> None:
    """A broken promise is drawn up to the moment when it broke, and what is asked for is drawn."""
    window = choose_window(seen)
    assert window.from_us < seen.end_us <= window.until_us
    assert choose_window(seen, 5, 10) == (5, 10)
