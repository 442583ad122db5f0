"""A slot: bytes in a file that are overwritten as a whole, and known to be whole when read.

Owns the form alone; no files here. The file is a row of sectors of 512 bytes, the least that a disk
writes as one. Each has a checksum and the number of the write that it belongs to. So three things
can be told apart: what a write left that had returned, what one left that was cut short (*torn*:
sectors of several writes, each sound), and damage (a sector that nobody wrote like that). A file
is made long enough before a write: one that ends within it was cut afterwards.
"""

from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["SECTOR_BYTES", "Slot", "SlotDamaged", "blank_slot", "decode_slot", "encode_slot"]

SECTOR_BYTES: Final = 512
_CHECKSUM_BYTES: Final = 4
_NUMBER_BYTES: Final = 8
_HEAD_BYTES: Final = _CHECKSUM_BYTES + _NUMBER_BYTES
_ROOM_BYTES: Final = SECTOR_BYTES - _HEAD_BYTES
_LENGTH_BYTES: Final = 8
_UNWRITTEN: Final = bytes(SECTOR_BYTES)
_FIRST_WRITES: Final = 2  # of two files that take turns: one for each


class SlotDamaged(ValueError):  # noqa: N818 - a state of the slot, which the store words
    """Something stands in the file that no write of this form leaves."""


class Slot(NamedTuple):
    """What a file holds.

    Attributes:
        number: of the newest write that began, 0 when none did.
        payload: what that write wrote; None when it was cut short.
    """

    number: int
    payload: bytes | None


def encode_slot(number: int, payload: bytes) -> bytes:
    """Give what the write ``number`` (1 or more) puts at the beginning of the file."""
    stamp = number.to_bytes(_NUMBER_BYTES, "big")
    content = len(payload).to_bytes(_LENGTH_BYTES, "big") + payload
    content += bytes(-len(content) % _ROOM_BYTES)
    parts: list[bytes] = []
    for start in range(0, len(content), _ROOM_BYTES):
        sector = stamp + content[start : start + _ROOM_BYTES]
        parts.append(crc32(sector).to_bytes(_CHECKSUM_BYTES, "big"))
        parts.append(sector)
    return b"".join(parts)


def blank_slot(number: int, size: int) -> bytes:
    """Give a write that fills ``size`` bytes (up to a whole sector) and says nothing."""
    sectors = -(-size // SECTOR_BYTES)
    return encode_slot(number, bytes(sectors * _ROOM_BYTES - _LENGTH_BYTES))


def decode_slot(data: bytes) -> Slot:
    """Read a file of any length.

    Raises:
        SlotDamaged: a sector is not one that was written, or one that was is no longer there.
    """
    numbers: list[int] = []
    contents: list[bytes] = []
    for start in range(0, len(data), SECTOR_BYTES):
        sector = data[start : start + SECTOR_BYTES].ljust(SECTOR_BYTES, b"\0")
        numbers.append(_number(sector))
        contents.append(sector[_HEAD_BYTES:])
    newest = max(numbers, default=0)
    if newest == 0:
        return Slot(0, None)
    if numbers[0] == 0 and newest > _FIRST_WRITES:
        raise SlotDamaged("its first sector is empty")
    if numbers[0] != newest:
        return Slot(newest, None)
    length = int.from_bytes(contents[0][:_LENGTH_BYTES], "big")
    count = -(-(_LENGTH_BYTES + length) // _ROOM_BYTES)
    if len(numbers) < count:
        raise SlotDamaged("a file ends before what was written to it")
    if any(number != newest for number in numbers[:count]):
        return Slot(newest, None)
    whole = b"".join(contents[:count])
    return Slot(newest, whole[_LENGTH_BYTES : _LENGTH_BYTES + length])


def _number(sector: bytes) -> int:
    if sector == _UNWRITTEN:
        return 0
    checked = sector[_CHECKSUM_BYTES:]
    number = int.from_bytes(checked[:_NUMBER_BYTES], "big")
    if crc32(checked) != int.from_bytes(sector[:_CHECKSUM_BYTES], "big") or number == 0:
        raise SlotDamaged("a sector is not one that was written")
    return number
