"""Faults of what a member has stored: full and read-only disks, damage, old and lost records.

Each says what the node must do then, and complains when it does anything else.
"""

import random
import shutil
from pathlib import Path
from typing import Final

import trio

from ledger.core.errors import PeerFault, ProofError, Rejected, Unavailable
from ledger.core.ids import Sequence
from ledger.io.chain_store import ChainStore
from pubsub.client.async_client import AsyncClient
from simnet.checkers.promises import event_id
from tests.chaos.disks import read_only
from tests.chaos.stage import Stage, until
from tests.support.processes import Part

__all__ = ["full_disk", "garbled", "lost_record", "old_record", "read_only_disk"]

_NODE, _GATEWAY = Part.NODE, Part.GATEWAY
_USAGE, _UNAVAILABLE, _STORAGE = 2, 3, 4  # exit codes, as documented
_END_S: Final = 20.0
_FILL_S: Final = 30.0
_OWN_BLOCKS: Final = 10
_SIGNS_S: Final = 150.0
_LOOK_S: Final = 0.2
_WATCHED_S: Final = 3.0
_READ_S: Final = 6.0
_PAGE_BYTES: Final = 4096


async def full_disk(stage: Stage, member: int, dice: random.Random) -> None:
    """The disk fills up: the node stops, stays down while it is full, and goes on afterwards."""
    disk, down_s = stage.network.disks[member], dice.uniform(0.0, 3.0)
    stage.say(f"member {member}: its disk is full")
    logged = stage.log_size(member)
    disk.fill()
    is_down = await stage.must_end(member, {_STORAGE: "Free space on its disk"}, logged, _FILL_S)
    if is_down and dice.random() < 0.5:
        logged = stage.log_size(member)
        stage.network.start(member, _NODE)
        refusals = {_STORAGE: "Free space on its disk", _UNAVAILABLE: "No space left on device"}
        is_down = await stage.must_end(member, refusals, logged, _FILL_S)
    await trio.sleep(down_s)
    disk.free()
    if is_down:
        stage.network.start(member, _NODE)


async def read_only_disk(stage: Stage, member: int, _dice: random.Random) -> None:
    """A member is started on stores that it may not write: the node says so and ends."""
    stage.say(f"member {member}: its data is read-only at a start")
    await stage.stop(member, _GATEWAY, _NODE)
    logged = stage.log_size(member)
    with read_only(stage.network.home(member) / "data"):
        stage.network.start(member, _NODE)
        is_down = await stage.must_end(member, {_STORAGE: "Make the directory"}, logged, _END_S)
    if is_down:
        stage.network.start(member, _NODE)
    stage.network.start(member, _GATEWAY)


async def garbled(stage: Stage, member: int, dice: random.Random) -> None:
    """A chain store is damaged: the node refuses it, or has not noticed; then it is put right."""
    await stage.kill(member, _NODE, _GATEWAY)
    data = stage.network.chain_dir(member) / "data.mdb"
    good = data.with_name("data.good")
    shutil.copyfile(data, good)
    what = _damage(data, dice)
    stage.say(f"member {member}: {what} in its chain store at a start")
    stage.unreadable.add(member)
    logged = stage.log_size(member)
    stage.network.start(member, _NODE)
    code = await stage.end_of(member, _NODE, _WATCHED_S + dice.uniform(0.0, 2.0))
    text = stage.log_from(member, logged)
    if code is None:
        outcome = f"not noticed; {await _read_all(stage, member)}"
        await stage.kill(member, _NODE, _GATEWAY)
    elif code == _STORAGE and str(data.parent) in text:
        outcome = "refused"
    else:
        outcome = f"exit code {code}"
        stage.faults.append(f"node {member} on a damaged store: {outcome}: {text[-600:]}")
    stage.count(f"damaged store {outcome}")
    stage.say(f"member {member}: damage {outcome}")
    good.rename(data)
    stage.unreadable.discard(member)
    stage.network.start(member, _NODE)
    stage.network.start(member, _GATEWAY)


async def _read_all(stage: Stage, member: int) -> str:
    """Read a member's whole log with all proofs checked: what comes is right, or nothing does."""
    network = stage.network
    network.start(member, _GATEWAY)
    ids: list[bytes] = []
    what = "a reader comes not to its end"
    async with AsyncClient(network.url(member), network.testnet.genesis) as client:
        with trio.move_on_after(_READ_S):
            try:
                async for event in client.events():
                    ids.append(event.id)  # noqa: PERF401 - what came before an error counts
                what = "a reader gets all of it"
            except (PeerFault, ProofError, Rejected, Unavailable) as error:
                what = f"a reader gets {type(error).__name__}"
    sizes = stage.log_sizes()
    true = network.chain_dir(sizes.index(max(sizes)))
    with ChainStore.open_readonly(true) as store, store.read() as at:
        for number, id_ in enumerate(ids[: max(sizes)]):
            if event_id(at.entry(Sequence(number)) or b"") != id_:
                stage.faults.append(f"gateway {member} gave a wrong event {number}, and proof")
                break
    return what


def _damage(path: Path, dice: random.Random) -> str:
    """Change a store's file; say how."""
    pages = path.stat().st_size // _PAGE_BYTES
    how = dice.choice(["bits", "bits", "zeros", "cut"])
    with path.open("r+b") as file:
        if how == "cut":
            kept = dice.randrange(pages)
            file.truncate(kept * _PAGE_BYTES + dice.randrange(_PAGE_BYTES))
            return f"the end cut off after {kept} of {pages} pages"
        # Pages near the end are the newest; those at the beginning say what the others are.
        page = dice.choice([dice.randrange(pages), dice.randrange(2), pages - 1 - pages // 20])
        file.seek(page * _PAGE_BYTES)
        content = bytearray(file.read(_PAGE_BYTES))
        if how == "zeros":
            content = bytearray(len(content))
        else:
            for _ in range(dice.randint(1, 8)):
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        file.seek(page * _PAGE_BYTES)
        file.write(content)
        return f"{how} of page {page} of {pages}"


async def old_record(stage: Stage, member: int, dice: random.Random) -> None:
    """An older safety record is put back: the node finds out and halts, or it did no harm."""
    network, age_s = stage.network, dice.uniform(0.5, 5.0)
    stage.say(f"member {member}: its safety record of {age_s:.1f} s ago is put back")
    safety = network.home(member) / "data" / "safety"
    old = safety.with_name("safety-old")
    network.pause(member, _NODE)  # so the copy is one that a crash could have left
    shutil.copytree(safety, old, ignore=shutil.ignore_patterns("lock.mdb"))
    network.resume(member, _NODE)
    await trio.sleep(age_s)
    await stage.kill(member, _NODE)
    stage.suspects.add(member)
    shutil.rmtree(safety)
    old.rename(safety)
    logged = stage.log_size(member)
    network.start(member, _NODE)
    # What it signed before it was killed may be in the certificates of the next few blocks.
    height = stage.height() + _OWN_BLOCKS
    ends: list[int] = []

    def is_decided() -> bool:
        code = network.take_end(member, _NODE)
        ends.extend([] if code is None else [code])
        return bool(ends) or stage.has_signed(member, height)

    # Once it has signed anew its record is beyond all that it signed before.
    if not await until(is_decided, _SIGNS_S):
        stage.faults.append(f"node {member} neither halts nor signs on an old record")
    if not ends:
        stage.count("old record harmless")
        stage.say(f"member {member}: goes on with the old record")
        return
    text = stage.log_from(member, logged)
    if ends != [_STORAGE] or "an old record was put back" not in text:
        stage.faults.append(f"node {member} ended with exit code {ends[0]}: {text[-600:]}")
    stage.count("old record found out")
    stage.say(f"member {member}: halted because of the old record; starts with --recover")
    await _recover(stage, member)


async def lost_record(stage: Stage, member: int, dice: random.Random) -> None:
    """The safety record is lost: no start without --recover; with it the node sits out first."""
    stage.say(f"member {member}: its safety record is lost")
    await stage.kill(member, *dice.choice([(_NODE,), (_NODE, _GATEWAY)]))
    shutil.rmtree(stage.network.home(member) / "data" / "safety")
    logged = stage.log_size(member)
    stage.network.start(member, _NODE)
    is_down = await stage.must_end(member, {_USAGE: "start once with --recover"}, logged, _END_S)
    if not stage.network.is_running(member, _GATEWAY):
        stage.network.start(member, _GATEWAY)
    if is_down:
        await _recover(stage, member)


async def _recover(stage: Stage, member: int) -> None:
    """Start without a safety record, and wait until the node signs again.

    It sits out until its peers have proven their rounds, and then for RECOVERY_MARGIN_ROUNDS more.
    Until a signature of it is in a certificate it is one of the f that may fail: with more than f
    such members no round would end, and the network would stand for ever.
    """
    shutil.rmtree(stage.network.home(member) / "data" / "safety", ignore_errors=True)
    height = stage.height()
    stage.network.start(member, _NODE, "--recover")
    begun = trio.current_time()
    knows_s = None
    while trio.current_time() < begun + _SIGNS_S:
        if knows_s is None and not await stage.sits_out(member):
            knows_s, height = trio.current_time() - begun, stage.height()
        elif knows_s is not None and stage.has_signed(member, height):
            signs_s = trio.current_time() - begun
            stage.say(
                f"member {member}: knows a safe round after {knows_s:.1f} s, "
                f"signs again after {signs_s:.1f} s"
            )
            return
        await trio.sleep(_LOOK_S)
    stage.faults.append(f"node {member} does not sign {_SIGNS_S:.0f} s after --recover")
