"""The ledger's own JSON-RPC: the few methods by which a client waits for its transaction.

There is no EVM behind it. Blocks are the ledger's; every other method is not available.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from adapters.ebsi.contracts import CONTRACTS
from adapters.ebsi.ethereum import read_address
from adapters.ebsi.identifiers import hex_bytes
from adapters.ebsi.json_rpc import chain_number, rpc_error
from adapters.ebsi.refusals import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcRefused,
)
from adapters.ebsi.transactions import Transactions
from adapters.ebsi.wire import RpcId
from ledger.core.errors import DecodeError
from ledger.core.limits import EBSI_BATCH_CALLS_MAX, EBSI_BODY_BYTES_MAX
from pubsub.core.strict_json import require_strict_json
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["Besu"]

_HASH_BYTES: Final = 32
_BAD: Final = frozenset({PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS})
_Method = Callable[[list[object]], Awaitable[object]]


class Besu:
    """The endpoint ``/blockchains/besu``."""

    def __init__(self, gateway: Gateway, transactions: Transactions, member: str) -> None:
        self._gateway = gateway
        self._transactions = transactions
        self._member = member
        self._methods: dict[str, _Method] = {
            "eth_blockNumber": self._block_number,
            "eth_chainId": self._chain_id,
            "eth_getTransactionCount": self._transaction_count,
            "eth_getTransactionReceipt": self._receipt,
            "net_version": self._net_version,
        }

    async def answer(self, request: Request) -> Response:
        """Answer one call or a batch."""
        async with self._gateway.bodies.read(request, EBSI_BODY_BYTES_MAX) as body:
            try:
                require_strict_json(body)
                given = msgspec.json.decode(body)
            except (DecodeError, msgspec.MsgspecError, RecursionError):
                return rpc_error(PARSE_ERROR, "Parse error", None, HTTPStatus.BAD_REQUEST)
        if not isinstance(given, list):
            document = await self._call(given)
            return json_response(document, _status(document))
        if not 0 < len(given) <= EBSI_BATCH_CALLS_MAX:
            return rpc_error(INVALID_REQUEST, "Invalid Request", None, HTTPStatus.BAD_REQUEST)
        return json_response([await self._call(item) for item in given])

    async def _call(self, given: object) -> dict[str, object]:
        call: dict[str, object] = given if isinstance(given, dict) else {}
        method, parameters, id_ = call.get("method"), call.get("params", []), call.get("id")
        shown: RpcId = id_ if isinstance(id_, int | str) else None
        if call.get("jsonrpc") != "2.0" or not isinstance(method, str):
            return _error(INVALID_REQUEST, "Invalid Request", shown)
        if method not in self._methods:
            text = f"The method {method} does not exist / is not available."
            return _error(METHOD_NOT_FOUND, text, shown)
        if not isinstance(parameters, list):
            return _error(INVALID_PARAMS, "Invalid params", shown)
        try:
            result = await self._methods[method](parameters)
        except RpcRefused as refused:
            return _error(INVALID_PARAMS, refused.message, shown)
        return {"jsonrpc": "2.0", "id": shown, "result": result}

    async def _block_number(self, _parameters: list[object]) -> str:
        with self._gateway.access.store.read() as reader:
            return hex(reader.head_height())

    async def _chain_id(self, _parameters: list[object]) -> str:
        return hex(chain_number(self._gateway.access.store.genesis))

    async def _net_version(self, _parameters: list[object]) -> str:
        return str(chain_number(self._gateway.access.store.genesis))

    async def _transaction_count(self, parameters: list[object]) -> str:
        address = read_address(_text(parameters))
        if address is None:
            raise RpcRefused("Invalid address params")
        return hex(await self._transactions.nonce(address))

    async def _receipt(self, parameters: list[object]) -> dict[str, object] | None:
        hash_ = hex_bytes(_text(parameters))
        if hash_ is None or len(hash_) != _HASH_BYTES:
            raise RpcRefused("Invalid transaction hash params")
        receipt = await self._transactions.receipt(hash_)
        if receipt is None or receipt.transaction.contract not in CONTRACTS:
            return None
        chain = self._gateway.access.store.genesis.chain_id
        to = CONTRACTS[receipt.transaction.contract].address(chain, self._member)
        return receipt.document(to)


def _text(parameters: list[object]) -> str:
    first = parameters[0] if parameters else None
    if not isinstance(first, str):
        raise RpcRefused("Invalid params")
    return first


def _error(code: int, message: str, id_: RpcId) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": message, "data": None}}


def _status(document: dict[str, object]) -> int:
    error = document.get("error")
    is_bad = isinstance(error, dict) and error.get("code") in _BAD
    return HTTPStatus.BAD_REQUEST if is_bad else HTTPStatus.OK
