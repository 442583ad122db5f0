"""What a check found, and what checks know of the member before they look."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from concordat.home import Home
from ledger.core.genesis import Genesis
from ledger.core.validators import Validator

__all__ = ["Check", "Finding", "Level", "Patient", "error", "ok", "warning"]


class Level(StrEnum):
    """How bad it is. The values are stable.

    Attributes:
        OK: as it should be. WARNING: it works, and may not for long or not for everybody.
        ERROR: the member cannot work, or is not safe, until somebody corrects it.
    """

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """What one check found.

    Attributes:
        check: its stable name.
        advice: what to do; empty when nothing is to be done.
    """

    check: str
    level: Level
    message: str
    advice: str = ""


@dataclass(frozen=True)
class Patient:
    """A member whose configuration can be read.

    Attributes:
        genesis: None when it has joined no network.
        validators: of the epoch that its ledger is in, else those of the genesis file.
        status: what its own gateway answers at ``/v1/status`` now; None when nothing does.
        is_node_running: whether somebody listens at the control socket.
    """

    home: Home
    genesis: Genesis | None
    validators: tuple[Validator, ...] = ()
    status: dict[str, Any] | None = None
    is_node_running: bool = False


Check = Callable[[Patient], Iterator[Finding]]


def ok(check: str, message: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Say what works and may not for long."""
    return Finding(check, Level.WARNING, message, advice)


def error(check: str, message: str, advice: str) -> Finding:
    """Say what must be corrected."""
    return Finding(check, Level.ERROR, message, advice)
