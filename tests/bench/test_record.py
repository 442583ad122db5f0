"""Records: plots that render, tables that are Markdown, files that say where they come from."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from bench.report.plots import Plot, Series, render
from bench.report.record import Page, Recorder, Table, command_parser, table_rows

_LINES = Plot(
    "lines",
    "How it grows",
    ("events/s", "ms"),
    [Series("p50", [10, 100, 1_000], [1, 2, 3]), Series("p99", [10, 100, 1_000], [5, 9, 40])],
    is_log=(True, True),
)
_BARS = Plot(
    "bars", "Who is quick", ("n", "events/s"), [Series("all", [], [3, 2])], groups=("4", "7")
)


class _Result(msgspec.Struct):
    rate: float


@pytest.mark.parametrize("plot", [_LINES, _BARS], ids=lambda plot: str(plot.name))
def test_plots_render(plot: Plot) -> None:
    """Well-formed SVG, small, with its words as text; the same figures give the same bytes."""
    drawn = render(plot)
    text = " ".join(ET.fromstring(drawn).itertext())  # noqa: S314 - made a line above
    labels = [series.label for series in plot.series if len(plot.series) > 1]
    for words in (plot.title, *plot.axes, *plot.groups, *labels):
        assert words in text
    assert len(drawn) < 40_000
    assert render(plot) == drawn


def test_bars_are_as_high_as_their_figures() -> None:
    """Another figure is another picture."""
    changed = Plot("bars", _BARS.title, _BARS.axes, [Series("all", [], [3, 1])], groups=("4", "7"))
    assert render(changed) != render(_BARS)


def test_tables_are_markdown() -> None:
    """Names to the left, figures to the right, thousands parted."""
    table = Table(("n", "events/s", "ratio"), [("four", 12_345, 1.0), ("ten", 9_876.5, 0.8001)])
    assert table_rows(table) == [
        "| n    | events/s | ratio |",
        "| ---- | -------: | ----: |",
        "| four |   12,345 |     1 |",
        "| ten  |    9,876 |   0.8 |",
    ]


def test_a_record_says_what_it_rests_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Machine, commit and command stand in both files; the page shows its plots and tables."""
    chosen = command_parser("scale", "x").parse_args(["--out", str(tmp_path)])
    page = Page("Scale", "Words.", [Table(("n", "rate"), [("4", 7)], "Rates")], [_LINES, _BARS])
    Recorder("scale", chosen).write(_Result(7.5), page)
    files = {path.suffix: path for path in tmp_path.iterdir()}
    document = json.loads(files[".json"].read_text())
    assert document["result"] == {"rate": 7.5}
    assert document["machine"]["cores"]
    text = files[".md"].read_text()
    for words in (document["commit"], document["command"], "Words.", "## Rates", "| 4 |    7 |"):
        assert words in text
    assert document["command"].startswith("python -m bench.scale")
    for plot in page.plots:
        assert (tmp_path / f"{document['date']}-scale-{plot.name}.svg").exists()
        assert f"{document['date']}-scale-{plot.name}.svg)" in text
    assert "| 4 |    7 |" in capsys.readouterr().out
