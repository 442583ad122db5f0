"""From a member's home to a running node."""

import signal
from pathlib import Path

import structlog
import trio

from concordat.home import Home, HomeError, split_address
from consensus.core.pacemaker import Tuning
from consensus.io.node import NodeSettings, create_safety_store, create_stores, serve_node
from ledger.core.genesis import Genesis
from ledger.core.ids import PublicKey
from ledger.io.chain_store import ChainStore
from ledger.io.keystore import OpenKey, read_key_info

__all__ = ["make_stores", "node_settings", "recover_stores", "run_node"]

_log = structlog.get_logger("concordat")


def node_settings(home: Home, genesis: Genesis, validator: OpenKey, peer: OpenKey) -> NodeSettings:
    """Put a node's settings together.

    Raises:
        HomeError: the peer key is another than the genesis file's, or a store is missing.
    """
    config = home.config
    names = {validator.name for validator in genesis.validators}
    if strangers := sorted(set(config.node.peers) - names):
        _log.warning("node.peers names who is no validator of the genesis file", names=strangers)
    index = genesis.validator_set().index_of(validator.info.public_key)
    if index is not None and genesis.validators[index].peer_key != peer.info.public_key:
        raise HomeError(
            f"{peer.info.path} is not the peer key that the genesis file lists for "
            f"{genesis.validators[index].name}"
        )
    chain_dir, safety_dir = _store_paths(home)
    missing = [path for path in (chain_dir, safety_dir) if not path.exists()]
    if missing:
        raise HomeError(
            f"{missing[0]} is missing. Bring it back if it is only elsewhere; if it is lost, start "
            f"once with --recover: the validator then signs nothing before that is known to be safe"
        )
    return NodeSettings(
        genesis=genesis,
        signer=validator.signer,
        peer_seed=peer.seed,
        chain_dir=chain_dir,
        safety_dir=safety_dir,
        control_path=home.control_path,
        listen=split_address(config.node.listen),
        peer_addresses={
            name: split_address(address) for name, address in config.node.peers.items()
        },
        tuning=Tuning(
            round_timeout_ms=config.consensus.round_timeout_ms,
            round_timeout_absent_ms=config.consensus.round_timeout_absent_ms,
            idle_interval_ms=config.consensus.idle_interval_ms,
        ),
    )


def make_stores(home: Home, genesis: Genesis) -> None:
    """Make the stores of a new member.

    Making them when a member joins, and never by itself later, is what tells a first start from
    a lost safety record, after which signing at once could contradict an earlier signature.

    Raises:
        HomeError: their directory cannot be made.
        KeyFileError: there is no validator key.
        StorageError: they cannot be written.
    """
    chain_dir, safety_dir = _store_paths(home)
    _make_parents(chain_dir, safety_dir)
    create_stores(genesis, _voting_key(home), chain_dir, safety_dir)


def recover_stores(home: Home, genesis: Genesis) -> None:
    """Make those stores anew that were lost; a validator without its record sits out at first.

    Raises:
        As :func:`make_stores`.
    """
    chain_dir, safety_dir = _store_paths(home)
    _make_parents(chain_dir, safety_dir)
    if not chain_dir.exists():
        ChainStore.create(chain_dir, genesis).close()
    if not safety_dir.exists():
        create_safety_store(genesis, _voting_key(home), safety_dir, sit_out=True)


def run_node(settings: NodeSettings, name: str) -> None:
    """Serve until SIGINT or SIGTERM, or until the validator is none any more; blocks.

    Raises what ends the node for another reason.
    """
    trio.run(_serve, settings, name)


async def _serve(settings: NodeSettings, name: str) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            scope = nursery.cancel_scope
            await nursery.start(_until_it_left, settings, scope)
            host, port = settings.listen
            _log.info(
                "serving",
                validator=name,
                chain_id=settings.genesis.chain_id,
                listen=f"{host}:{port}",
            )
            async for number in signals:
                _log.info("stopping", signal=signal.Signals(number).name)
                scope.cancel()
                break


async def _until_it_left(
    settings: NodeSettings,
    others: trio.CancelScope,
    *,
    task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED,
) -> None:
    await serve_node(settings, task_status=task_status)
    others.cancel()


def _store_paths(home: Home) -> tuple[Path, Path]:
    node = home.config.node
    return home.resolve(node.chain_dir), home.resolve(node.safety_dir)


def _make_parents(*directories: Path) -> None:
    for directory in directories:
        try:
            directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(f"cannot make {directory.parent}: {error.strerror}") from None


def _voting_key(home: Home) -> PublicKey:
    return read_key_info(home.resolve(home.config.keys.validator)).public_key
