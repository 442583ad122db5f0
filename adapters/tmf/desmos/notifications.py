"""Notifications of a DLT adapter: what Desmos takes and refuses of them.

Nothing is believed because a notification says it: this node reads the ledger itself. A sound one
from a trusted node is a reason to look at the ledger now, no more.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ledger.core.errors import DecodeError

__all__ = ["Notification", "read_notification"]

_NotBlank = Annotated[str, Meta(pattern=r"\S")]
_Url = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#]+")]
_Count = Annotated[int, Meta(ge=0)]


class Notification(msgspec.Struct, frozen=True, rename="camel"):
    """A sound notification; further members are not looked at."""

    id: _Count
    publisher_address: _NotBlank
    ethereum_address: _NotBlank
    event_type: _NotBlank
    timestamp: _Count
    data_location: _Url
    relevant_metadata: tuple[_NotBlank, ...]
    entity_id_hash: _NotBlank = msgspec.field(name="entityIDHash")
    previous_entity_hash: _NotBlank

    @property
    def sender(self) -> str:
        """The address by which its node is trusted, in lower case."""
        return self.ethereum_address.lower()


_decode: Final = msgspec.json.Decoder(Notification).decode


def read_notification(body: bytes) -> Notification:
    """Read a notification.

    Raises:
        DecodeError: Desmos' validation refuses it.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(str(error)) from None
