"""Writes: ``POST .../jsonrpc`` gives transactions to sign, and takes them back signed.

Owns the order of the checks. A call is refused with EBSI's words and changes nothing; what passes
here is still judged by the ledger, as the member's own event.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from adapters.credentials.access import Access, AccessVerifier
from adapters.ebsi.access import require_access, require_control, require_scope
from adapters.ebsi.contracts import Call, Contract
from adapters.ebsi.ethereum import Signed, Unsigned, read_address
from adapters.ebsi.log_index import Transaction
from adapters.ebsi.planning import SUB_MISMATCH, Caller, Plan, Planned, View
from adapters.ebsi.problems import bad_request
from adapters.ebsi.refusals import INVALID_REQUEST, RpcRefused
from adapters.ebsi.transactions import Transactions
from adapters.ebsi.wire import Chain, RpcId, read_signed, unsigned_document
from ledger.core.errors import DecodeError
from ledger.core.genesis import Genesis
from ledger.core.limits import EBSI_BODY_BYTES_MAX
from ledger.io.chain_store import ChainStore
from pubsub.core.strict_json import require_strict_json
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["JsonRpc", "Writing", "chain_number", "read_body", "read_call", "rpc_error"]

_SEND: Final = "sendSignedTransaction"
_INSERT: Final = "insertDidDocument"
_INVITES: Final = {"tir_invite": "tir_write", "didr_invite": "didr_write"}
_CHAIN_BITS: Final = 30


class Writing(NamedTuple):
    """What every write interface of a gateway shares.

    Attributes:
        member: DID in whose name the gateway writes.
        verifier: of access tokens; without one every write is refused.
    """

    gateway: Gateway
    member: str
    transactions: Transactions
    plans: Mapping[str, Plan]
    verifier: AccessVerifier | None


class JsonRpc:
    """The JSON-RPC endpoint of one contract."""

    def __init__(self, writing: Writing, contract: Contract) -> None:
        self._writing = writing
        self._contract = contract

    async def answer(self, request: Request) -> Response:
        """Answer one call."""
        access = await require_access(self._writing.verifier, request)
        body = await read_body(self._writing.gateway, request)
        method, parameters, id_ = read_call(body)
        try:
            result = await self._carry_out(access, method, parameters)
        except RpcRefused as refused:
            return rpc_error(INVALID_REQUEST, refused.message, id_, HTTPStatus.BAD_REQUEST)
        return json_response({"jsonrpc": "2.0", "id": id_, "result": result})

    def chain(self) -> Chain:
        """Give what transactions for this contract are bound to."""
        genesis = self._writing.gateway.access.store.genesis
        address = self._contract.address(genesis.chain_id, self._writing.member)
        return Chain(chain_number(genesis), address)

    async def _carry_out(self, access: Access, method: str, parameters: list[object]) -> object:
        known = bool(self._contract.named(method))
        if method != _SEND and not known:
            raise RpcRefused(f"The method '{method}' is invalid")
        if method == _SEND:
            unsigned, signed = read_signed(self.chain(), _only(parameters))
            return await self._send(access, unsigned, signed)
        require_scope(access, method, self._contract.named(method)[0].scopes)
        return await self._build(access, method, _only(parameters))

    async def _build(self, access: Access, method: str, parameters: object) -> dict[str, str]:
        """Give the transaction that carries a call."""
        if not isinstance(parameters, dict):
            raise RpcRefused("invalid params: an object is needed")
        sender = parameters.get("from")
        address = read_address(sender) if isinstance(sender, str) else None
        if address is None:
            raise RpcRefused("from must be an ethereum address")
        call = self._contract.read_json(method, parameters)
        _require_sub(access, call)
        nonce = await self._writing.transactions.nonce(address)
        return unsigned_document(self.chain(), address, nonce, call.data())

    async def _send(self, access: Access, unsigned: Unsigned, signed: Signed) -> str:
        """Carry out what a signed transaction says; give its hash."""
        call = self._contract.read_data(unsigned.data)
        require_scope(access, call.function.name, call.function.scopes)
        member = self._writing.member
        caller = Caller(access.organisation, signed.signer, unsigned.nonce, member)
        transaction = Transaction(self._contract.name, signed.hash, signed.signer, unsigned.nonce)

        async def plan() -> Planned:
            return await self._writing.gateway.access.in_thread(
                lambda store: self._plan(store, caller, call)
            )

        await self._writing.transactions.send(transaction, plan)
        return f"0x{signed.hash.hex()}"

    def _plan(self, store: ChainStore, caller: Caller, call: Call) -> Planned:
        with store.read() as reader:
            view = View(reader, caller.member)
            if call.function.name != _INSERT:  # the key that signs it is not known before
                require_control(view, caller.did, caller.address, caller.member)
            return self._writing.plans[call.function.name](view, caller, call)


async def read_body(gateway: Gateway, request: Request) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON body; an empty one is an empty object.

    Raises:
        EbsiProblem: it is no JSON, names a member twice, or is nested too deeply.
        Refusal: it is too long, late or encoded.
    """
    async with gateway.bodies.read(request, EBSI_BODY_BYTES_MAX) as body:
        try:
            require_strict_json(body or b"{}")
            return msgspec.json.decode(body or b"{}")
        except (DecodeError, msgspec.MsgspecError, RecursionError) as error:
            raise bad_request(str(error)) from None


def rpc_error(code: int, message: str, id_: RpcId, status: int) -> Response:
    """Answer with a JSON-RPC error."""
    error = {"code": code, "message": message}
    return json_response({"jsonrpc": "2.0", "id": id_, "error": error}, status)


def chain_number(genesis: Genesis) -> int:
    """Give the number by which Ethereum's clients know the network: 31 bits of its hash."""
    low = int.from_bytes(genesis.hash[:4]) % (1 << _CHAIN_BITS)
    return (1 << _CHAIN_BITS) | low  # above every number that a public network has


def read_call(body: object) -> tuple[str, list[object], RpcId]:
    """Give method, parameters and id of a call. Raises EbsiProblem with EBSI's texts."""
    given: dict[str, object] = body if isinstance(body, dict) else {}
    method, parameters, id_ = given.get("method"), given.get("params"), given.get("id")
    faults = []
    if given.get("jsonrpc") != "2.0":
        faults.append("jsonrpc must be equal to 2.0")
    if not isinstance(method, str):
        faults.append("method must be a string")
    if not isinstance(parameters, list):
        faults.append("params must be an array")
    if faults or not isinstance(method, str) or not isinstance(parameters, list):
        raise bad_request(*faults)
    return method, parameters, id_ if isinstance(id_, int | str) else None


def _only(parameters: list[object]) -> object:
    if len(parameters) != 1:
        raise RpcRefused("params must contain exactly 1 element")
    return parameters[0]


def _require_sub(access: Access, call: Call) -> None:
    """Refuse an invitation's token for another DID than its subject's."""
    for invite, write in _INVITES.items():
        only_invited = invite in call.function.scopes and write not in access.scopes
        if only_invited and call.text("did") != access.organisation:
            raise RpcRefused(SUB_MISMATCH)
