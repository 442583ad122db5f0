"""The JSON of EBSI's calls and signed transactions, and what is checked of a signature.

A signed transaction comes twice: as its fields with a signature, and as raw bytes. The fields
count; the raw bytes must be exactly what they and the signature give.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from adapters.ebsi.ethereum import (
    Signed,
    Unsigned,
    checksum_address,
    number_of,
    read_address,
    sign_check,
)
from adapters.ebsi.identifiers import hex_bytes
from adapters.ebsi.refusals import RpcRefused

__all__ = ["Chain", "RpcId", "read_signed", "unsigned_document"]

RpcId = int | str | None
_GAS_LIMIT: Final = "0x1000000"  # EBSI's, when it cannot estimate
_ZERO: Final = "0x0"


class Chain(NamedTuple):
    """What a transaction is bound to: the network's number and a contract's address."""

    id: int
    contract: bytes


class _UnsignedJson(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    from_: str = msgspec.field(name="from")
    to: str
    data: str
    value: str
    nonce: str
    chain_id: str
    gas_limit: str
    gas_price: str


class _SignedJson(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    protocol: Literal["eth"]
    unsigned_transaction: _UnsignedJson
    r: str
    s: str
    v: str
    signed_raw_transaction: str


def unsigned_document(chain: Chain, sender: bytes, nonce: int, data: bytes) -> dict[str, str]:
    """Give the transaction that a client is to sign."""
    return {
        "from": checksum_address(sender),
        "to": checksum_address(chain.contract),
        "data": f"0x{data.hex()}",
        "value": _ZERO,
        "nonce": hex(nonce),
        "chainId": hex(chain.id),
        "gasLimit": _GAS_LIMIT,
        "gasPrice": _ZERO,
    }


def read_signed(chain: Chain, parameters: object) -> tuple[Unsigned, Signed]:
    """Check a signed transaction: its form, its signer, and that it is for this contract.

    Raises:
        RpcRefused: with EBSI's text.
    """
    try:
        given = msgspec.convert(parameters, _SignedJson)
    except msgspec.ValidationError as error:
        raise RpcRefused(f"invalid params: {error}") from None
    stated = given.unsigned_transaction
    unsigned = _unsigned(stated)
    r, s, v = (
        _number(name, text) for name, text in zip("rsv", (given.r, given.s, given.v), strict=True)
    )
    signed = sign_check(unsigned, r, s, v)
    if signed is None:
        raise RpcRefused("The signature of the transaction is not valid")
    raw = f"0x{signed.raw.hex()}"
    if given.signed_raw_transaction.lower() != raw:
        raise RpcRefused(
            f"The unsigned transaction + signature ({raw}) does not match with the "
            f"signedRawTransaction ({given.signed_raw_transaction})"
        )
    if signed.signer != read_address(stated.from_):
        raise RpcRefused(
            f"The signer of the transaction ({checksum_address(signed.signer)}) does not match "
            f"with unsignedTransaction.from ({stated.from_}) "
        )
    if unsigned.chain_id != chain.id:
        raise RpcRefused(
            f"Invalid unsignedTransaction.chainId. Expected {hex(chain.id)}. "
            f"Received {stated.chain_id}"
        )
    if unsigned.to != chain.contract:
        raise RpcRefused(
            f"Invalid unsignedTransaction.to. Expected {checksum_address(chain.contract)}. "
            f"Received {stated.to}"
        )
    if unsigned.value:
        raise RpcRefused("Invalid unsignedTransaction.value. Expected 0x0")
    return unsigned, signed


def _unsigned(stated: _UnsignedJson) -> Unsigned:
    to, data = read_address(stated.to), hex_bytes(stated.data)
    if to is None or data is None or read_address(stated.from_) is None:
        raise RpcRefused("Invalid unsignedTransaction: from, to or data is not hexadecimal")
    return Unsigned(
        nonce=_number("nonce", stated.nonce),
        gas_price=_number("gasPrice", stated.gas_price),
        gas_limit=_number("gasLimit", stated.gas_limit),
        to=to,
        value=_number("value", stated.value),
        data=data,
        chain_id=_number("chainId", stated.chain_id),
    )


def _number(name: str, text: str) -> int:
    number = number_of(text)
    if number is None:
        raise RpcRefused(f"{name} must be a hexadecimal number")
    return number
