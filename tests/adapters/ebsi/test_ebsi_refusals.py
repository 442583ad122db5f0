"""What EBSI's write path refuses: each with its words, and with nothing changed."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from adapters.ebsi.contracts import CONTRACTS
from adapters.ebsi.ethereum import checksum_address
from adapters.ebsi.facade import EbsiFacade, EbsiSettings
from adapters.ebsi.log_index import LogIndex
from adapters.ebsi.planning import View
from adapters.ebsi.refusals import RpcRefused
from adapters.ebsi.transactions import Transactions
from adapters.member import Member, Writer
from ledger.core.errors import RejectCode
from pubsub.io.state import Gateway
from tests.adapters.ebsi import ebsi_client as client
from tests.adapters.ebsi.ebsi_client import MINE, OTHER, EbsiWorld, ebsi_world, sign
from tests.adapters.ebsi.ebsi_world import DIDR, LEGAL, TIR, TNT, TSR, problem
from tests.ledger.sample_network import ALICE_DID, BOB, BOB_DID
from tests.pubsub.gateway_world import FakeNode

SCHEMA = {"schemaId": "0x" + "09" * 32, "schema": "0x7b7d", "metadata": "0x7b7d"}
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
Signed = dict[str, object]
Unsigned = dict[str, str]


@pytest.fixture
async def ebsi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EbsiWorld]:
    """Give a gateway whose member is Alice."""
    async with ebsi_world(tmp_path, monkeypatch) as running:
        yield running


def words(answer: httpx.Response) -> str:
    """Give the message of a refusal in EBSI's form."""
    assert answer.status_code == 400, answer.text
    document = answer.json()
    assert (document["jsonrpc"], document["id"]) == ("2.0", 7)
    assert document["error"]["code"] == -32600
    message: str = document["error"]["message"]
    return message


async def refuse(ebsi: EbsiWorld, signed: Signed, token: str | None = None) -> str:
    """Send a transaction that must be refused and change nothing; give the words."""
    before = ebsi.state()
    tokens = () if token is None else (token,)
    message = words(await ebsi.send(TSR, signed, *tokens))
    assert ebsi.state() == before
    assert ebsi.world.node.submissions == ebsi.submitted
    return message


async def built(ebsi: EbsiWorld) -> Unsigned:
    """Give a transaction that would insert a schema, and note what the node has seen."""
    unsigned = await ebsi.build(TSR, "insertSchema", SCHEMA)
    ebsi.submitted = list(ebsi.world.node.submissions)
    return unsigned


async def test_a_transaction_is_carried_out_once(ebsi: EbsiWorld) -> None:
    """The same signed transaction is refused the second time, as is another of its nonce."""
    unsigned = await built(ebsi)
    assert (await ebsi.send(TSR, sign(unsigned))).status_code == 200
    ebsi.submitted = list(ebsi.world.node.submissions)
    assert await refuse(ebsi, sign(unsigned)) == "Known transaction"
    other = unsigned | {"gasLimit": "0x1"}
    assert await refuse(ebsi, sign(other)) == "Nonce too low"


async def test_a_nonce_out_of_turn(ebsi: EbsiWorld) -> None:
    """A nonce that is not the next one is refused."""
    unsigned = await built(ebsi) | {"nonce": "0x1"}
    told = await refuse(ebsi, sign(unsigned))
    assert told == "Transaction nonce is too distant from current sender nonce"


async def test_a_parity_may_stand_alone(ebsi: EbsiWorld) -> None:
    """A ``v`` without the chain is taken; the raw bytes have the one with it."""
    signed = sign(await built(ebsi))
    parity = (int(str(signed["v"]), 16) + 1) % 2
    answer = await ebsi.send(TSR, signed | {"v": hex(27 + parity)})
    assert answer.status_code == 200, answer.text


CHANGES: dict[str, tuple[Callable[[Unsigned], Unsigned], str]] = {
    "chain": (lambda tx: tx | {"chainId": "0x1"}, "Invalid unsignedTransaction.chainId. Expected"),
    "contract": (
        lambda tx: tx | {"to": "0x" + "cc" * 20},
        "Invalid unsignedTransaction.to. Expected",
    ),
    "value": (lambda tx: tx | {"value": "0x1"}, "Invalid unsignedTransaction.value. Expected 0x0"),
    "selector": (lambda tx: tx | {"data": "0xdeadbeef"}, "Invalid unsignedTransaction.data"),
    "truncated": (lambda tx: tx | {"data": tx["data"][:-64]}, "Invalid unsignedTransaction.data"),
    "trailing": (
        lambda tx: tx | {"data": tx["data"] + "00" * 32},
        "Invalid unsignedTransaction.data",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_transaction_for_something_else(ebsi: EbsiWorld, name: str) -> None:
    """Another chain, contract, value or function is refused even when it is well signed."""
    change, expected = CHANGES[name]
    assert (await refuse(ebsi, sign(change(await built(ebsi))))).startswith(expected)


FORGERIES: dict[str, tuple[Callable[[Signed], Signed], str]] = {
    "raw": (
        lambda signed: signed | {"signedRawTransaction": "0x00"},
        "The unsigned transaction + signature (",
    ),
    "high s": (
        lambda signed: signed | {"s": hex(ORDER - int(str(signed["s"]), 16))},
        "The signature of the transaction is not valid",
    ),
    "no r": (
        lambda signed: signed | {"r": "0x0"},
        "The signature of the transaction is not valid",
    ),
    "v": (lambda signed: signed | {"v": "0x5"}, "The signature of the transaction is not valid"),
    "protocol": (lambda signed: signed | {"protocol": "btc"}, "invalid params: "),
    "member": (lambda signed: signed | {"more": 1}, "invalid params: "),
    "number": (lambda signed: signed | {"r": "1"}, "r must be a hexadecimal number"),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_signature_that_is_none(ebsi: EbsiWorld, name: str) -> None:
    """A signature in another form, or one that does not belong to the bytes, is refused."""
    forge, expected = FORGERIES[name]
    assert (await refuse(ebsi, forge(sign(await built(ebsi))))).startswith(expected)


async def test_changed_call_data(ebsi: EbsiWorld) -> None:
    """Data that were changed after signing are refused, with the old raw bytes and with new."""
    unsigned = await built(ebsi)
    other = await ebsi.build(TSR, "insertSchema", SCHEMA | {"schema": "0x7b226122203a317d"})
    signed = sign(unsigned)
    told = await refuse(ebsi, signed | {"unsignedTransaction": other})
    assert told.startswith("The unsigned transaction + signature (")
    raw = told.partition("(")[2].partition(")")[0]
    told = await refuse(ebsi, signed | {"unsignedTransaction": other, "signedRawTransaction": raw})
    assert told.startswith("The signer of the transaction (")


async def test_a_signer_that_is_not_the_sender(ebsi: EbsiWorld) -> None:
    """A transaction that names another sender than its signer is refused."""
    told = await refuse(ebsi, sign(await built(ebsi), OTHER))
    assert told == (
        f"The signer of the transaction ({OTHER.address}) does not match with "
        f"unsignedTransaction.from ({MINE.address}) "
    )


async def test_a_foreign_signer(ebsi: EbsiWorld) -> None:
    """An address that does not act for the token's DID is refused."""
    unsigned = await built(ebsi) | {"from": OTHER.address}
    told = await refuse(ebsi, sign(unsigned, OTHER))
    assert told == f"The DID {ALICE_DID} is not controlled by the address {OTHER.address}"


async def test_an_address_whose_time_is_over(ebsi: EbsiWorld) -> None:
    """A revoked address acts no more, and neither does one whose period ended."""
    ebsi.register(LEGAL, OTHER)
    token = f"{LEGAL} tsr_write"
    unsigned = await built(ebsi) | {"from": OTHER.address}
    ebsi.revoke("did-documents", f"{LEGAL}/address/{OTHER.address.lower()}")
    told = await refuse(ebsi, sign(unsigned, OTHER), token)
    assert told == f"The DID {LEGAL} is not controlled by the address {OTHER.address}"
    ebsi.change_once(LEGAL, OTHER, ended_ms=1)
    assert await refuse(ebsi, sign(unsigned, OTHER), token) == told


async def test_a_did_that_nobody_registered(ebsi: EbsiWorld) -> None:
    """A DID that the gateway's member did not register cannot write, whoever signs."""
    told = await refuse(ebsi, sign(await built(ebsi)), f"{LEGAL} tsr_write")
    assert told == f"The DID {LEGAL} was not registered by the member of this gateway"


async def test_a_registered_did_writes(ebsi: EbsiWorld) -> None:
    """A DID that the member registered writes with its own address."""
    ebsi.register(LEGAL, OTHER)
    unsigned = await ebsi.build(TSR, "insertSchema", SCHEMA, OTHER)
    answer = await ebsi.send(TSR, sign(unsigned, OTHER), f"{LEGAL} tsr_write")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("mount", "method", "parameters", "scopes"),
    [
        (TSR, "insertSchema", SCHEMA, "tsr_write"),
        (TIR, "addIssuerProxy", {"did": ALICE_DID, "proxyData": "{}"}, "tir_write"),
        (
            TIR,
            "setAttributeData",
            {"did": ALICE_DID, "attributeId": "0x" + "00" * 32, "attributeData": "0x"},
            "tir_invite' or 'tir_write",
        ),
        (
            TNT,
            "createDocument",
            {
                "documentHash": "0x" + "00" * 32,
                "documentMetadata": "",
                "didEbsiCreator": ALICE_DID,
            },
            "tnt_create",
        ),
    ],
)
async def test_a_missing_scope(
    ebsi: EbsiWorld, mount: str, method: str, parameters: dict[str, str], scopes: str
) -> None:
    """Without its scope a method is neither built nor carried out."""
    expected = f"'{method}' requires an access token with the scope '{scopes}'"
    given = {"from": MINE.address, **parameters}
    token = f"{ALICE_DID} timestamp_write"
    assert words(await ebsi.call(mount, method, given, token)) == expected
    unsigned = await ebsi.build(mount, method, parameters)
    before = ebsi.state()
    assert words(await ebsi.send(mount, sign(unsigned), token)) == expected
    assert ebsi.state() == before


@pytest.mark.parametrize(
    ("mount", "method", "scope"),
    [(TIR, "setAttributeData", "tir_invite"), (DIDR, "insertDidDocument", "didr_invite")],
)
async def test_an_invitation_is_for_its_subject(
    ebsi: EbsiWorld, mount: str, method: str, scope: str
) -> None:
    """A token of an invitation serves the DID that it was given to, and no other."""
    arguments: dict[str, dict[str, object]] = {
        "setAttributeData": {"attributeId": "0x" + "00" * 32, "attributeData": "0x"},
        "insertDidDocument": {
            "baseDocument": "{}",
            "vMethodId": "k",
            "publicKey": "0x00",
            "isSecp256k1": True,
            "notBefore": 0,
            "notAfter": 0,
        },
    }
    parameters = arguments[method]
    given = {"from": MINE.address, "did": LEGAL, **parameters}
    told = words(await ebsi.call(mount, method, given, f"{ALICE_DID} {scope}"))
    assert told == "Access token sub doesn't match the DID from the payload"
    unsigned = await ebsi.build(mount, method, {"did": LEGAL, **parameters})
    sent = await ebsi.send(mount, sign(unsigned), f"{ALICE_DID} {scope}")
    assert words(sent) == told


@pytest.mark.parametrize("method", ["unknown-method", "getIssuer", "insertSchema2", ""])
async def test_an_unknown_method(ebsi: EbsiWorld, method: str) -> None:
    """A method that is not served is named in the refusal."""
    told = words(await ebsi.call(TSR, method, {}))
    assert told == f"The method '{method}' is invalid"


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({}, "from must be an ethereum address"),
        ({"from": "0x12"}, "from must be an ethereum address"),
        (
            {"from": MINE.address},
            "invalid params: 'insertSchema' takes from, schemaId, schema, metadata",
        ),
        (
            {"from": MINE.address, **SCHEMA, "more": 1},
            "invalid params: 'insertSchema' takes from, schemaId, schema, metadata",
        ),
        (
            {"from": MINE.address, **SCHEMA, "schema": "{}"},
            "schema must be a hexadecimal number of bytes",
        ),
        ({"from": MINE.address, **SCHEMA, "schema": 1}, "schema must be a bytes"),
    ],
)
async def test_parameters_that_are_not_those_of_the_method(
    ebsi: EbsiWorld, parameters: dict[str, object], told: str
) -> None:
    """What cannot be encoded is refused when the transaction is built."""
    assert words(await ebsi.call(TSR, "insertSchema", parameters)) == told


async def test_a_call_that_is_no_json_rpc(ebsi: EbsiWorld) -> None:
    """The faults of a call are listed as EBSI lists them; no token is told first."""
    faults = '["jsonrpc must be equal to 2.0","method must be a string","params must be an array"]'
    bodies: list[object] = [{}, [], "x", {"jsonrpc": "1.0", "method": 1, "params": {}}]
    for body in bodies:
        assert problem(await ebsi.post(f"{TSR}/jsonrpc", body)) == (400, "Bad Request", faults)
    two = {"jsonrpc": "2.0", "method": "insertSchema", "params": [SCHEMA, SCHEMA], "id": 7}
    assert words(await ebsi.post(f"{TSR}/jsonrpc", two)) == "params must contain exactly 1 element"
    for raw in (b"{", b'{"a":1,"a":2}', b"\xff"):
        headers = {"authorization": f"Bearer {ALICE_DID} tsr_write"}
        answer = await ebsi.world.http.post(f"{TSR}/jsonrpc", content=raw, headers=headers)
        assert problem(answer)[:2] == (400, "Bad Request")


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        (None, "Invalid or missing JWT"),
        ("very.bad.token", "Invalid Access Token: the signature does not verify"),
        (
            f"{ALICE_DID} tsr_write mandated",
            "Invalid Access Token: sub must be the DID that writes",
        ),
    ],
)
async def test_a_token_that_is_none(ebsi: EbsiWorld, token: str | None, detail: str) -> None:
    """Without a valid token nothing is read of the call."""
    answer = await ebsi.post(f"{TSR}/jsonrpc", {}, token)
    assert problem(answer) == (401, "Unauthorized", detail)


@pytest.mark.parametrize("without", ["verifier", "writer"])
async def test_without_a_verifier_or_a_member_nobody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    """A gateway that was not told how to judge tokens, or for whom to write, refuses all."""
    whole = EbsiSettings(writer=client.alice, verifier=client.Tokens())
    served = EbsiFacade(dataclasses.replace(whole, **{without: None}))  # type: ignore[arg-type] # one of both
    async with ebsi_world(tmp_path, monkeypatch, served) as world:
        answer = await world.post(f"{TSR}/jsonrpc", {})
        assert problem(answer) == (401, "Unauthorized", "Invalid or missing JWT")


async def test_another_members_did_and_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob's gateway writes neither for whom Alice registered nor over what she wrote."""

    def bob(gateway: Gateway) -> Writer:
        return Member(gateway, BOB_DID, BOB)

    served = client.facade(dataclasses.replace(client.SETTINGS, writer=bob))
    async with ebsi_world(tmp_path, monkeypatch, served) as world:
        world.register(LEGAL, OTHER)
        unsigned = await world.build(TSR, "insertSchema", SCHEMA, OTHER)
        told = words(await world.send(TSR, sign(unsigned, OTHER), f"{LEGAL} tsr_write"))
        assert told == f"The DID {LEGAL} was not registered by the member of this gateway"
        ebsi_address = f"{BOB_DID}/address/{OTHER.address.lower()}"
        world.change("did-documents", (ebsi_address, "address", b""))
        told = words(await world.send(TSR, sign(unsigned, OTHER), f"{BOB_DID} tsr_write"))
        assert told == f"The DID {BOB_DID} is not controlled by the address {OTHER.address}"
        with world.world.chain.store.read() as reader:
            with pytest.raises(RpcRefused, match="made by another member"):
                View(reader, BOB_DID).put("did-documents", LEGAL, "document", b"{}")
            made = View(reader, ALICE_DID).put("did-documents", LEGAL, "document", b"{}")
            assert made.expected_revision == 1


async def test_what_the_ledger_refuses_is_a_failed_transaction(ebsi: EbsiWorld) -> None:
    """The receipt says that it failed and why; its nonce is free again."""
    unsigned = await built(ebsi)
    judge = ebsi.world.node.judge
    ebsi.world.node.judge = lambda _: RejectCode.TOPIC_FORBIDDEN.value
    before = ebsi.state()
    hash_ = (await ebsi.send(TSR, sign(unsigned))).json()["result"]
    receipt = await ebsi.besu("eth_getTransactionReceipt", hash_)
    assert isinstance(receipt, dict)
    assert receipt["status"] == "0x0"
    assert b"topic_forbidden" in bytes.fromhex(receipt["revertReason"][2:])
    assert ebsi.state() == before
    assert await ebsi.besu("eth_getTransactionCount", MINE.address, "latest") == "0x0"
    ebsi.world.node.judge = judge
    await ebsi.write(TSR, "insertSchema", SCHEMA)


async def test_an_overloaded_node_is_no_failed_transaction(ebsi: EbsiWorld) -> None:
    """The client is asked to come again, and may: nothing is remembered of it."""
    unsigned = await built(ebsi)
    judge = ebsi.world.node.judge
    ebsi.world.node.judge = lambda _: RejectCode.OVERLOADED.value
    assert problem(await ebsi.send(TSR, sign(unsigned)))[:2] == (429, "Too Many Requests")
    ebsi.world.node.judge = judge
    assert (await ebsi.send(TSR, sign(unsigned))).status_code == 200


async def test_an_unknown_outcome(ebsi: EbsiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is open only the same can be sent again, and it is carried out once."""
    monkeypatch.setattr("adapters.member.GATEWAY_WAIT_MS", 30)
    unsigned = await built(ebsi)
    node: FakeNode = ebsi.world.node
    node.finalises = False
    late = await ebsi.send(TSR, sign(unsigned))
    assert problem(late)[:2] == (503, "Service Unavailable")
    other = await ebsi.build(TSR, "insertSchema", SCHEMA | {"metadata": "0x7b20207d"})
    assert "is not known yet" in words(await ebsi.send(TSR, sign(other)))
    entries = [entry for submission in node.submissions for entry in submission]
    assert len(entries) == 1
    assert problem(await ebsi.send(TSR, sign(unsigned)))[0] == 503
    again = [entry for submission in node.submissions for entry in submission]
    assert again == entries * 2
    await node.extend(entries)
    monkeypatch.setattr("adapters.member.GATEWAY_WAIT_MS", 5_000)
    done = await ebsi.send(TSR, sign(unsigned))
    assert done.status_code == 200, done.text
    receipt = await ebsi.besu("eth_getTransactionReceipt", done.json()["result"])
    assert isinstance(receipt, dict)
    assert receipt["status"] == "0x1"
    assert words(await ebsi.send(TSR, sign(unsigned))) == "Known transaction"


async def test_receipts_and_nonces_survive_a_restart(ebsi: EbsiWorld) -> None:
    """A gateway that knows nothing but the log gives the same receipts and nonces."""
    hash_ = await ebsi.write(TSR, "insertSchema", SCHEMA)
    gateway = ebsi.world.gateway
    fresh = Transactions(gateway, LogIndex(ALICE_DID), client.alice(gateway))
    found = await fresh.receipt(bytes.fromhex(hash_[2:]))
    assert found is not None
    address = bytes.fromhex(MINE.address[2:])
    assert (found.transaction.sender, found.transaction.nonce, found.reason) == (address, 0, None)
    assert await fresh.nonce(address) == 1
    stranger = Transactions(gateway, LogIndex(BOB_DID), client.alice(gateway))
    assert await stranger.receipt(bytes.fromhex(hash_[2:])) is None
    assert await stranger.nonce(address) == 0


def test_contracts_are_bound_to_network_member_and_version() -> None:
    """No two networks, members or versions have a contract's address in common."""
    addresses = [
        contract.address(chain, member)
        for contract in CONTRACTS.values()
        for chain in ("a", "b")
        for member in (ALICE_DID, BOB_DID)
    ]
    assert len(set(addresses)) == len(CONTRACTS) * 4
    assert checksum_address(addresses[0]).lower() == "0x" + addresses[0].hex()
