"""Logging of a process: structlog, on standard error, for people or for programs.

Libraries that use the standard ``logging`` (uvicorn) end in the same stream and form. Key
material is never logged: no code passes any, and fields with a telling name are withheld anyway.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from concordat.config import LogSection

__all__ = ["configure_logs"]

_SECRET_FIELDS = frozenset({"password", "private_key", "secret", "seed"})


def configure_logs(
    section: LogSection, process: Literal["node", "gateway", "run", "access-node"]
) -> None:
    """Set up logging for the whole process; ``process`` is a field of every line."""
    is_terminal = sys.stderr.isatty()
    is_console = section.format == "console" or (section.format == "auto" and is_terminal)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _withhold_secrets,
    ]
    final: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=is_terminal)]
        if is_console
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(section.level.upper())
    # A line for each request or frame helps nobody at the usual level.
    for name in ("uvicorn.error", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


def _withhold_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in _SECRET_FIELDS.intersection(event):
        event[name] = "withheld"
    return event
