"""Who may do what, role by role and list by list, over HTTP and past it.

Each forbidden operation is refused twice: by the node that takes it, and, should a faulty node put
it into a block all the same, by the block's application. Neither changes the state's root.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ledger.core.admission import examine_entries
from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.genesis import Governors, Participant, ParticipantKey
from ledger.core.signing import SeedSigner
from ledger.core.trust.bodies import LISTS
from ledger.core.trust.operations import (
    AddKey,
    Approve,
    ChangeList,
    Operation,
    Propose,
    PutEntry,
    RegisterParticipant,
    RevokeEntry,
    RevokeKey,
    SetParameter,
    key_possession_message,
)
from pubsub.core.cloudevents import cloudevent_json
from tests.ledger.sample_network import START_MS, network
from tests.ledger.trust.test_application import operation_entry
from tests.pubsub.gateway_world import World, gateway_world

WRITERS = {name: f"writer of {name}" for name in LISTS}
RIGHTS: dict[str, tuple[str, ...]] = {
    "governor": (),
    "registrar": ("ledger.participants",),
    "everything": (">", "*.lists.issuers", "*.participants"),
    "plain": ("market.>",),
    "revoked": ("ledger.>",),
    **{role: (f"ledger.lists.{name}",) for name, role in WRITERS.items()},
}
ROLES = (*RIGHTS, "stranger", "key of another")
SIGNERS = {role: SeedSigner(bytes([5, number]) * 16) for number, role in enumerate(ROLES)}
DIDS = {role: f"did:example:{role.replace(' ', '-')}" for role in ROLES}


def participant(role: str) -> Participant:
    """Give the participant that has a role, with a key to revoke."""
    keys = (
        ParticipantKey(SIGNERS[role].public_key, revoked=role == "revoked"),
        ParticipantKey(SeedSigner(bytes([6]) * 32).public_key, revoked=False),
    )
    return Participant(DIDS[role], role, keys, RIGHTS[role])


GENESIS = msgspec.structs.replace(
    network("rights"),
    participants=tuple(map(participant, RIGHTS)),
    governors=Governors(2, (DIDS["governor"], DIDS["plain"])),
)
NEW_KEY = SeedSigner(bytes([7]) * 32)
NEWCOMER = Participant(
    "did:example:new", "New", (ParticipantKey(NEW_KEY.public_key, revoked=False),), ("shop.>",)
)
BODIES = {
    "participants": ("participant", b'{"organizationIdentifier":"V1"}'),
    "issuers": ("issuer", b""),
    "schemas": ("schema", b"{}"),
    "services": ("service", b'{"clientId":"a"}'),
    "access-nodes": ("access-node", b'{"name":"a","dlt_address":"0x0"}'),
    "revoked-credentials": ("revocation", b""),
    "did-documents": ("document", b"{}"),
    "timestamps": ("timestamp", b"{}"),
}


def operations(role: str) -> dict[str, Operation]:
    """Give one good operation of every kind, as this role would make it."""
    message = key_possession_message(GENESIS.chain_id, DIDS[role], NEW_KEY.public_key)
    return {
        **{
            name: ChangeList(name, (PutEntry("a", kind, body, 0, 0, None),))
            for name, (kind, body) in BODIES.items()
        },
        "register": RegisterParticipant(NEWCOMER),
        "add key": AddKey(NEW_KEY.public_key, NEW_KEY.sign(message)),
        "revoke key": RevokeKey(SeedSigner(bytes([6]) * 32).public_key),
        "propose": Propose(SetParameter("a", 1, 1), START_MS + 60_000),
    }


ALLOWED = {
    (role, name)
    for role in RIGHTS
    for name in operations(role)
    if role != "revoked"
    and (
        name in ("add key", "revoke key")
        or (role in ("governor", "plain") and name == "propose")
        or (role == "registrar" and name == "register")
        or role == WRITERS.get(name)
    )
}
CODES = {
    "stranger": RejectCode.UNKNOWN_PUBLISHER,
    "key of another": RejectCode.UNKNOWN_KEY,
    "revoked": RejectCode.REVOKED_KEY,
}


def entry_of(role: str, operation: Operation, nonce: int) -> bytes:
    """Give the event with which a role hands in an operation."""
    did = DIDS["registrar"] if role == "key of another" else DIDS[role]
    return operation_entry(
        operation, nonce, chain_id=GENESIS.chain_id, signer=SIGNERS[role], publisher=did
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a gateway whose node judges as a real one does, and finalises."""
    async with gateway_world(tmp_path, genesis=GENESIS) as running:
        running.node.finalises = True

        def judge(data: bytes) -> str:
            with running.chain.store.read() as reader:
                (verdict,) = examine_entries(
                    [data],
                    chain_id=GENESIS.chain_id,
                    state=reader.state(reader.stored_head(reader.head_height()).root),
                    now_ms=START_MS,
                    known_events=reader.known_events,
                )
            return str(verdict) if isinstance(verdict, RejectCode) else ""

        running.node.judge = judge
        yield running


def state_root(world: World) -> bytes:
    """Give the root of the newest state."""
    with world.chain.store.read() as reader:
        return reader.stored_head(reader.head_height()).root.state_root


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_does_what_it_may_and_nothing_else(world: World, role: str) -> None:
    """A forbidden operation has its code at once, and in a block; the state stays as it was."""
    for nonce, (name, operation) in enumerate(operations(role).items()):
        data = entry_of(role, operation, nonce)
        before = state_root(world)
        answer = await world.post_bulk([data], "?wait=final")
        (receipt,) = answer.json()["receipts"]
        if (role, name) in ALLOWED:
            assert (receipt["status"], state_root(world) != before) == ("final", True), name
            continue
        code = CODES.get(role, RejectCode.TOPIC_FORBIDDEN)
        assert (receipt["status"], receipt["code"]) == ("refused", code), name
        world.chain.extend([data])
        with world.chain.store.read() as reader:
            stored = reader.receipt(open_entry(data).id)
        assert stored is not None
        assert (stored.sequence, stored.code) == (None, code), name
        assert state_root(world) == before, name


@pytest.mark.parametrize("name", LISTS)
async def test_the_right_to_a_list_is_for_that_list(world: World, name: str) -> None:
    """What changes another list is refused on the topic of the writer's own."""
    role = WRITERS[name]
    before = state_root(world)
    for other in sorted(set(LISTS) - {name}):
        data = operation_entry(
            operations(role)[other],
            chain_id=GENESIS.chain_id,
            signer=SIGNERS[role],
            publisher=DIDS[role],
            topic=f"ledger.lists.{name}",
        )
        (receipt,) = (await world.post_bulk([data], "?wait=final")).json()["receipts"]
        assert receipt["code"] == RejectCode.OPERATION_MALFORMED
        world.chain.extend([data])
        assert state_root(world) == before


@pytest.mark.parametrize(
    "participant",
    [
        msgspec.structs.replace(NEWCOMER, topics=("ledger.lists.issuers",)),
        msgspec.structs.replace(NEWCOMER, topics=("ledger.>",)),
        msgspec.structs.replace(NEWCOMER, did=DIDS["governor"]),
        msgspec.structs.replace(NEWCOMER, did=DIDS[WRITERS["issuers"]]),
        msgspec.structs.replace(NEWCOMER, did=DIDS["everything"]),
    ],
    ids=["list right", "all rights", "governor", "writer", "keys of another"],
)
async def test_a_registrar_can_neither_grant_nor_take_over(
    world: World, participant: Participant
) -> None:
    """No reserved right, no governor's or writer's entry, nobody's keys."""
    data = entry_of("registrar", RegisterParticipant(participant), 1)
    before = state_root(world)
    (receipt,) = (await world.post_bulk([data], "?wait=final")).json()["receipts"]
    assert receipt["code"] == RejectCode.OPERATION_REFUSED
    world.chain.extend([data])
    assert state_root(world) == before


async def test_one_governor_decides_nothing_alone(world: World) -> None:
    """A proposal changes what it is about only when the threshold approved, and only once."""
    proposal = entry_of("governor", operations("governor")["propose"], 1)
    await world.post_bulk([proposal], "?wait=final")
    id_ = open_entry(proposal).id
    target = f"/v1/governance/proposals/{id_.hex()}"
    assert (await world.get(target)).json()["status"] == "open"
    for role, code in (
        ("governor", RejectCode.DUPLICATE),
        ("registrar", RejectCode.TOPIC_FORBIDDEN),
    ):
        data = entry_of(role, Approve(id_), 2)
        before = state_root(world)
        (receipt,) = (await world.post_bulk([data])).json()["receipts"]
        assert receipt["code"] == code
        world.chain.extend([data])
        assert state_root(world) == before
    assert (await world.get("/v1/governance")).json()["parameters"] == {}
    data = entry_of("plain", Approve(id_), 3)
    await world.post_bulk([data], "?wait=final")
    assert (await world.get(target)).json()["status"] == "carried_out"
    assert (await world.get("/v1/governance")).json()["parameters"] == {"a": [1, 1]}


async def test_a_refusal_of_one_event_is_its_http_status(world: World) -> None:
    """Published alone, what the state machine would refuse is a problem, not a late receipt."""
    revoke = ChangeList("issuers", (RevokeEntry("nobody", None),))
    data = entry_of(WRITERS["issuers"], revoke, 1)

    answer = await world.post(cloudevent_json(open_entry(data)))
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_entry")
