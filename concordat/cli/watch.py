"""``concordat status --watch``: the loop that looks, and shows what it saw, until it is ended."""

import itertools
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import click
import httpx
import msgspec
from rich.console import Console
from rich.live import Live

from concordat.cli.watch_sample import Sample, take_sample
from concordat.cli.watch_screen import line, screen
from concordat.cli.watch_view import View, view_of

__all__ = ["watch"]

_TIMEOUT_S: Final = 2.0  # for one answer; a gateway that is slower is shown as one that is down
_WINDOW: Final = 5  # samples over which rates are taken
_HISTORY: Final = 512  # rates kept for the sparkline; no terminal is wider


def watch(
    urls: Sequence[str], token: str | None, rhythm: tuple[float, int | None], *, as_json: bool
) -> bool:
    """Show the gateways at ``urls``, the first one in full, until Ctrl-C or for so many looks.

    Args:
        rhythm: seconds between two looks, and how many of them, None for no end.
        as_json: print one object for each member and look.

    Returns:
        Whether the first member was well at last.
    """
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    last: View | None = None
    with (
        httpx.Client(headers=headers, timeout=_TIMEOUT_S) as client,
        ThreadPoolExecutor(len(urls)) as threads,
        _shower(as_json=as_json) as show,
    ):

        def look() -> list[Sample]:
            return list(threads.map(lambda url: take_sample(client, url), urls))

        try:
            for views in _views(look, rhythm):
                last = views[0]
                show(views)
        except KeyboardInterrupt:
            pass  # how a watch ends
    return last is not None and last.is_well


def _views(
    look: Callable[[], list[Sample]], rhythm: tuple[float, int | None]
) -> Iterator[list[View]]:
    interval_s, count = rhythm
    looks: Iterable[int] = itertools.count() if count is None else range(count)
    kept: list[deque[Sample]] = []
    names: dict[str, str] = {}
    due = time.monotonic()
    for number in looks:
        if number:
            due = max(due + interval_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        samples = look()
        kept = kept or [deque(maxlen=_WINDOW) for _ in samples]
        for rows, sample in zip(kept, samples, strict=True):
            rows.append(sample)
        views = [view_of(list(rows), names.get(rows[-1].url, "")) for rows in kept]
        names |= {view.url: view.name for view in views}
        yield views


@contextmanager
def _shower(*, as_json: bool) -> Iterator[Callable[[list[View]], None]]:
    """Give what shows the views: a live screen on a terminal, else lines."""
    console = Console(highlight=False, markup=False)
    if as_json:
        yield _show_json
    elif not console.is_terminal or console.is_dumb_terminal:
        yield _show_lines
    else:
        history: deque[float] = deque(maxlen=_HISTORY)
        # On the other screen of the terminal, so that what stood before is there again at the end.
        with Live(console=console, screen=True, auto_refresh=False) as live:
            drawn = None

            def show(views: list[View]) -> None:
                nonlocal drawn
                history.append(views[0].events_per_s or 0.0)
                drawn = screen(views, history, console.width, _clock())
                live.update(drawn, refresh=True)

            yield show
        if drawn is not None:
            console.print(drawn)


def _show_json(views: list[View]) -> None:
    for view in views:
        click.echo(msgspec.json.encode(view))
    sys.stdout.flush()


def _show_lines(views: list[View]) -> None:
    for view in views:
        click.echo(line(view, _clock()))
    sys.stdout.flush()


def _clock() -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime())
