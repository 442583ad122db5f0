"""An event that its reader has kept, for proofs by members that have forgotten it."""

from collections.abc import Callable
from typing import BinaryIO, TypeVar

import click

from ledger.core.errors import DecodeError
from ledger.core.event import open_entry
from ledger.core.limits import GATEWAY_BODY_BYTES_MAX
from pubsub.core.cloudevents import read_cloudevent

__all__ = ["kept_event_option", "read_kept"]

F = TypeVar("F", bound=Callable[..., object])


def kept_event_option(function: F) -> F:
    """Add ``--event FILE``."""
    return click.option(
        "--event",
        "kept",
        type=click.File("rb"),
        metavar="FILE",
        help="The event as you kept it, for a proof by a member that has forgotten it: what "
        "`concordat get --json` printed, or its bytes.",
    )(function)


def read_kept(file: BinaryIO | None) -> bytes | None:
    """Read the entry of a kept event. Raises DecodeError when it is none."""
    if file is None:
        return None
    data = file.read(GATEWAY_BODY_BYTES_MAX + 1)
    if len(data) > GATEWAY_BODY_BYTES_MAX:
        raise DecodeError("the event is too large")
    if data.lstrip()[:1] == b"{":
        return read_cloudevent(data).opened.entry
    return open_entry(data).entry
