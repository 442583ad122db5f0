"""Arguments of contract functions: from JSON, and from decoded call data.

Owns what each ABI type may look like in JSON. Bytes are ``0x`` and hexadecimal digits; a DID that
the ABI has as bytes may stand as its text.
"""

from typing import Final

from adapters.ebsi.ethereum import number_of
from adapters.ebsi.identifiers import hex_bytes, is_did
from adapters.ebsi.refusals import RpcRefused
from ledger.core.limits import INT_MAX

__all__ = ["Value", "check_argument", "read_argument"]

Value = str | bytes | int | bool | tuple[int | bytes, ...]
_HASH_BYTES: Final = 32
_BYTE_MAX: Final = 255


def read_argument(name: str, type_: str, value: object) -> Value:
    """Read one argument from JSON. Raises RpcRefused."""
    if type_.endswith("[]"):
        if not isinstance(value, list):
            raise RpcRefused(f"{name} must be an array")
        return tuple(_item(name, type_.removesuffix("[]"), item) for item in value)
    if type_ == "string" and isinstance(value, str):
        return value
    if type_ == "bool" and isinstance(value, bool):
        return value
    return _item(name, type_, value)


def check_argument(name: str, value: object) -> Value:
    """Take one argument from decoded call data. Raises RpcRefused for a number too large."""
    if isinstance(value, tuple):
        return tuple(_single(name, item) for item in value)
    if isinstance(value, str):
        return value
    return _single(name, value)


def _single(name: str, value: object) -> int | bytes:
    assert isinstance(value, int | bytes), "the ABI has no other types here"
    if isinstance(value, int) and value > INT_MAX:
        raise RpcRefused(f"{name} is too large")
    return value


def _item(name: str, type_: str, value: object) -> int | bytes:
    if type_.startswith("uint"):
        number = _number(value)
        if number is None or not 0 <= number <= (_BYTE_MAX if type_ == "uint8" else INT_MAX):
            raise RpcRefused(f"{name} must be a positive number")
        return number
    if type_ not in ("bytes", "bytes32") or not isinstance(value, str):
        raise RpcRefused(f"{name} must be a {'text' if type_ == 'string' else type_}")
    raw = value.encode() if is_did(value) else hex_bytes(value)
    if raw is None or (type_ == "bytes32" and len(raw) != _HASH_BYTES):
        raise RpcRefused(f"{name} must be a hexadecimal number of {type_}")
    return raw


def _number(value: object) -> int | None:
    if isinstance(value, str):
        is_decimal = value.isascii() and value.isdigit() and len(value) <= len(str(INT_MAX))
        return int(value) if is_decimal else number_of(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
