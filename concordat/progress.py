"""How far long work is, on a terminal; nothing where there is none."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

__all__ = ["BytesBar", "RowsCount", "Shown"]


class Shown:
    """Something with bars that are on the screen while it is entered."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


class BytesBar(Shown):
    """A bar of bytes that were read or written, with their speed and the time that is left."""

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(what, total=None)

    def show(self, done: int, expected: int) -> None:
        """Show how many bytes are done, of about how many."""
        self._progress.update(self._task, completed=done, total=max(done, expected))


class RowsCount(Shown):
    """How many rows are done, where nobody knows of how many."""

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}: {task.completed:,.0f} rows"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(what, total=None)

    def add(self, rows: int) -> None:
        """Count rows that were done just now."""
        self._progress.advance(self._task, rows)
