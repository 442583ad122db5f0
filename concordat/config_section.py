"""What sections of the configuration are made of."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Address", "FilePath", "Ms", "Prefix", "Section"]

_PORT = r"([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_ADDRESS = rf"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):{_PORT}\Z"
Address = Annotated[str, Meta(pattern=_ADDRESS, max_length=262)]
FilePath = Annotated[str, Meta(min_length=1, max_length=4096)]
Prefix = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*\Z", max_length=255)]
Ms = Annotated[int, Meta(ge=1, le=3_600_000)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file. The docstring of each one is written above it."""
