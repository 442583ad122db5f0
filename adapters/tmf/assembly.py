"""From what an operator chose to the parts of an access node: which object knows which.

Owns the wiring and nothing else; it reads no file and opens no socket, only the database.
"""

import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec
import structlog
from starlette.routing import BaseRoute

from adapters.credentials.certificates import TrustAnchors
from adapters.credentials.checker import Checker
from adapters.credentials.fetching import HttpFetcher, Remembered
from adapters.credentials.keys import KeyFinder
from adapters.credentials.replay import ReplayMemory
from adapters.credentials.verifier import ExternalVerifier, TokenVerifier
from adapters.tmf.api.callers import CallerOf, everybody_operates
from adapters.tmf.api.collections import Serving
from adapters.tmf.api.jobs import Jobs, JobSettings
from adapters.tmf.api.routes import api_routes
from adapters.tmf.desmos.parts import DesmosParts, DesmosSettings, DesmosSurroundings
from adapters.tmf.entities.service import Entities
from adapters.tmf.entities.stepping import LifeCycles, Mode, Step
from adapters.tmf.hub.endpoints import HubEndpoints
from adapters.tmf.hub.hub import Hub, HubSettings
from adapters.tmf.hub.model import Delivery
from adapters.tmf.measures import MEASURES
from adapters.tmf.monitoring import Monitoring
from adapters.tmf.node import AccessNode, Parts, Task
from adapters.tmf.policy.certified import Verdicts
from adapters.tmf.policy.profile import Profile, policies_of
from adapters.tmf.policy.publishing import is_published
from adapters.tmf.replication.admin import Admin
from adapters.tmf.replication.context import Acceptance, Context
from adapters.tmf.replication.core.model import Told
from adapters.tmf.replication.couriers import Couriers
from adapters.tmf.replication.form import EventForm, Taken
from adapters.tmf.replication.ledger import Identity, Members
from adapters.tmf.replication.native import NativeForm
from adapters.tmf.replication.replicator import Replicator
from adapters.tmf.replication.selecting import kept_selection
from adapters.tmf.resources.moments import spell_time
from adapters.tmf.retention import READERS, Retention
from adapters.tmf.store.database import Store
from adapters.tmf.trust.acceptance import CertifiedAcceptance
from adapters.tmf.trust.callers import BearerCallers
from adapters.tmf.trust.compliance import CertificateVerifier
from adapters.tmf.trust.ledger import ClientLedger
from adapters.tmf.trust.verified import VerifiedStore
from adapters.tmf.usage.condensing import BlockLimits
from adapters.tmf.usage.http import usage_routes
from adapters.tmf.usage.log import Sealing
from adapters.tmf.usage.service import UsageService
from ledger.core.limits import (
    DESMOS_CALL_MS_MAX,
    JWKS_FRESH_MS,
    JWKS_STALE_MS_MAX,
    REPLICATION_FETCH_MS_MAX,
    STATUS_FRESH_MS,
    TMF_JOURNAL_KEPT_MS,
)
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from pubsub.io.body import Bodies
from pubsub.io.egress import Egress

__all__ = ["NodeSettings", "TokenSettings", "TrustSettings", "access_node"]

_log: Final = structlog.get_logger("tmf")
_SPREAD_MAX: Final = 1_000
_USAGE_TOPIC: Final = "tmf.usage-block"
_USAGE_BLOCKS: Final = "/usage-log/v1/blocks"


@dataclass(frozen=True)
class TrustSettings:
    """What is believed.

    Attributes:
        anchors: PEM certificates that may certify organisations.
        allowed_origins: that may be fetched from though they are private or plain http.
    """

    anchors: bytes = b""
    allowed_origins: tuple[str, ...] = ()


@dataclass(frozen=True)
class TokenSettings:
    """Whose tokens say who asks.

    Attributes:
        verifiers: whose access tokens are accepted.
        operator_token: the node's own; empty for none.
        operators: organisations whose mandates with Onboarding/Execute operate the node.
        audiences: that a presentation used as a token must name.
    """

    verifiers: tuple[ExternalVerifier, ...] = ()
    operator_token: bytes = b""
    operators: tuple[str, ...] = ()
    audiences: frozenset[str] = frozenset()


@dataclass(frozen=True)
class NodeSettings:
    """What an operator chose.

    Attributes:
        database: address of the database.
        folder: of the files of jobs; nothing else may be in it.
        tokens: None where everybody operates the node.
        callbacks: where notifications may go, and imports may come from.
        peers: where other members' nodes may be.
        blocks: when a block of usage records is made.
        desmos: None where replication is native alone.
        journal_ms: how long changes are kept that everybody was told of.
    """

    database: str
    folder: Path
    profile: Profile
    life_cycles: Mode = "warn"
    tokens: TokenSettings | None = None
    trust: TrustSettings = TrustSettings()
    delivery: Delivery = "raw"
    callbacks: Egress = field(default_factory=Egress)
    peers: Egress = field(default_factory=Egress)
    blocks: BlockLimits = field(default_factory=BlockLimits)
    desmos: DesmosSettings | None = None
    journal_ms: int = TMF_JOURNAL_KEPT_MS


def access_node(settings: NodeSettings, client: AsyncClient, identity: Identity) -> AccessNode:
    """Put a node together.

    Args:
        client: of the ledger, with genesis; the node closes it.
        identity: the member in whose name the node publishes.

    Raises:
        ledger.io.errors.StorageError: the database cannot be used.
        Unavailable: PostgreSQL cannot be reached.
        ValueError: the trust anchors are no certificates.
    """
    return AccessNode(lambda node: _Assembly(settings, client, identity).parts(node))


class _Front(NamedTuple):
    """Something that is served, and what runs for it."""

    routes: Sequence[BaseRoute]
    tasks: Sequence[Task]


class _Assembly:
    """The parts that others need, made once."""

    def __init__(self, settings: NodeSettings, client: AsyncClient, identity: Identity) -> None:
        self._settings = settings
        self._client = client
        self._identity = identity
        self._checker = _checker(settings.trust, client)
        self._verdicts = Verdicts(_now_ms)
        policies = policies_of(settings.profile, lambda: spell_time(_now_ms()), self._verdicts.of)
        cycles = LifeCycles(settings.life_cycles, _report)
        self._entities = Entities(policies, _now_ms, _new_id, cycles)
        self._bodies = Bodies()
        self._opened: list[Couriers] = []
        self._caller_of = self._callers()

    def parts(self, node: AccessNode) -> Parts:
        """Open the database and make the rest."""
        certificates = CertificateVerifier(self._checker, self._verdicts)
        store = VerifiedStore.open(self._settings.database)
        assert isinstance(store, VerifiedStore), "it was opened as one"
        store.verifier = certificates
        accepts = _accept_all
        if self._settings.profile.needs_certificates:
            accepts = CertifiedAcceptance(store, certificates, self._verdicts).accepts
        retention = Retention(store, self._settings.journal_ms, _now_ms, READERS)
        fronts = [
            *self._replication(store, accepts),
            self._usage(store, node),
            self._apis(store, node),
            _Front([], [Task("journal", retention.run)]),
        ]
        return Parts(
            store,
            [route for front in fronts for route in front.routes],
            [task for front in fronts for task in front.tasks],
            [*(couriers.close for couriers in self._opened), self._client.aclose],
            Monitoring(store, {"ledger": self._check_ledger}, MEASURES),
        )

    def _apis(self, store: Store, node: AccessNode) -> "_Front":
        """Make the seven APIs, their hub and jobs; they answer whatever nobody else does."""
        settings = self._settings
        serving = Serving(store, self._entities, self._caller_of, self._bodies)
        hub = Hub(store, self._entities.visible, HubSettings(settings.callbacks, settings.delivery))
        files = JobSettings(settings.folder, settings.callbacks, self._identity.public_url)
        jobs = Jobs(serving, files, _now_ms)
        endpoints = HubEndpoints(serving, hub, _new_id, _now_ms)
        routes = api_routes(serving, endpoints, jobs, node.fail)
        return _Front(routes, [Task("hub", hub.run), Task("jobs", jobs.run)])

    def _usage(self, store: Store, node: AccessNode) -> "_Front":
        identity = self._identity
        sealing = Sealing(
            Publisher(identity.did, identity.signer, identity.chain_id),
            _USAGE_TOPIC,
            lambda number: f"{identity.public_url}{_USAGE_BLOCKS}/{number}",
            secrets.token_bytes,
            self._settings.blocks,
        )
        service = UsageService(store, sealing, self._client, _now_ms)
        routes = usage_routes(service, self._caller_of, self._bodies, node.fail)
        return _Front(routes, [Task("usage", service.run)])

    def _replication(self, store: Store, accepts: Acceptance) -> "list[_Front]":
        native = NativeForm(
            self._identity, self._couriers(REPLICATION_FETCH_MS_MAX), _now_ms, is_published
        )
        forms: dict[str, EventForm] = {native.name: native}
        publishes: list[EventForm] = [native]
        fronts: list[_Front] = []
        if self._settings.desmos is not None:
            desmos = self._desmos(self._settings.desmos, store, accepts)
            forms[desmos.form.name] = desmos.form
            # Native consumers that know both take the second event for no change.
            is_native_too = self._settings.desmos.is_native_too
            publishes = [desmos.form, native] if is_native_too else [desmos.form]
            fronts.append(_Front(desmos.routes(), [Task("desmos", desmos.sync.run)]))
        context = Context(
            store=store,
            ledger=self._client,
            members=Members(self._client.trust, _now_ms),
            identity=self._identity,
            forms=forms,
            replicas=self._entities,
            accepts=accepts,
            now_ms=_now_ms,
            spread=lambda: random.randint(0, _SPREAD_MAX),  # noqa: S311 - spreads retries
        )
        kept = msgspec.structs.replace(
            kept_selection(store), environment=self._identity.environment
        )
        replicator = Replicator(context, publishes, native, kept)
        routes = [*Admin(replicator, self._caller_of, self._bodies).routes(), *replicator.routes()]
        return [*fronts, _Front(routes, [Task("replication", replicator.run)])]

    def _desmos(self, settings: DesmosSettings, store: Store, accepts: Acceptance) -> DesmosParts:
        around = DesmosSurroundings(
            store=store,
            entities=self._entities,
            identity=self._identity,
            couriers=self._couriers(DESMOS_CALL_MS_MAX),
            trust=self._client.trust,
            accepts=accepts,
            caller_of=self._caller_of,
            bodies=self._bodies,
            now_ms=_now_ms,
            new_id=_new_id,
        )
        return DesmosParts(settings, around)

    def _couriers(self, deadline_ms: int) -> Couriers:
        """Give what asks other members' nodes; it is closed at the end."""
        self._opened.append(Couriers(self._settings.peers, deadline_ms))
        return self._opened[-1]

    def _callers(self) -> CallerOf:
        tokens = self._settings.tokens
        if tokens is None:
            return everybody_operates
        keys = Remembered(
            HttpFetcher(self._settings.trust.allowed_origins),
            _now_ms,
            JWKS_FRESH_MS,
            JWKS_STALE_MS_MAX,
        )
        external = {verifier.issuer: verifier for verifier in tokens.verifiers}
        verifier = TokenVerifier(self._checker, None, external, keys, tokens.audiences)
        return BearerCallers(verifier, tokens.operator_token, tokens.operators)

    async def _check_ledger(self) -> str:
        status = await self._client.status()
        is_ours = status.chain_id == self._identity.chain_id
        return "" if is_ours else f"the gateway is of another network: {status.chain_id}"


def _checker(trust: TrustSettings, client: AsyncClient) -> Checker:
    """Make what verifies credentials, with the ledger as the client sees it."""
    ledger = ClientLedger(client.trust, _now_ms)
    fetcher = HttpFetcher(trust.allowed_origins)
    keys = KeyFinder(ledger, fetcher, TrustAnchors(trust.anchors))
    lists = Remembered(fetcher, _now_ms, STATUS_FRESH_MS, STATUS_FRESH_MS)
    return Checker(ledger, keys, lists, ReplayMemory(), _now_ms)


async def _accept_all(told: Told, taken: Taken) -> None:
    """Leave every judgement to the policies."""
    del told, taken


def _report(step: Step) -> None:
    """Tell the operator of a forbidden step that was let through."""
    _log.warning("life_cycle_left", **msgspec.to_builtins(step))


def _new_id() -> str:
    return str(uuid4())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
