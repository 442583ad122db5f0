"""What the demonstration shows: lines and two bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from concordat.demo.checks import Check, Outcome
from concordat.progress import Shown

__all__ = ["Screen"]

_READY, _PUBLISHED, _PROVEN = "members ready", "published, final", "followed, proven"


class Screen(Shown):
    """Shows progress while it is entered. Without a terminal only the lines are printed."""

    def __init__(self, members: int, events: int) -> None:
        self._console = Console(highlight=False)
        self._begun = time.monotonic()
        self._progress = Progress(
            TextColumn("  {task.description:<18}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bars = {
            name: self._progress.add_task(name, total=total, visible=False)
            for name, total in ((_READY, members), (_PUBLISHED, events), (_PROVEN, events))
        }

    def say(self, sentence: str, style: str = "") -> None:
        """Print one line above the bars."""
        sentence = f"[{style}]{escape(sentence)}[/]" if style else escape(sentence)
        self._console.print(f"[dim]{self._elapsed():>5.1f} s[/]  {sentence}", soft_wrap=True)

    def ready(self, count: int) -> None:
        """Show how many members are ready; gone when all are."""
        bar = self._bars[_READY]
        is_waiting = count < (self._progress.tasks[bar].total or 0)
        self._progress.update(bar, completed=count, visible=is_waiting)

    def published(self, count: int) -> None:
        """Show how many events are final."""
        self._progress.update(self._bars[_PUBLISHED], completed=count, visible=True)

    def proven(self, count: int) -> None:
        """Show how many events the subscriber has proven."""
        self._progress.update(self._bars[_PROVEN], completed=count, visible=True)

    def summarise(self, outcome: Outcome) -> None:
        """Print the summary; the bars are gone then."""
        self._progress.stop()
        measures = outcome.measures
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("events", f"{outcome.events} of {outcome.marketplaces} marketplaces")
        for number, (name, digest) in enumerate(outcome.digests.items()):
            table.add_row("" if number else "order digest", f"{name:<13} {digest[:32]}")
        table.add_row(
            "time to final",
            f"p50 {outcome.latency_p50_ms:.0f} ms, p99 {outcome.latency_p99_ms:.0f} ms "
            "(the kill included)",
        )
        table.add_row(
            "SIGKILL",
            f"{measures.killed}; longest pause without it {measures.pause_ms:.0f} ms",
        )
        table.add_row(
            "restart", f"{measures.killed} had caught up after {measures.caught_up_ms / 1000:.1f} s"
        )
        table.add_row(
            "subscriber",
            f"{_count(outcome.losses, 'lost connection')}, reconnected; no gap, no duplicate",
        )
        table.add_row("proven", f"{measures.proofs} proofs, each against the genesis file alone")
        self._console.print()
        self._console.print(table)
        self.show(outcome.checks)

    def show(self, checks: Sequence[Check]) -> None:
        """Print what was promised, and whether it held."""
        self._progress.stop()
        self._console.print()
        for check in checks:
            mark = "[green]ok    [/]" if check.held else "[bold red]FAILED[/]"
            self._console.print(f"{mark}  {check.promise}", soft_wrap=True)

    def _elapsed(self) -> float:
        return time.monotonic() - self._begun


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
