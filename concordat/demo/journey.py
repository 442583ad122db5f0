"""The journey of one product through three marketplaces.

Described, certified, launched, replicated, ordered in another marketplace, active in both, used,
condensed, audited. Owns the order of the acts. Meanwhile one marketplace's access node is killed
and one of the four validators says nothing at all.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import trio

from adapters.tmf.usage.package import audit_package, decode_package
from adapters.tmf.usage.proof import decode_proof, verify_on_ledger
from concordat.config_file import Value
from concordat.demo.access_client import APIS, AccessClient, Json, refusal_of, require
from concordat.demo.certifier import LABEL_TYPE, Certifier
from concordat.demo.checks import Check
from concordat.demo.network import DemoNetwork
from concordat.demo.screen import Screen
from concordat.testnet import TestnetPlan
from ledger.core.errors import DecodeError, ProofError, Unavailable
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher

__all__ = ["VALIDATORS", "travel"]

_SELLER, _BUYER, _THIRD, _SILENT = "nordwind", "iberia-cloud", "alpenrand", "polaris"
VALIDATORS: Final = (_SELLER, _BUYER, _THIRD, _SILENT)
_MARKETS: Final = (_SELLER, _BUYER, _THIRD)
_REGISTRAR: Final = "registrar"
_CUSTOMER: Final = "did:elsi:VATES-A58818501"
_CERTIFIER: Final = "VATFR-40303265045"
_PUBLIC: Final = ("catalog", "category", "productSpecification", "productOffering", "organization")
_SHARED: Final = ("productOrder", "product")
_RECORDS: Final = 300
_BLOCK_RECORDS: Final = 100
_ACT_S: Final = 120
_POLL_S: Final = 0.1
_BLOCKS: Final = "/usage-log/v1/blocks"


async def travel(directory: Path, screen: Screen) -> list[Check]:
    """Play the journey; give what it showed. No process of it is left, however it ends.

    Raises:
        Unavailable: an act took longer than it may, or was refused.
        MemberEndedError: a process ended by itself.
    """
    certifier = Certifier(_CERTIFIER)
    anchors = directory / "anchors.pem"
    anchors.write_bytes(certifier.anchor)
    network = DemoNetwork(directory / "net", _plan(anchors))
    clients = {
        name: AccessClient(name, network.access_url(name), network.token_file(name))
        for name in _MARKETS
    }
    try:
        return await _Journey(network, clients, certifier, screen).run()
    finally:
        network.kill_all()
        with trio.CancelScope(shield=True):
            for client in clients.values():
                await client.aclose()


def _plan(anchors: Path) -> TestnetPlan:
    settings: dict[str, dict[str, Value]] = {
        "authorisation": {"trust_anchors": str(anchors)},
        "access_node": {
            "profile": "dome",
            "life_cycles": "strict",
            "certificates": "required",
            "usage_block_records": _BLOCK_RECORDS,
            "usage_block_ms": 2_000,
        },
    }
    rights = {name: ["tmf.>"] for name in _MARKETS} | {_REGISTRAR: ["ledger.lists.issuers"]}
    return TestnetPlan(
        "market",
        DemoNetwork.draw_ports(VALIDATORS),
        [_REGISTRAR],
        settings=settings,
        rights=rights,
    )


class _Journey:
    """One run: what its acts share."""

    def __init__(
        self,
        network: DemoNetwork,
        clients: Mapping[str, AccessClient],
        certifier: Certifier,
        screen: Screen,
    ) -> None:
        self._network = network
        self._clients = clients
        self._seller, self._buyer, self._third = (clients[name] for name in _MARKETS)
        self._certifier = certifier
        self._screen = screen
        self._checks: list[Check] = []
        self._specification: Json = {}
        self._offering: Json = {}
        self._order: Json = {}
        self._product: Json = {}

    async def run(self) -> list[Check]:
        """Play all acts."""
        acts: list[Callable[[], Awaitable[None]]] = [
            self._start,
            self._list_the_certifier,
            self._describe,
            self._launch,
            self._replicate,
            self._buy,
            self._deliver,
            self._come_back,
            self._use,
            self._audit,
            self._compare,
        ]
        for act in acts:
            await self._watched(act)
        self._screen.say("stopping everything")
        await self._network.stop()
        return self._checks

    async def _watched(self, act: Callable[[], Awaitable[None]]) -> None:
        """Play an act within its time, while every process that should run does."""
        with trio.move_on_after(_ACT_S) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                await act()
                nursery.cancel_scope.cancel()
        if scope.cancelled_caught:
            what = act.__name__.strip("_").replace("_", " ")
            raise Unavailable(f"'{what}' took longer than {_ACT_S} s")

    async def _watch(self) -> None:
        while True:
            self._network.require_running()
            await trio.sleep(_POLL_S)

    def _check(self, promise: str, held: bool) -> None:  # noqa: FBT001 - a verdict
        self._checks.append(Check(promise, held))
        self._screen.say(promise if held else f"NOT SO: {promise}", "green" if held else "bold red")

    # --- acts -------------------------------------------------------------------------------

    async def _start(self) -> None:
        say = self._screen.say
        say(f"starting validators {', '.join(VALIDATORS)}, and access nodes of the first three")
        for name in VALIDATORS:
            self._network.start(name)
        for number, name in enumerate(VALIDATORS):
            self._screen.ready(number)
            await self._network.wait_ready(name)
        for name in _MARKETS:
            self._network.start(name, "access-node")
        for client in self._clients.values():
            await client.wait_ready()
        self._screen.ready(len(VALIDATORS))
        self._network.silence(_SILENT)
        say(f"from now on validator {_SILENT} says nothing at all", "red")

    async def _list_the_certifier(self) -> None:
        """Let whoever keeps the trusted issuers list name the certifier."""
        testnet = self._network.testnet
        key = open_key(testnet.publisher_keys[_REGISTRAR], KeyPurpose.PUBLISHER, password=None)
        registrar = Publisher(key.info.owner, key.signer, testnet.genesis.chain_id)
        urls = [self._network.urls[name] for name in _MARKETS]
        body = json.dumps({"credentialsType": LABEL_TYPE}).encode()
        async with AsyncClient(urls, testnet.genesis) as client:
            did = self._certifier.did
            await client.trust.put(registrar, "issuers", did, ("issuer", b""))
            label = f"{did}/label"
            put = await client.trust.put(registrar, "issuers", label, ("credential", body))
        # Access nodes read it with proofs, which come with the next blocks.
        async with AsyncClient(urls[0], testnet.genesis) as client:
            await client.trust.entry("issuers", label, at_least=put.height)
        self._screen.say(f"the trusted issuers list on the ledger names {did} for {LABEL_TYPE}")

    async def _describe(self) -> None:
        """Let the provider register and describe its product at the first marketplace."""
        seller = self._seller
        await seller.make(
            "organization",
            {
                "tradingName": "Nordwind Cloud GmbH",
                "externalReference": [{"name": "VATDE-312845967", "externalReferenceType": "idm"}],
            },
        )
        offered = {"version": "1.0", "lifecycleStatus": "Active", "relatedParty": self._offered()}
        self._specification = await seller.make(
            "productSpecification", {"name": "Object storage", "brand": "Nordwind"} | offered
        )
        category = await seller.make(
            "category", {"name": "Storage", "version": "1.0", "lifecycleStatus": "Active"}
        )
        reference = {"id": category["id"], "name": "Storage"}
        catalog = await seller.make("catalog", {"name": "Cloud", "category": [reference]} | offered)
        await seller.change(catalog, {"lifecycleStatus": "Launched"})
        specification = {"id": self._specification["id"], "name": "Object storage"}
        self._offering = await seller.make(
            "productOffering",
            {
                "name": "Object storage, 1 TB",
                "productSpecification": specification,
                "category": [reference],
            }
            | offered,
        )
        self._screen.say(f"{_SELLER} describes {self._offering['name']!r}, a draft so far")
        hidden = await seller.see(self._offering["href"])
        self._check("a draft is its owner's alone", hidden.status_code == HTTPStatus.NOT_FOUND)

    async def _launch(self) -> None:
        """Launch it: refused without a certificate, done with one, while a marketplace is dead."""
        seller, launched = self._seller, {"lifecycleStatus": "Launched"}
        await seller.change(self._specification, launched)
        refused = refusal_of(await seller.call("PATCH", self._offering["href"], launched))
        self._check(
            f"an offering without a certificate is not launched ({refused})",
            refused.startswith("compliance-"),
        )
        token = self._certifier.certify(self._specification["id"])
        certificate = {
            "name": "Compliance:VC",
            "productSpecCharacteristicValue": [{"isDefault": True, "value": token}],
        }
        await seller.change(self._specification, {"productSpecCharacteristic": [certificate]})
        self._network.kill(_THIRD, "access-node")
        self._screen.say(f"SIGKILL to the access node of {_THIRD}", "red")
        self._offering = await seller.change(self._offering, launched)
        self._screen.say(f"certified by {self._certifier.did}, and launched")

    async def _replicate(self) -> None:
        began = trio.current_time()
        await self._buyer.wait_for(
            self._offering["href"], lambda found: found["lifecycleStatus"] == "Launched"
        )
        ms = (trio.current_time() - began) * 1000
        self._screen.say(f"{_BUYER} shows the very same offering {ms:.0f} ms later")

    async def _buy(self) -> None:
        """Let a customer order it in another marketplace."""
        item = {"id": "1", "action": "add", "productOffering": {"id": self._offering["id"]}}
        self._order = await self._buyer.make(
            "productOrder",
            {"version": "1.0", "productOrderItem": [item], "relatedParty": self._agreed()},
        )
        await self._seller.wait_for(self._order["href"])
        for state in ("inProgress", "completed"):
            self._order = await self._buyer.change(self._order, {"state": state})
        await self._seller.wait_for(
            self._order["href"], lambda found: found["state"] == "completed"
        )
        self._screen.say(f"{_CUSTOMER} orders it at {_BUYER}; the order reaches {_SELLER}")

    async def _deliver(self) -> None:
        product = await self._seller.make(
            "product",
            {
                "name": "Object storage of Casa Verde",
                "version": "1.0",
                "status": "created",
                "productOffering": {"id": self._offering["id"]},
                "relatedParty": self._agreed(),
            },
        )
        self._product = await self._seller.change(product, {"status": "active"})
        await self._buyer.wait_for(product["href"], lambda found: found["status"] == "active")
        self._check(f"the product is active at {_SELLER} and at {_BUYER}", held=True)

    async def _come_back(self) -> None:
        self._network.start(_THIRD, "access-node")
        began = trio.current_time()
        await self._third.wait_ready()
        await self._third.wait_for(self._offering["href"])
        seconds = trio.current_time() - began
        self._screen.say(f"{_THIRD} is started again and has the offering after {seconds:.1f} s")

    async def _use(self) -> None:
        """Let the seller meter what its customer uses."""
        lines = [json.dumps(self._usage(number)).encode() for number in range(_RECORDS)]
        answer = require(
            await self._seller.call("POST", "/usage-log/v1/records", b"\n".join(lines))
        )
        taken = answer.json()["taken"]
        await _until(self._is_all_final)
        count = len(await self._final_blocks())
        self._check(
            f"{taken} usage records became {count} events on the ledger",
            taken == _RECORDS and count <= _RECORDS // _BLOCK_RECORDS + 1,
        )

    async def _audit(self) -> None:
        """Check one record as the buyer, and all blocks as an auditor: with genesis alone."""
        genesis = self._network.testnet.genesis
        blocks = await self._final_blocks()
        path = f"{_BLOCKS}/{blocks[0]['number']}/proof?record={self._usage(0)['id']}"
        answer = require(await self._seller.call("GET", path))
        proven = 0
        faults: list[str] = []
        try:
            found = verify_on_ledger(decode_proof(answer.content), genesis)
            proven = found.record.body.count(b'"amount":0')
            for block in blocks:
                package = await self._seller.call("GET", f"{_BLOCKS}/{block['number']}/audit")
                faults += audit_package(decode_package(require(package).content), genesis).faults
        except (DecodeError, ProofError) as error:
            faults.append(str(error))
        self._check("a usage record is proven with the genesis file alone", proven == 1)
        self._check(f"an auditor recomputes {len(blocks)} blocks and finds no fault", not faults)

    async def _compare(self) -> None:
        """See that all ends equal, and that what two agreed on is theirs alone."""
        for resource in _PUBLIC:
            await _until(partial(self._is_equal, resource))
        self._check("three marketplaces show the same catalogue, byte for byte", held=True)
        pairs = [
            await client.list(name, as_operator=True)
            for name in _SHARED
            for client in (self._seller, self._buyer)
        ]
        self._check(
            f"order and product are the same at {_SELLER} and {_BUYER}",
            pairs[0] == pairs[1] and pairs[2] == pairs[3] and bool(pairs[0]) and bool(pairs[2]),
        )
        others = [await self._third.list(name, as_operator=True) for name in _SHARED]
        self._check(f"{_THIRD} knows neither of them", not any(others))
        self._network.go_on(_SILENT)
        wanted = max([await self._network.log_size(name) for name in _MARKETS])
        await _until(partial(self._hold_all, wanted))
        self._check(f"{_SILENT} speaks again and holds all {wanted} events", held=True)

    # --- what is said -----------------------------------------------------------------------

    def _offered(self) -> list[Json]:
        seller = self._did(_SELLER)
        return [_party("Seller", seller), _party("SellerOperator", seller)]

    def _agreed(self) -> list[Json]:
        buyer = [_party("Buyer", _CUSTOMER), _party("BuyerOperator", self._did(_BUYER))]
        return self._offered() + buyer

    def _did(self, name: str) -> str:
        return f"did:example:{name}"

    def _usage(self, number: int) -> Json:
        return {
            "id": f"urn:ngsi-ld:usage:00000000-0000-4000-8000-{number:012}",
            "usageDate": f"2026-11-01T{number % 24:02}:00:00Z",
            "usageCharacteristic": [
                {"name": "storage", "value": {"amount": number % 10, "units": "GB"}}
            ],
            "ratedProductUsage": [{"productRef": {"id": self._product["id"]}}],
            "relatedParty": [_party("Seller", self._did(_SELLER)), _party("Buyer", _CUSTOMER)],
        }

    async def _final_blocks(self) -> list[Json]:
        found: list[Json] = require(await self._seller.call("GET", _BLOCKS)).json()
        return [block for block in found if block["state"] == "final"]

    async def _is_all_final(self) -> bool:
        counts: list[int] = [block["count"] for block in await self._final_blocks()]
        return sum(counts) >= _RECORDS

    async def _hold_all(self, wanted: int) -> bool:
        return min([await self._network.log_size(name) for name in VALIDATORS]) >= wanted

    async def _is_equal(self, resource: str) -> bool:
        seen = [(await client.see(APIS[resource])).content for client in self._clients.values()]
        sets = [sorted(map(json.dumps, json.loads(content))) for content in seen]
        return bool(sets[0]) and sets[0] == sets[1] == sets[2]


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110 - other processes make it so
        await trio.sleep(_POLL_S)


def _party(role: str, did: str) -> Json:
    return {"id": did, "role": role, "name": did, "@referredType": "Organization"}
