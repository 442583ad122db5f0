"""The record of a run: JSON with everything, a page with tables and plots, and what they rest on.

Owns the files' names and their form. A record says the machine, the commit and the exact command,
so that anybody can make it again.
"""

import argparse
import datetime as dt
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.machine.description import ROOT, commit_id, describe_machine
from bench.report.plots import Plot, render

__all__ = ["Page", "Recorder", "Table", "command_parser", "say", "table_rows"]

_DOCS = ROOT / "docs" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Table:
    """One table; the first column names its rows."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What people read of a run.

    Attributes:
        title: of the page; text: what was done, in Markdown, before the tables.
    """

    title: str
    text: str
    tables: Sequence[Table]
    plots: Sequence[Plot] = field(default=())


class Recorder:
    """Describes the machine before anything runs on it, and writes the record afterwards."""

    def __init__(self, name: str, chosen: argparse.Namespace) -> None:
        """Write to what `command_parser` parsed; ``name`` is the command's."""
        # Turned into SystemExit, so that networks end and files go on the way out.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self._name = name
        self._chosen = chosen
        self._machine = describe_machine()
        self._date = dt.datetime.now(dt.UTC).date().isoformat()
        self.out: Path = chosen.out
        self.out.mkdir(parents=True, exist_ok=True)

    def write(self, result: msgspec.Struct, page: Page) -> None:
        """Write the files and print the tables."""
        command = shlex.join(["python", "-m", f"bench.{self._name}", *sys.argv[1:]])
        about = {"date": self._date, "commit": commit_id(), "command": command}
        document = {**about, "machine": self._machine, "result": result}
        text = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
        for directory in [self.out, *([_DOCS] if self._chosen.record else [])]:
            stem = f"{self._date}-{self._name}"
            (directory / f"{stem}.json").write_bytes(text)
            (directory / f"{stem}.md").write_text(self._page(page, about, stem))
            for plot in page.plots:
                (directory / f"{stem}-{plot.name}.svg").write_bytes(render(plot))
        for table in page.tables:
            print("\n".join(["", *([table.title] if table.title else []), *table_rows(table)]))

    def _page(self, page: Page, about: dict[str, str], stem: str) -> str:
        machine = ", ".join(f"{name} {value}" for name, value in self._machine.items())
        parts = [
            f"# {page.title}, {about['date']}",
            page.text,
            "\n".join(
                [
                    f"- machine: {machine}",
                    f"- commit: {about['commit']}",
                    f"- command: `{about['command']}`",
                    f"- raw data: [{stem}.json]({stem}.json)",
                ]
            ),
            *(f"![{plot.title}]({stem}-{plot.name}.svg)" for plot in page.plots),
        ]
        for table in page.tables:
            parts += [f"## {table.title}"] if table.title else []
            parts.append("\n".join(table_rows(table)))
        return "\n\n".join(parts) + "\n"


def table_rows(table: Table) -> list[str]:
    """Give the lines of a table, aligned for people and valid as Markdown."""
    cells = [[_cell(value) for value in row] for row in (table.heads, *table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.heads))]
    rule = [f"{'-' * (width - 1)}{'-' if not place else ':'}" for place, width in enumerate(widths)]
    lines = []
    for row in [cells[0], rule, *cells[1:]]:
        first = row[0].ljust(widths[0])
        rest = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
        lines.append("| " + " | ".join([first, *rest]) + " |")
    return lines


def command_parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """Give a parser with the options that every command has."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=about)
    parser.add_argument("--quick", action="store_true", help="seconds, to see that it works")
    parser.add_argument("--record", action="store_true", help="write docs/benchmarks too")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="for results and homes")
    return parser


def say(text: str) -> None:
    """Tell people how far a run is."""
    moment = dt.datetime.now(dt.UTC).strftime("%H:%M:%S")
    print(f"bench {moment}: {text}", file=sys.stderr, flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.3g}" if value else "0"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
