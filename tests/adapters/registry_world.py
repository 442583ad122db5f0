"""A gateway whose played node carries out what it is handed, with facades and a fixed clock."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.credentials.access import Access, AccessRefused, Power, Refusal
from adapters.lists import Lists
from adapters.member import Member
from ledger.core.trust.lists import ListEntry
from ledger.core.trust.operations import ChangeList, PutEntry, RevokeEntry
from pubsub.io.facade import Facade
from pubsub.io.state import Gateway
from tests.ledger.sample_network import ALICE, ALICE_DID, BOB, BOB_DID, START_MS
from tests.pubsub.gateway_world import World, gateway_world

NOW_MS = START_MS + 10_000
ORGANISATION = "VATES-11111111"
POWERS = frozenset({Power("Onboarding", "Execute", "DOME")})


def alice(gateway: Gateway) -> Member:
    """Write as Alice, who may change every list."""
    return Member(gateway, ALICE_DID, ALICE)


def bob(gateway: Gateway) -> Member:
    """Write as Bob, who may change none."""
    return Member(gateway, BOB_DID, BOB)


def granted(
    organisation: str = f"did:elsi:{ORGANISATION}",
    credential_type: str = "LEARCredentialEmployee",
    powers: Iterable[Power] = POWERS,
) -> Access:
    """Give an access that may write, or nearly so."""
    scopes, expires_ms = frozenset({"learcredential"}), NOW_MS + 60_000
    return Access(organisation, "somebody", credential_type, frozenset(powers), scopes, expires_ms)


class Tokens:
    """A verifier that knows some tokens and refuses all others."""

    def __init__(self, known: dict[str, Access]) -> None:
        self._known = known

    async def access(self, token: str) -> Access:
        """Give the access of a known token."""
        if token not in self._known:
            raise AccessRefused(Refusal.BAD_SIGNATURE)
        return self._known[token]


class RegistryWorld:
    """A world with the lists at hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.http = world.http

    def state_root(self) -> bytes:
        """Give the digest of the whole state."""
        with self.world.gateway.access.store.read() as reader:
            return reader.stored_head(reader.head_height()).root.state_root

    def submissions(self) -> int:
        """Give how often anything was handed to the node."""
        return len(self.world.node.submissions)

    async def change(self, list_name: str, *changes: PutEntry | RevokeEntry) -> None:
        """Change a list as Alice, without any facade."""
        await alice(self.world.gateway).carry_out(ChangeList(list_name, changes))

    def revisions(self, list_name: str, id_: str) -> list[ListEntry]:
        """Give every revision of an entry."""
        with self.world.gateway.access.store.read() as reader:
            return Lists(reader).revisions(list_name, id_)


def put(id_: str, kind: str, body: bytes = b"", valid: Sequence[int] = (0, 0)) -> PutEntry:
    """Put an entry whatever stands there."""
    return PutEntry(id_, kind, body, valid[0], valid[1], None)


@asynccontextmanager
async def registry_world(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *facades: Facade
) -> AsyncIterator[RegistryWorld]:
    """Run a gateway with facades whose clock stands still."""
    monkeypatch.setattr("time.time_ns", lambda: NOW_MS * 1_000_000)
    async with gateway_world(directory, facades=facades) as world:
        world.node.finalises = True
        yield RegistryWorld(world)
