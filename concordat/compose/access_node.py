"""From a member's home to a running access node.

Owns how its settings and those of [member] and [authorisation] become the node's, and the token of
its operator. The node holds the member's publisher key and no other, and needs no validator here.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from adapters.credentials.verifier import ExternalVerifier
from adapters.tmf.assembly import NodeSettings, TokenSettings, TrustSettings, access_node
from adapters.tmf.policy.profile import Profile
from adapters.tmf.replication.ledger import Identity
from adapters.tmf.usage.condensing import BlockLimits
from concordat.compose.desmos import desmos_settings
from concordat.compose.permitted import require_permitted_key
from concordat.compose.tokens import foreign_verifiers, trust_anchors
from concordat.config_access_node import DAY_MS
from concordat.home import Home, HomeError, split_address
from concordat.private_files import read_private_line
from ledger.core.limits import TMF_CONNECTIONS_MAX
from ledger.io.keystore import OpenKey, write_private_file
from pubsub.client.async_client import AsyncClient
from pubsub.io.egress import Egress
from pubsub.io.server import listen, serve

__all__ = ["public_url", "run_access_node"]

_log: Final = structlog.get_logger("concordat")
_TOKEN_BYTES: Final = 32
_POSTGRESQL: Final = ("postgresql://", "postgresql+psycopg://")


def run_access_node(home: Home, open_key: Callable[[], OpenKey]) -> None:
    """Serve until SIGINT or SIGTERM; blocks.

    Args:
        open_key: opens the member's publisher key, finding its password.

    Raises:
        HomeError: the configuration contradicts itself, or names what is not there.
        KeyFileError: a key or token that is there cannot be used.
        Unavailable: the address cannot be listened on, or PostgreSQL cannot be reached.
        StorageError: the database cannot be used.
    """
    section = home.config.access_node
    genesis = home.genesis()
    key = open_key()
    require_permitted_key(home.config, key.info)
    identity = Identity(
        key.info.owner, key.signer, genesis.chain_id, public_url(home), section.environment
    )
    settings = _settings(home, identity.did)
    gateways = section.gateways.split() or [f"http://{home.config.gateway.listen}"]
    host, port = split_address(section.listen)
    with listen(host, port) as listener:
        try:
            node = access_node(settings, AsyncClient(gateways, genesis), identity)
        except ValueError as error:
            raise HomeError(f"authorisation.trust_anchors: {error}") from None
        _log.info(
            "access_node_listens",
            host=host,
            port=listener.getsockname()[1],
            member=identity.did,
            ledger=gateways,
            profile=section.profile,
            access=section.access,
        )
        if section.access == "open":
            _log.warning("everybody who reaches this node operates it (access_node.access)")
        serve(node.app(), node, listener, TMF_CONNECTIONS_MAX)


def _settings(home: Home, member: str) -> NodeSettings:
    section = home.config.access_node
    is_public = section.callbacks == "public", section.peers == "public"
    callbacks, peers = (Egress(allows_private=not only) for only in is_public)
    return NodeSettings(
        database=_database(home),
        folder=_made(home.resolve(section.files), "access_node.files"),
        profile=Profile(
            section.profile,
            member,
            checks_references=section.references == "checked",
            needs_certificates=section.certificates == "required",
        ),
        life_cycles=section.life_cycles,
        tokens=None if section.access == "open" else _tokens(home, member),
        trust=TrustSettings(
            trust_anchors(home), tuple(home.config.authorisation.allowed_origins.split())
        ),
        delivery=section.notifications,
        callbacks=callbacks,
        peers=peers,
        blocks=BlockLimits(records=section.usage_block_records, age_ms=section.usage_block_ms),
        desmos=desmos_settings(home),
        journal_ms=section.journal_days * DAY_MS,
    )


def _tokens(home: Home, member: str) -> TokenSettings:
    section, authorisation = home.config.access_node, home.config.authorisation
    verifiers = foreign_verifiers(authorisation)
    base_url = home.config.facades.base_url
    if authorisation.enabled and base_url:
        # The tokens that the member's own gateway gives to machines of DOME.
        verifiers = (*verifiers, ExternalVerifier(base_url, frozenset({base_url})))
    token = home.resolve(section.operator_token) if section.operator_token else None
    return TokenSettings(
        verifiers,
        b"" if token is None else _operator_token(token),
        tuple(section.operators.split()) or (member,),
        frozenset({public_url(home)}),
    )


def _operator_token(path: Path) -> bytes:
    """Read the operator's token; make one when there is none."""
    if not path.exists():
        _made(path.parent, "access_node.operator_token")
        write_private_file(path, secrets.token_urlsafe(_TOKEN_BYTES).encode() + b"\n")
        _log.info("made the operator's token", file=str(path))
    return read_private_line(path, "token")


def public_url(home: Home) -> str:
    """Give where other members' nodes reach this one."""
    section = home.config.access_node
    return section.public_url or f"http://{section.listen}"


def _database(home: Home) -> str:
    """Give the address of the database: a file's path is relative to the home."""
    named = home.config.access_node.database
    if named.startswith(_POSTGRESQL):
        return named
    path = home.resolve(named)
    _made(path.parent, "access_node.database")
    return f"sqlite:///{path}"


def _made(folder: Path, setting: str) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"{setting}: cannot make {folder}: {error.strerror}") from None
    return folder
