"""How users call the public API, for the type checker: mypy reads this file, nothing runs it."""

from collections.abc import Iterator
from typing import assert_type

from concordat import (
    AsyncClient,
    AsyncSubscription,
    Client,
    Event,
    Genesis,
    Governors,
    LedgerEvent,
    ListEntry,
    OpenEntry,
    ProofBundle,
    Publisher,
    Reading,
    Receipt,
    RejectCode,
    Rejected,
    SeedSigner,
    SetGovernors,
    Subscription,
    VerifiedEvent,
    VerifiedState,
    Verifier,
    read_genesis,
    verify,
    verify_state,
)


def offline(bundle: bytes, file: bytes) -> None:
    """Check proofs without a network."""
    genesis = read_genesis(file)
    assert_type(genesis, Genesis)
    assert_type(verify(bundle, genesis), VerifiedEvent)
    assert_type(verify(bundle, file).event, Event)
    assert_type(Verifier(genesis).chain_id, str)


def publishing(genesis: Genesis) -> None:
    """Publish one and many."""
    publisher = Publisher("did:web:a.example", SeedSigner(bytes(32)), genesis.chain_id)
    opened = publisher.sign("a.b", "created", subject="urn:1", tags=("x",), data=b"{}")
    assert_type(opened, OpenEntry)
    publisher.sign("a.b", "created", colour="red")  # type: ignore[call-arg]
    with Client(["http://a", "http://b"], genesis) as client:
        receipt = client.publish(opened, wait="proof")
        assert_type(receipt, Receipt)
        assert_type(receipt.proof, ProofBundle | None)
        client.publish(opened, wait="soon")  # type: ignore[arg-type]
        assert_type(client.publish_many(iter([opened])), list[Receipt])
        try:
            client.publish(opened)
        except Rejected as error:
            assert_type(error.code, RejectCode)


def reading(client: Client, opened: OpenEntry) -> Iterator[LedgerEvent]:
    """Read, prove and follow."""
    assert_type(client.get(opened.id), LedgerEvent | None)
    assert_type(client.proof(opened.id.hex()), ProofBundle | None)
    yield from client.events(topic="a.>", subject="urn:1", after=5)
    client.events(color="red")  # type: ignore[call-arg]
    with client.subscribe(topic="a.*", after=None, verify=False) as events:
        assert_type(events, Subscription)
        assert_type(events.cursor, int | None)
        for event in events:
            assert_type(event, LedgerEvent)


def trusting(client: Client, publisher: Publisher, bundle: bytes, genesis: Genesis) -> None:
    """Read and write the trusted lists."""
    receipt = client.trust.put(publisher, "issuers", "did:web:a", ("issuer", b""), valid_to_ms=5)
    assert_type(receipt, Receipt)
    reading = client.trust.entry("issuers", "did:web:a", at_least=receipt.height)
    assert_type(reading, Reading[ListEntry])
    assert_type(reading.value, ListEntry | None)
    for row in client.trust.entries("issuers", prefix="did:web:a/"):
        assert_type(row.entry, ListEntry)
    client.trust.propose(publisher, SetGovernors(Governors(1, ("did:web:a",))), 9)
    client.trust.revoke(publisher, "issuers", "did:web:a", body=b"")  # type: ignore[call-arg]
    assert_type(verify_state(bundle, genesis), VerifiedState)


async def asynchronously(client: AsyncClient, opened: OpenEntry) -> None:
    """Do the same without blocking."""
    assert_type(await client.publish(opened), Receipt)
    assert_type(await client.publish_many([opened], wait="final"), list[Receipt])
    assert_type(await client.get(opened.id), LedgerEvent | None)
    assert_type(await client.trust.governors(), Reading[Governors])
    async for event in client.events(publisher="did:web:a.example"):
        assert_type(event, LedgerEvent)
    async with client.subscribe(type="created") as events:
        assert_type(events, AsyncSubscription)
        assert_type(await anext(events), LedgerEvent)
