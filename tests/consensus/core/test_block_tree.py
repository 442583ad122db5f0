"""The tree of blocks that are not final: the way up to a block, as the tree changes."""

from consensus.core.blocktree import BlockTree, TreeBlock
from ledger.core.block import Block, block_id
from ledger.core.certificate import Commit
from tests.consensus.core.bench import Bench


def _chain(bench: Bench, count: int) -> list[Block]:
    """Make blocks of consecutive rounds, each on the one before."""
    chain = [bench.block(1, None)]
    while len(chain) < count:
        chain.append(bench.block(chain[-1].round + 1, chain[-1]))
    return chain


def _tree(bench: Bench, head: Block) -> BlockTree:
    return BlockTree(TreeBlock(block_id(head), head, None), tuple(bench.disk.roots))


def _way(tree: BlockTree, block: Block) -> list[Block]:
    return [item.block for item in tree.walk(block_id(block)).path]


def test_a_block_that_comes_closes_a_way() -> None:
    """What was missing is asked for no longer, however often the way was asked for before."""
    bench = Bench()
    head, middle, top = _chain(bench, 3)
    tree = _tree(bench, head)
    tree.add(top, None)
    for _ in range(2):
        assert tree.walk(block_id(top)).missing == block_id(middle)
    tree.add(middle, None)
    assert _way(tree, top) == [middle, top]


def test_a_new_head_shortens_ways_and_cuts_others_off() -> None:
    """A way begins at the head; one that began below it leads nowhere any more."""
    bench = Bench()
    head, middle, top = _chain(bench, 3)
    beside = bench.block(top.round + 1, head)
    tree = _tree(bench, head)
    for block in (middle, top, beside):
        tree.add(block, None)
    assert (_way(tree, top), _way(tree, beside)) == ([middle, top], [beside])
    finals = tree.commit(Commit(block_id(middle), middle.height, None), bench.qc(middle))
    assert finals is not None
    assert [final.block for final in finals] == [middle]
    assert _way(tree, top) == [top]
    assert not tree.walk(block_id(beside)).is_whole


def test_many_ways_can_be_asked_for() -> None:
    """Each is right, also when more were asked for than are remembered."""
    bench = Bench()
    head, *above = _chain(bench, 9)
    tree = _tree(bench, head)
    for block in above:
        tree.add(block, None)
    for _ in range(2):
        assert [len(_way(tree, block)) for block in above] == list(range(1, 9))
