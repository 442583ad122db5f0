"""Running several child processes as one: together they live, together they end.

Owns no policy but this: the first child that ends takes the others with it, and a request to
stop goes to all. Nothing is restarted here, because a node that stopped by itself has a reason
that somebody should read; whoever started us (systemd, a container) decides about restarts.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from concordat.process import start_child
from ledger.core.limits import STOP_DEADLINE_S

__all__ = ["supervise"]

_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def supervise(commands: Mapping[str, Sequence[str]], report: Callable[[str], None]) -> int:
    """Run ``commands`` (name to arguments of ``concordat``) until one ends or we are told to stop.

    Must be called in the main thread. SIGINT, SIGTERM and SIGHUP stop everything; a second one,
    or STOP_DEADLINE_S seconds, kills what is left.

    Args:
        commands: what to run.
        report: told in one sentence when a child ended by itself, and how.

    Returns:
        0 after a requested stop, else the exit code of the child that ended first (1 where a
        signal ended it).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [*_STOP_SIGNALS, signal.SIGCHLD])
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in commands.items():
            children[name] = start_child(arguments)
        return _watch(children, report)
    finally:
        _kill(children)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(children: Mapping[str, subprocess.Popen[bytes]], report: Callable[[str], None]) -> int:
    while True:
        caught = signal.sigwait([*_STOP_SIGNALS, signal.SIGCHLD])
        if caught != signal.SIGCHLD:
            _stop(children)
            return 0
        for name, child in children.items():
            if child.poll() is not None:
                others = ", ".join(other for other in children if other != name)
                report(f"the {name} {describe_end(child.returncode)}; stopping the {others}")
                _stop(children)
                return child.returncode if child.returncode >= 0 else 1


def _stop(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Ask all to end, and wait for it: until a second request or the deadline."""
    for child in children.values():
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_DEADLINE_S
    while any(child.poll() is None for child in children.values()):
        left = deadline - time.monotonic()
        caught = signal.sigtimedwait([*_STOP_SIGNALS, signal.SIGCHLD], max(left, 0))
        if caught is None or caught.si_signo != signal.SIGCHLD:
            return


def _kill(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        if child.poll() is None:
            child.kill()
        child.wait()


def describe_end(returncode: int) -> str:
    """Say how a process ended, as the end of a sentence."""
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
