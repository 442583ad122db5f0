"""The ledger's JSON-RPC, contract descriptions, and the question who controls a DID."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.ebsi.json_rpc import chain_number
from ledger.core.limits import EBSI_BATCH_CALLS_MAX
from tests.adapters.ebsi.ebsi_client import MINE, OTHER, EbsiWorld, ebsi_world
from tests.adapters.ebsi.ebsi_world import DIDR, LEGAL, TSR
from tests.ledger.sample_network import GENESIS

SCHEMA = {"schemaId": "0x" + "09" * 32, "schema": "0x7b7d", "metadata": "0x7b7d"}
BESU = "/ledger/v3/blockchains/besu"


@pytest.fixture
async def ebsi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EbsiWorld]:
    """Give a gateway whose member is Alice."""
    async with ebsi_world(tmp_path, monkeypatch) as running:
        yield running


def rpc(method: object, *parameters: object, id_: object = 1) -> dict[str, object]:
    """Give a call."""
    return {"jsonrpc": "2.0", "method": method, "params": list(parameters), "id": id_}


async def test_a_client_finds_its_chain_and_its_nonce(ebsi: EbsiWorld) -> None:
    """Chain, height and nonce are the ledger's; the nonce grows with each transaction."""
    chain = chain_number(GENESIS)
    assert 2**30 <= chain < 2**31
    assert await ebsi.besu("eth_chainId") == hex(chain)
    assert await ebsi.besu("net_version") == str(chain)
    assert await ebsi.besu("eth_blockNumber") == "0x1"
    for count in range(3):
        assert await ebsi.besu("eth_getTransactionCount", MINE.address, "latest") == hex(count)
        call = SCHEMA | {"schemaId": "0x" + bytes([count]).hex() * 32}
        unsigned = await ebsi.build(TSR, "insertSchema", call)
        assert (unsigned["nonce"], unsigned["chainId"]) == (hex(count), hex(chain))
        await ebsi.write(TSR, "insertSchema", call)
    assert await ebsi.besu("eth_getTransactionCount", OTHER.address, "latest") == "0x0"


async def test_a_receipt_is_an_ethereum_receipt(ebsi: EbsiWorld) -> None:
    """The receipt names block, sender and contract; an unknown transaction has none."""
    unsigned = await ebsi.build(TSR, "insertSchema", SCHEMA)
    hash_ = await ebsi.write(TSR, "insertSchema", SCHEMA)
    receipt = await ebsi.besu("eth_getTransactionReceipt", hash_)
    assert isinstance(receipt, dict)
    assert receipt["from"] == MINE.address.lower()
    assert receipt["to"] == unsigned["to"].lower()
    block = await ebsi.json(f"/v1/blocks/{int(receipt['blockNumber'], 16)}")
    assert receipt["blockHash"] == f"0x{block['id']}"
    assert (receipt["logs"], len(receipt["logsBloom"])) == ([], 514)
    assert await ebsi.besu("eth_getTransactionReceipt", "0x" + "ee" * 32) is None


@pytest.mark.parametrize(
    ("call", "status", "code", "message"),
    [
        (
            rpc("eth_sendRawTransaction", "0x"),
            200,
            -32601,
            "The method eth_sendRawTransaction does not exist / is not available.",
        ),
        (rpc("eth_getTransactionCount"), 400, -32602, "Invalid params"),
        (rpc("eth_getTransactionCount", "0x1"), 400, -32602, "Invalid address params"),
        (rpc("eth_getTransactionReceipt", "0x1"), 400, -32602, "Invalid transaction hash params"),
        (rpc("eth_chainId") | {"params": {}}, 400, -32602, "Invalid params"),
        (rpc(1), 400, -32600, "Invalid Request"),
        ({}, 400, -32600, "Invalid Request"),
        ([], 400, -32600, "Invalid Request"),
        ([rpc("eth_chainId")] * (EBSI_BATCH_CALLS_MAX + 1), 400, -32600, "Invalid Request"),
    ],
)
async def test_errors_of_the_ledger(
    ebsi: EbsiWorld, call: object, status: int, code: int, message: str
) -> None:
    """Each error has the code and the status that a node gives it."""
    answer = await ebsi.post(BESU, call, None)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == (code, message)


async def test_what_is_no_json_is_a_parse_error(ebsi: EbsiWorld) -> None:
    """Bytes that are no JSON, or name a member twice, are not read."""
    for body in (b"{", b"", b"\xff", b'{"id":1,"id":2}'):
        answer = await ebsi.world.http.post(BESU, content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32700)


async def test_a_batch_is_answered_in_order(ebsi: EbsiWorld) -> None:
    """As many answers as calls, each with its id, wrong ones among them."""
    calls = [rpc("eth_chainId", id_=number) for number in range(EBSI_BATCH_CALLS_MAX - 2)]
    answer = await ebsi.post(BESU, [*calls, rpc("eth_no", id_="x"), 1], None)
    assert answer.status_code == 200
    rows = answer.json()
    assert [row["id"] for row in rows] == [*range(EBSI_BATCH_CALLS_MAX - 2), "x", None]
    assert [row["error"]["code"] for row in rows[-2:]] == [-32601, -32600]


async def test_the_contract_of_schemas_is_described(ebsi: EbsiWorld) -> None:
    """Its functions stand in the description with their arguments."""
    answer = await ebsi.world.get(f"{TSR}/abi")
    described = {
        item["name"]: [(field["name"], field["type"]) for field in item["inputs"]]
        for item in answer.json()
    }
    assert described["insertSchema"] == [
        ("schemaId", "bytes"),
        ("schema", "bytes"),
        ("metadata", "bytes"),
    ]
    assert set(described) == {"insertSchema", "updateSchema", "updateMetadata"}


async def test_who_controls_a_did(ebsi: EbsiWorld) -> None:
    """The question of other services is answered; an unknown DID is an error."""
    ebsi.register(LEGAL, OTHER)
    path = f"{DIDR}/identifiers/{LEGAL}/actions"
    for address, expected in ((OTHER.address, True), (MINE.address, False)):
        answer = await ebsi.post(path, rpc("checkController", address), None)
        assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": expected}
    unknown = f"{DIDR}/identifiers/did:elsi:VATES-1/actions"
    for where, call in (
        (unknown, rpc("checkController", MINE.address)),
        (path, rpc("checkController", "0x1")),
        (path, rpc("other", MINE.address)),
    ):
        answer = await ebsi.post(where, call, None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32600)
