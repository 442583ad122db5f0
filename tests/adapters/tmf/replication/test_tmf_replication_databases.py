"""All of replication's tables on each kind of database."""

from pathlib import Path

from adapters.tmf.replication.core.selection import Selection
from tests.adapters.tmf.replication.replication_world import Network, Node, PlayedLedger, until


async def test_replication_works_on_each_database(tmp_path: Path, database: str) -> None:
    """Changes travel both ways; quarantine, selection, repair and a restart do what they do."""
    ledger, network = PlayedLedger(), Network()
    one = Node("one", tmp_path, ledger, network)
    two = Node("two", tmp_path, ledger, network, database)
    two.selection = Selection(categories=("c1",))
    two.reopen()
    async with one.running(), two.running():
        mine = two.create()
        ids = [one.create(category=[{"id": f"c{n}"}]) for n in (1, 2)]
        await until(lambda: one.replicas() == two.own())
        await until(lambda: list(two.replicas()) == [ids[0]])
        await two.replicator.choose(Selection())
        await until(lambda: two.replicas() == one.own())
        two.forget(ids[0])
        one.change(ids[0], description="second")
        one.remove(ids[1])
        await until(lambda: two.replicas() == one.own())
        two.remove(mine)
        await until(lambda: one.replicas() == {})
        with two.store.write() as txn:
            txn.remove("productOffering", ids[0])
        await two.replicator.repair.once()
        await until(lambda: two.replicas() == one.own())
        one.create(id="urn:shared")
        await until(lambda: "urn:shared" in two.replicas())
        one.network.twisted = lambda body: body[:-1]
        late = one.create()
        await until(lambda: max(item.attempts for item in two.tracked()) >= 1)
    one.network.twisted = None
    two.selection = None
    two.reopen()
    async with one.running(), two.running():
        await two.skip()
        await until(lambda: late in two.replicas())
    two.store.close()
