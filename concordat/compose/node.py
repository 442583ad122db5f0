"""From a member's home to a running node."""

import signal
from pathlib import Path

import structlog
import trio

from concordat.config import Config
from concordat.home import Home, HomeError, split_address
from consensus.core.pacemaker import Tuning
from consensus.io.node import NodeSettings, serve_node
from ledger.core.genesis import Genesis
from ledger.core.ids import NodeIndex
from ledger.io.keystore import KeyFileError, KeyInfo, OpenKey

__all__ = ["node_settings", "require_permitted_key", "run_node"]

_log = structlog.get_logger("concordat")


def require_permitted_key(config: Config, info: KeyInfo) -> None:
    """Refuse a key without a password unless the configuration permits it.

    Raises:
        KeyFileError: it is not permitted.
    """
    if info.is_sealed:
        return
    if not config.keys.allow_unencrypted:
        raise KeyFileError(
            f"{info.path} has no password, and keys.allow_unencrypted is not set: make sealed keys "
            f"with `concordat keys new`, or permit it on a development network"
        )
    _log.warning("unencrypted key, for development only", file=str(info.path))


def node_settings(home: Home, genesis: Genesis, validator: OpenKey, peer: OpenKey) -> NodeSettings:
    """Put a node's settings together.

    Raises:
        HomeError: the keys are not those of a validator of ``genesis``, or a peer is unknown.
    """
    config = home.config
    index = home.index_in(genesis, validator.info.public_key)
    member = genesis.validators[index]
    if member.peer_key != peer.info.public_key:
        raise HomeError(
            f"{peer.info.path} is not the peer key that the genesis file lists for {member.name}"
        )
    for directory in (home.resolve(config.node.chain_dir), home.resolve(config.node.safety_dir)):
        _make_parent(directory)
    return NodeSettings(
        genesis=genesis,
        signer=validator.signer,
        peer_seed=peer.seed,
        chain_dir=home.resolve(config.node.chain_dir),
        safety_dir=home.resolve(config.node.safety_dir),
        control_path=home.control_path,
        listen=split_address(config.node.listen),
        peer_addresses=_peer_addresses(home, genesis),
        tuning=Tuning(
            round_timeout_ms=config.consensus.round_timeout_ms,
            round_timeout_absent_ms=config.consensus.round_timeout_absent_ms,
            idle_interval_ms=config.consensus.idle_interval_ms,
        ),
    )


def run_node(settings: NodeSettings, name: str) -> None:
    """Serve until SIGINT or SIGTERM; blocks. Raises what ends the node for another reason."""
    trio.run(_serve, settings, name)


async def _serve(settings: NodeSettings, name: str) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_node, settings)
            host, port = settings.listen
            _log.info(
                "serving",
                validator=name,
                chain_id=settings.genesis.chain_id,
                listen=f"{host}:{port}",
            )
            async for number in signals:
                _log.info("stopping", signal=signal.Signals(number).name)
                nursery.cancel_scope.cancel()
                break


def _peer_addresses(home: Home, genesis: Genesis) -> dict[NodeIndex, tuple[str, int]]:
    overrides = home.config.node.peers
    names = {validator.name for validator in genesis.validators}
    unknown = sorted(set(overrides) - names)
    if unknown:
        raise HomeError(
            f"{home.path / 'concordat.toml'}: node.peers names {', '.join(unknown)}, "
            f"no validator of {genesis.chain_id}"
        )
    return {
        NodeIndex(i): split_address(overrides.get(validator.name, validator.address))
        for i, validator in enumerate(genesis.validators)
    }


def _make_parent(directory: Path) -> None:
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(f"cannot make {directory.parent}: {error.strerror}") from None
