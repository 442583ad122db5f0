"""What still needs the contents of a member's log, and from which event on.

Owns the questions to everybody who reads it later: consumers and webhooks, the journals of facades
and of the access node, cosigned checkpoints, and validators that were away. A reader that keeps no
position with this member (a stream, a gateway of another member) is not known here.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from adapters.dome.dlt.state import DltState
from adapters.tmf.replication.tables import POSITIONS
from adapters.tmf.replication.tracking import position
from concordat.home import Home, HomeError
from ledger.core.block import Block
from ledger.core.errors import Unavailable
from ledger.core.ids import Height, NodeIndex
from ledger.core.limits import SYNC_BLOCKS_AHEAD_MAX
from ledger.core.validators import Validator, members_codec
from ledger.io.chain_reader import ChainReader
from ledger.io.store_copy import require_no_writer
from pubsub.io.consumers.loading import load_states
from pubsub.io.delivery_store import DeliveryStore

__all__ = ["Hold", "holds_of"]

_COMMIT_MS_MAX: Final = 30_000  # between a ledger that a validator signs with, and its commit


class Hold(NamedTuple):
    """Somebody who needs contents.

    Attributes:
        position: the first event that is needed.
        who: for people, as the subject of "needs what follows".
    """

    position: int
    who: str


def holds_of(home: Home, reader: ChainReader, without: frozenset[str]) -> list[Hold]:
    """Give everybody who needs contents, the lowest position first.

    Args:
        without: names of validators that are not waited for.

    Raises:
        HomeError: ``without`` names no validator.
        Unavailable: the gateway runs, or a database cannot be asked.
        StorageError: a store is damaged.
    """
    found = [_checkpoint(reader), *_validators(reader, without), *_consumers(home)]
    found += [*_facades(home), *_access_node(home)]
    return sorted(found)


def _checkpoint(reader: ChainReader) -> Hold:
    checkpoint = reader.checkpoint()
    if checkpoint is None:
        return Hold(0, "the first checkpoint, which no quorum has cosigned yet,")
    return Hold(checkpoint.log_size, "the next cosigned checkpoint")


# --- validators ---------------------------------------------------------------------------


def _validators(reader: ChainReader, without: frozenset[str]) -> Iterator[Hold]:
    """Give for each validator up to where its blocks and votes show that it has the log."""
    members = reader.epoch_start().members
    coming = _coming(reader, members)
    if unknown := without - {member.name for member in (*members, *coming)}:
        names = ", ".join(member.name for member in (*members, *coming))
        raise HomeError(f"no validator is named {min(unknown)}: there are {names}")
    awaited = {NodeIndex(i) for i, member in enumerate(members) if member.name not in without}
    seen = _last_seen(reader, awaited)
    for index in awaited:
        name = members[index].name
        if index not in seen:
            since = _lowest(reader)
            yield Hold(reader.first_held(), f"validator {name}, unseen since block {since},")
            continue
        root = reader.root(_durable(reader, seen[index]))
        log_size = 0 if root is None else root.log_size
        yield Hold(log_size, f"validator {name}, last seen with the ledger of block {seen[index]},")

    for member in coming:
        if member.name not in without:
            who = f"validator {member.name}, of the set that waits for the next epoch,"
            yield Hold(reader.first_held(), who)


def _coming(reader: ChainReader, members: tuple[Validator, ...]) -> list[Validator]:
    """Give the validators of the set that waits, if one does, that are none yet.

    They sign nothing so far: nobody knows what they have.
    """
    root = reader.stored_head(reader.head_height()).root
    encoded = reader.state(root).pending_validators()
    waiting = members_codec.decode(encoded) if encoded else ()
    keys = {member.key for member in members}
    return [member for member in waiting if member.key not in keys]


def _last_seen(reader: ChainReader, wanted: Iterable[NodeIndex]) -> dict[NodeIndex, Height]:
    """Give the last ledger that each one had when it signed; who was not seen is absent.

    Blocks are read down to where the epoch began, or where the contents that are held do.
    """
    missing, seen = set(wanted), dict[NodeIndex, Height]()
    lowest = _lowest(reader)
    voters: set[NodeIndex] = set()  # for the block that comes next on the way down
    height = reader.head_height()
    while missing and height > lowest:
        block: Block | None = reader.block(height)
        if block is None:
            break
        for index in missing & {*voters, block.author}:
            seen[index] = block.executed_height
        missing -= seen.keys()
        voters = {NodeIndex(index) for index, _ in block.qc.signatures}
        height = Height(height - 1)
    return seen


def _lowest(reader: ChainReader) -> Height:
    """Give the block below which it does not matter who signed what."""
    held = reader.first_height_beyond(reader.first_held() - 1)
    return max(reader.epoch_start().height, reader.first_height(), held)


def _durable(reader: ChainReader, signed: Height) -> Height:
    """Give a ledger that a validator has on its disk which signed with the one at ``signed``.

    It signs with what it has computed. Its disk may lack the blocks that were waiting for it then,
    and it executes these once more when it failed at that moment.
    """
    if reader.root(signed) is None:
        return Height(0)
    young = reader.first_height_at(reader.stored_head(signed).time_ms - _COMMIT_MS_MAX)
    assert young is not None, "the block at that height is young"
    return Height(max(0, young - 1, signed - SYNC_BLOCKS_AHEAD_MAX))


# --- the gateway and its facades ----------------------------------------------------------


def _consumers(home: Home) -> Iterator[Hold]:
    """Give the first event of each consumer and webhook that is not settled."""
    directory = home.resolve(home.config.delivery.directory)
    if not (directory / "data.mdb").exists():
        return
    require_no_writer(directory, "gateway")
    store = DeliveryStore.open(directory)
    try:
        for state, _owner in load_states(store):
            first = min((state.position, *state.pending.rows, *state.letters))
            kind = "dead letter of " if first in state.letters else ""
            yield Hold(first, f"{kind}consumer or webhook {state.config.name}")
    finally:
        store.close()


def _facades(home: Home) -> Iterator[Hold]:
    if home.config.facades.ebsi:
        yield Hold(0, "the EBSI facade, which reads the whole log at each start,")
    path = home.resolve(home.config.dlt_adapter.state)
    if path.exists():
        state = DltState(path)
        try:
            for held in state.subscriptions():
                yield Hold(held.cursor + 1, f"subscription {held.id} of the DLT adapter")
        finally:
            state.close()


def _access_node(home: Home) -> Iterator[Hold]:
    """Give how far the access node has read the ledger, where it has begun to."""
    named = home.config.access_node.database
    if named.startswith("postgresql:"):
        url = make_url(named).set(drivername="postgresql+psycopg")
    else:
        path: Path = home.resolve(named)
        if not path.exists():
            return
        url = make_url(f"sqlite:///{path}")
    engine = create_engine(url)
    try:
        if (last := _position(engine)) is not None:
            yield Hold(last + 1, "the access node's journal")
    except SQLAlchemyError as error:
        raise Unavailable(
            f"cannot ask the access node's database how far it has read: {error}"
        ) from error
    finally:
        engine.dispose()


def _position(engine: Engine) -> int | None:
    """Give the last event that was read, -1 for none; None where there is no journal."""
    if not inspect(engine).has_table(POSITIONS.name):
        return None
    with engine.connect() as connection:
        return position(connection, "ledger", -1)
