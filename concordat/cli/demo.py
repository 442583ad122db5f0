"""``concordat demo``: a network on this machine agrees, fails, catches up and proves."""

import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
import trio

from concordat.cli.failure import CommandFailed, ExitCode
from concordat.demo.screen import Screen
from concordat.demo.story import VALIDATORS, DemoPlan, perform
from concordat.home import HomeError
from concordat.preflight import require_own_packages

__all__ = ["demo", "in_directory", "until_signalled"]

T = TypeVar("T")


@click.command()
@click.option(
    "--events",
    type=click.IntRange(12, 100_000),
    default=400,
    show_default=True,
    help="Number of catalogue changes to publish.",
)
@click.option("--seed", default=2026, show_default=True, help="Seed of the generated catalogue.")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the network's files and logs in this new directory. Default: a temporary one.",
)
def demo(*, events: int, seed: int, home: Path | None) -> None:
    """Show four validators agree, one of them killed and catching up, and every event proven.

    Real processes, sockets, TLS and LMDB on this machine. Exit code 1 when anything that is
    promised did not hold. Ctrl-C at any time leaves nothing running.
    """
    require_own_packages()
    with in_directory(home) as directory, Screen(len(VALIDATORS), events) as screen:
        plan = DemoPlan(events, seed, directory)
        outcome = until_signalled(lambda: perform(plan, screen))
        if outcome is None:
            screen.say("interrupted: every process of the demonstration has ended")
            raise SystemExit(ExitCode.INTERRUPTED)
        screen.summarise(outcome)
        if not outcome.succeeded:
            raise CommandFailed("the demonstration did not show what it promises")
    click.echo("\nNext: README.md, `concordat testnet --help`, `concordat init --help`.")


def until_signalled(play: Callable[[], Awaitable[T]]) -> T | None:
    """Run to the end and give the outcome, or None after SIGINT or SIGTERM."""
    return trio.run(_play, play, restrict_keyboard_interrupt_to_checkpoints=True)


async def _play(play: Callable[[], Awaitable[T]]) -> T | None:
    outcome: T | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def wait_for_signal() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    return

            nursery.start_soon(wait_for_signal)
            outcome = await play()
            nursery.cancel_scope.cancel()
    return outcome


@contextmanager
def in_directory(home: Path | None) -> Iterator[Path]:
    """Give a directory for the network; a temporary one is removed, unless the demo failed."""
    if home is not None:
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(f"cannot make {home}: {error.strerror}") from None
        yield home
        return
    directory = Path(tempfile.mkdtemp(prefix="concordat-demo-"))
    try:
        yield directory
    except Exception:
        click.echo(f"The network's files and logs are in {directory}.", err=True)
        raise
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)
