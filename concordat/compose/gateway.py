"""From a member's home to a running gateway. It opens no key: only facades that write need one."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from concordat.compose.access import rights_settings
from concordat.compose.webhooks import webhook_settings
from concordat.config import Config
from concordat.home import Home, split_address
from concordat.names import validator_name
from ledger.io.keystore import KeyFileError, read_key_info
from pubsub.io.console.console import Console
from pubsub.io.consumers.engine import ConsumerSettings
from pubsub.io.facade import Facade
from pubsub.io.gateway import GatewaySettings, serve_gateway

__all__ = ["gateway_settings", "run_gateway", "wants_facades", "watched_certificates"]

_log = structlog.get_logger("concordat")


def gateway_settings(home: Home) -> GatewaySettings:
    """Put a gateway's settings together. Raises HomeError."""
    config = home.config
    name = _member_name(home)
    return GatewaySettings(
        chain_dir=home.resolve(config.node.chain_dir),
        control_path=home.control_path,
        name=name,
        body_bytes_max=config.gateway.body_bytes_max,
        streams_max=config.gateway.streams_max,
        connections_max=config.gateway.connections_max,
        heartbeat_ms=config.gateway.heartbeat_ms,
        rights=rights_settings(home),
        delivery_dir=home.resolve(config.delivery.directory),
        consumers=ConsumerSettings(
            config.delivery.consumers_max, config.delivery.consumers_per_owner_max
        ),
        webhooks=webhook_settings(config, name),
        certificates=watched_certificates(home),
    )


def watched_certificates(home: Home) -> dict[str, Path]:
    """Give the PEM files whose expiry matters to a gateway, by what they are for."""
    config = home.config
    named = {
        "public": config.gateway.public_certificate,
        "trust_anchors": config.authorisation.trust_anchors,
    }
    return {use: home.resolve(name) for use, name in named.items() if name}


def wants_facades(config: Config) -> bool:
    """Say whether any facade is to be served."""
    section = config.facades
    registries = section.ebsi or section.fiware or section.dome_registry
    return registries or config.authorisation.enabled or config.dlt_adapter.enabled


def run_gateway(home: Home, facades: Sequence[Facade] = ()) -> None:
    """Serve until SIGINT or SIGTERM; blocks."""
    host, port = split_address(home.config.gateway.listen)
    if home.config.access.restricted and facades:
        _log.warning(
            "facades do not know access.restricted: serve them to nobody who may not read its "
            "topics",
            restricted=home.config.access.restricted,
        )
    served = [*facades, Console()] if home.config.gateway.console else facades
    serve_gateway(gateway_settings(home), host, port, served)


def _member_name(home: Home) -> str:
    """The validator's name; the directory's where no key tells it."""
    try:
        info = read_key_info(home.resolve(home.config.keys.validator))
    except KeyFileError:
        return home.path.name
    return validator_name(home, home.genesis(), info.public_key)
