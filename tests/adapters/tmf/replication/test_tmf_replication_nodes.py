"""Nodes that replicate: real databases, a played ledger, a network that fails."""

from pathlib import Path

from tests.adapters.tmf.replication.replication_world import Network, Node, PlayedLedger, until


async def test_a_change_travels_to_the_others(tmp_path: Path) -> None:
    """A create, a change and an end of an own entity become so at every other node."""
    ledger, network = PlayedLedger(), Network()
    one, two = (Node(name, tmp_path, ledger, network) for name in ("one", "two"))
    async with one.running(), two.running():
        id_ = one.create(description="first")
        await until(lambda: two.replicas() == one.own())
        one.change(id_, description="second")
        await until(lambda: b"second" in two.replicas()[id_])
        one.remove(id_)
        await until(lambda: not two.replicas())
    hashes = [(held.event.previous_hash, held.event.entity_hash) for held in ledger.events_held]
    assert [pair[0] for pair in hashes] == [b"", *(pair[1] for pair in hashes[:-1])]
