"""An EBSI client as a test plays it: asks for a transaction, signs it, sends it, waits.

It signs with ``eth_account``, which shares no code with the gateway.
"""

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from adapters.credentials.access import Access, AccessRefused, Refusal
from adapters.ebsi.facade import EbsiFacade, EbsiSettings
from adapters.lists import Lists
from adapters.member import Member, Writer
from ledger.core.trust.lists import ListEntry
from ledger.core.trust.operations import ChangeList, PutEntry, RevokeEntry
from pubsub.io.state import Gateway
from tests.adapters.ebsi.ebsi_world import put
from tests.ledger.sample_network import ALICE, ALICE_DID, START_MS
from tests.ledger.trust.test_application import operation_entry
from tests.pubsub.gateway_world import World, gateway_world

NOW_MS = START_MS + 30_000
SCOPES = (
    *("tir_write", "tir_invite", "tsr_write", "didr_write", "didr_invite"),
    *("timestamp_write", "tnt_create", "tnt_write"),
)


class Tokens:
    """A verifier of tokens of the form ``<did> <scope> <scope>...``."""

    async def access(self, token: str) -> Access:
        """Believe what the token says."""
        did, *scopes = token.split(" ")
        if not did.startswith("did:"):
            raise AccessRefused(Refusal.BAD_SIGNATURE, "the signature does not verify")
        subject = "did:key:z6MkEmployee" if "mandated" in scopes else did
        return Access(did, subject, "", frozenset(), frozenset(scopes), 2**62)


def wallet(number: int) -> LocalAccount:
    """Give an Ethereum account."""
    account: LocalAccount = Account.from_key(bytes([number]) * 32)
    return account


MINE, OTHER = wallet(1), wallet(2)


class EbsiWorld:
    """A gateway whose member is Alice, with her address in the list.

    Attributes:
        submitted: what the node had been handed at some time, for a later comparison.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._number = 1_000
        self.submitted: list[tuple[bytes, ...]] = []

    async def post(
        self, path: str, body: object, token: str | None = f"{ALICE_DID} {' '.join(SCOPES)}"
    ) -> httpx.Response:
        """Send JSON."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self.world.http.post(path, json=body, headers=headers)

    async def call(
        self,
        mount: str,
        method: str,
        parameters: Mapping[str, object],
        token: str = f"{ALICE_DID} {' '.join(SCOPES)}",
    ) -> httpx.Response:
        """Call one method."""
        body = {"jsonrpc": "2.0", "method": method, "params": [parameters], "id": 7}
        return await self.post(f"{mount}/jsonrpc", body, token)

    async def build(
        self, mount: str, method: str, parameters: Mapping[str, object], who: LocalAccount = MINE
    ) -> dict[str, str]:
        """Ask for an unsigned transaction."""
        answer = await self.call(mount, method, {"from": who.address, **parameters})
        assert answer.status_code == 200, answer.text
        result: dict[str, str] = answer.json()["result"]
        return result

    async def send(
        self,
        mount: str,
        signed: Mapping[str, object],
        token: str = f"{ALICE_DID} {' '.join(SCOPES)}",
    ) -> httpx.Response:
        """Send a signed transaction."""
        return await self.call(mount, "sendSignedTransaction", signed, token)

    async def write(
        self, mount: str, method: str, parameters: Mapping[str, object], who: LocalAccount = MINE
    ) -> str:
        """Go the whole way and see that the transaction was carried out; give its hash."""
        unsigned = await self.build(mount, method, parameters, who)
        answer = await self.send(mount, sign(unsigned, who))
        assert answer.status_code == 200, answer.text
        hash_: str = answer.json()["result"]
        receipt = await self.besu("eth_getTransactionReceipt", hash_)
        assert isinstance(receipt, dict)
        assert (receipt["status"], receipt["transactionHash"]) == ("0x1", hash_)
        return hash_

    async def refused(self, mount: str, method: str, parameters: Mapping[str, object]) -> str:
        """Go the whole way and give the words of the refusal; nothing may have changed."""
        before = self.state()
        answer = await self.call(mount, method, {"from": MINE.address, **parameters})
        if answer.status_code == 200:
            answer = await self.send(mount, sign(answer.json()["result"]))
        assert answer.status_code == 400, answer.text
        assert self.state() == before
        error = answer.json()["error"]
        assert error["code"] == -32600
        message: str = error["message"]
        return message

    async def besu(self, method: str, *parameters: object) -> object:
        """Call the ledger's own JSON-RPC."""
        body = {"jsonrpc": "2.0", "method": method, "params": list(parameters), "id": 1}
        answer = await self.post("/ledger/v4/blockchains/besu", body, None)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def json(self, path: str) -> dict[str, object]:
        """Read a document."""
        answer = await self.world.get(path)
        assert answer.status_code == 200, answer.text
        document: dict[str, object] = answer.json()
        return document

    def state(self) -> tuple[bytes, int]:
        """Give the root of the state and the size of the log."""
        with self.world.chain.store.read() as reader:
            root = reader.stored_head(reader.head_height()).root
            return root.state_root, root.log_size

    def change(self, list_name: str, *entries: tuple[str, str, object]) -> None:
        """Let Alice change a list by an event of her own."""
        self._number += 1
        operation = ChangeList(list_name, tuple(put(*entry) for entry in entries))
        self.world.chain.extend([operation_entry(operation, self._number)])

    def revoke(self, list_name: str, id_: str) -> None:
        """Let Alice end an entry by an event of her own."""
        self._number += 1
        operation = ChangeList(list_name, (RevokeEntry(id_, None),))
        self.world.chain.extend([operation_entry(operation, self._number)])

    def change_once(self, did: str, account: LocalAccount, ended_ms: int) -> None:
        """Let Alice say that an address acted for a DID until a time."""
        self._number += 1
        id_ = f"{did}/address/{account.address.lower()}"
        operation = ChangeList("did-documents", (PutEntry(id_, "address", b"", 0, ended_ms, None),))
        self.world.chain.extend([operation_entry(operation, self._number)])

    def register(self, did: str, account: LocalAccount) -> None:
        """Let Alice register a DID with an address."""
        document = {"@context": [], "id": did, "controller": [did]}
        self.change(
            "did-documents",
            (did, "document", document),
            (f"{did}/address/{account.address.lower()}", "address", b""),
        )


def sign(unsigned: Mapping[str, str], who: LocalAccount = MINE) -> dict[str, object]:
    """Sign a transaction and give the parameters that send it."""
    fields: dict[str, Any] = {
        "nonce": int(unsigned["nonce"], 16),
        "gasPrice": int(unsigned["gasPrice"], 16),
        "gas": int(unsigned["gasLimit"], 16),
        "to": bytes.fromhex(unsigned["to"][2:]),
        "value": int(unsigned["value"], 16),
        "data": unsigned["data"],
        "chainId": int(unsigned["chainId"], 16),
    }
    signed = who.sign_transaction(fields)
    return {
        "protocol": "eth",
        "unsignedTransaction": dict(unsigned),
        "r": hex(signed.r),
        "s": hex(signed.s),
        "v": hex(signed.v),
        "signedRawTransaction": "0x" + bytes(signed.raw_transaction).hex(),
    }


SETTINGS = EbsiSettings(documents_topic="catalog.documents")


def facade(settings: EbsiSettings = SETTINGS) -> EbsiFacade:
    """Give a facade whose member is Alice, with a verifier, where nothing else is said."""
    writer, verifier = settings.writer or alice, settings.verifier or Tokens()
    return EbsiFacade(dataclasses.replace(settings, writer=writer, verifier=verifier))


def alice(gateway: Gateway) -> Writer:
    """Write as Alice."""
    return Member(gateway, ALICE_DID, ALICE)


@asynccontextmanager
async def ebsi_world(
    directory: Path, monkeypatch: pytest.MonkeyPatch, served: EbsiFacade | None = None
) -> AsyncIterator[EbsiWorld]:
    """Run a gateway with a node that makes everything final at once."""
    monkeypatch.setattr("time.time_ns", lambda: NOW_MS * 1_000_000)
    async with gateway_world(directory, facades=[served or facade()]) as world:
        world.node.finalises = True
        running = EbsiWorld(world)
        address = f"{ALICE_DID}/address/{MINE.address.lower()}"
        running.change("did-documents", (address, "address", b""))
        yield running


def entry_of(world: EbsiWorld, list_name: str, id_: str) -> ListEntry | None:
    """Give an entry that stands."""
    with world.world.chain.store.read() as reader:
        return Lists(reader).entry(list_name, id_)
