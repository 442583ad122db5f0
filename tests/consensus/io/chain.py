"""Blocks for tests of what surrounds the chain store: consecutive, with a batch each."""

from collections.abc import Sequence

from consensus.core.effects import Execute
from ledger.core.block import Batch, Block, batch_id, block_id
from ledger.core.certificate import Commit, QuorumCertificate, genesis_certificate
from ledger.core.codec import encode
from ledger.core.genesis import Genesis
from ledger.core.ids import BatchId, BlockId, Epoch, Height, NodeIndex, Round
from tests.consensus.io.members import make_event


def make_batch(genesis: Genesis, nonces: Sequence[int]) -> tuple[BatchId, bytes]:
    """Give a batch with an event for each nonce."""
    entries = tuple(make_event(genesis, nonce).entry for nonce in nonces)
    encoded = encode(Batch(NodeIndex(0), nonces[0], entries))
    return batch_id(encoded), encoded


def make_chain(
    genesis: Genesis, count: int, *, certified: Sequence[int], empty: Sequence[int] = ()
) -> list[Execute]:
    """Give the executions of ``count`` blocks with one event each, none at heights in ``empty``.

    Those at the heights in ``certified`` have a certificate of their own; nothing is signed.
    """
    executions = []
    parent: BlockId = genesis.block_id
    for height in range(1, count + 1):
        batches = () if height in empty else (make_batch(genesis, [height]),)
        block = Block(
            epoch=Epoch(0),
            round=Round(height),
            height=Height(height),
            parent_id=parent,
            executed_height=Height(0),
            ledger_root=bytes(32),
            next_set_hash=None,
            qc=genesis_certificate(genesis.block_id),
            tc=None,
            payload=tuple(id_ for id_, _ in batches),
            time_ms=genesis.time_ms + height,
            author=NodeIndex(0),
        )
        parent = block_id(block)
        commit = Commit(parent, block.height, None)
        certificate = QuorumCertificate(Epoch(0), Round(height + 1), bytes(32), commit, ())  # type: ignore[arg-type]
        executions.append(
            Execute(parent, block, certificate if height in certified else None, batches)
        )
    return executions
