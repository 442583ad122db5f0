"""Encoded entries as they travel from a publisher to the node, untouched.

A bulk body is a MessagePack array of byte strings, each an encoded entry. The gateway only
splits it: the node decodes and judges entries, so a thousand of them cost one pass here.
"""

from typing import Annotated

import msgspec

from ledger.core.errors import DecodeError
from ledger.core.limits import SUBMIT_ENTRIES_MAX

__all__ = ["split_bulk"]

_Entries = Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=SUBMIT_ENTRIES_MAX)]
_decoder = msgspec.msgpack.Decoder(_Entries)


def split_bulk(body: bytes) -> tuple[bytes, ...]:
    """Split a bulk body into its entries, 1 to SUBMIT_ENTRIES_MAX; each is still unjudged.

    Raises:
        DecodeError: it is not a MessagePack array of byte strings.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
