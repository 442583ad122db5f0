"""Canonical MessagePack: the only encoding of anything that is signed, hashed or stored.

Values are frozen ``msgspec.Struct`` arrays with fixed positions. A value has exactly one
encoding (shortest integers, no maps, no floats, no trailing bytes), and decoding refuses every
other: ``encode(decode(data)) == data`` or ``DecodeError``. No other exception leaves ``decode``.
"""

from typing import Annotated, Generic, TypeVar

import msgspec

from ledger.core.errors import DecodeError
from ledger.core.limits import HASH_BYTES, INT_MAX, SIGNATURE_BYTES

__all__ = ["Codec", "Hash32", "Record", "Signature64", "UInt", "encode"]

T = TypeVar("T")

UInt = Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)]
Hash32 = Annotated[bytes, msgspec.Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Signature64 = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of every canonical value: an array whose positions never move.

    Not tracked by the garbage collector: values are frozen and cannot hold themselves.
    """


encode = msgspec.msgpack.Encoder().encode
"""Encode a value canonically. Structs are arrays, so there is nothing to order."""


class Codec(Generic[T]):
    """Strict decoder and encoder of one type."""

    __slots__ = ("_decoder",)

    def __init__(self, value_type: type[T]) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(value_type)

    def decode(self, data: bytes) -> T:
        """Decode canonical bytes.

        Raises:
            DecodeError: the bytes are anything but the canonical encoding of a ``T``.
        """
        value = self.decode_any_form(data)
        # msgspec accepts long forms of integers and lengths; the canonical form is unique.
        if encode(value) != data:
            msg = "not the canonical encoding"
            raise DecodeError(msg)
        return value

    def decode_any_form(self, data: bytes) -> T:
        """Decode what is not signed, hashed or stored as it is, be it canonical or not.

        Raises:
            DecodeError: the bytes are no encoding of a ``T``.
        """
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise DecodeError(str(error)) from None

    def encode(self, value: T) -> bytes:
        """Encode ``value``; the inverse of :meth:`decode`."""
        return encode(value)
