"""DID Registry's question of other services: does an address act for a DID?"""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from adapters.ebsi.did_documents import DID_DOCUMENTS
from adapters.ebsi.did_plans import ADDRESS
from adapters.ebsi.ethereum import read_address
from adapters.ebsi.identifiers import require_did
from adapters.ebsi.json_rpc import read_body, read_call, rpc_error
from adapters.ebsi.refusals import INVALID_REQUEST
from adapters.http import Answer, in_snapshot
from adapters.lists import Lists
from ledger.io.chain_reader import ChainReader
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["check_controller"]

_METHOD: Final = "checkController"


def check_controller(gateway: Gateway) -> Answer:
    """Make the answer of ``POST /identifiers/{did}/actions``."""

    async def answer(request: Request) -> Response:
        did = require_did(request.path_params["did"])
        method, parameters, id_ = read_call(await read_body(gateway, request))
        bad = HTTPStatus.BAD_REQUEST
        if method != _METHOD:
            return rpc_error(INVALID_REQUEST, f"The method '{method}' is invalid", id_, bad)
        first = parameters[0] if len(parameters) == 1 else None
        address = read_address(first) if isinstance(first, str) else None
        if address is None:
            return rpc_error(INVALID_REQUEST, "params must hold an ethereum address", id_, bad)

        def read(_reader: ChainReader, lists: Lists) -> bool | None:
            if lists.entry(DID_DOCUMENTS, did) is None:
                return None
            entry = lists.entry(DID_DOCUMENTS, f"{did}{ADDRESS}{address.hex()}")
            return entry is not None and entry.is_valid_at(lists.time_ms)

        result = await in_snapshot(gateway, read)
        if result is None:
            return rpc_error(INVALID_REQUEST, f"The DID {did} does not exist", id_, bad)
        return json_response({"jsonrpc": "2.0", "id": id_, "result": result})

    return answer
