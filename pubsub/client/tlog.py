"""Reading the ledger as a transparency log, as flows: whose checkpoint, and what it extends.

Nothing is believed because a gateway says it. Who the validators are follows from genesis through
the ends of epochs; a checkpoint counts when a quorum of them cosigned it; tiles count when the
proofs that are computed from them lead to its root.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from ledger.core.epoch import EpochStart
from ledger.core.errors import DecodeError, Offence, PeerFault, ProofError, Unavailable
from ledger.core.genesis import Genesis
from ledger.core.ids import EventId
from ledger.core.limits import HASH_BYTES
from ledger.core.merkle import TILE_HEIGHT, TILE_WIDTH, consistency_proof
from ledger.core.merkle_proof import verify_consistency
from ledger.core.snapshot_manifest import epoch_starts, manifest_codec, verify_manifest
from ledger.core.tlog.checkpoint import Checkpoint
from ledger.core.tlog.policy import CosignedCheckpoint, Policy, check_checkpoint, policy_of
from ledger.core.tlog.proof import parse_tlog_proof, verify_tlog_proof
from pubsub.client.answers import Answer, Refused, raise_problem, read_problem
from pubsub.client.exchange import Flow, Gateways, Request
from pubsub.client.snapshots import snapshot_request
from pubsub.core.problems import HttpCode
from pubsub.core.tlog.paths import TileName, tile_text

__all__ = ["CheckedLog", "LogCalls", "ReadTile", "verify_extension"]

_TEXT: Final = "text/plain"
_OCTETS: Final = "application/octet-stream"
_OK: Final = 200

ReadTile = Callable[[int, int], bytes]
"""(level, index) -> the hashes of a tile."""


class CheckedLog(NamedTuple):
    """A checkpoint that holds.

    Attributes:
        note: the signed note, as it was served.
        start: how the epoch began whose validators cosigned it; policy: what they amount to.
        is_newest: no later epoch has been shown.
    """

    note: bytes
    cosigned: CosignedCheckpoint
    start: EpochStart
    policy: Policy
    is_newest: bool

    @property
    def checkpoint(self) -> Checkpoint:
        """What it says."""
        return self.cosigned.checkpoint

    @property
    def time_s(self) -> int:
        """As of when, in seconds since 1970."""
        return max(self.cosigned.times_s.values())


class LogCalls:
    """Reads one network's log."""

    def __init__(self, gateways: Gateways, genesis: Genesis) -> None:
        self._gateways = gateways
        self._genesis = genesis

    def epochs(self) -> Flow[list[EpochStart]]:
        """Give how each epoch began, shown from genesis on; the last one is the newest shown.

        Raises:
            ProofError: it is not shown.
        """
        answer = yield from self._read(snapshot_request(""))
        try:
            manifest = manifest_codec.decode(answer.body)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not a manifest: {error}") from None
        verify_manifest(manifest, self._genesis)
        return epoch_starts(manifest, self._genesis)

    def checkpoint(self) -> Flow[CheckedLog]:
        """Give the newest checkpoint.

        Raises:
            ProofError: no quorum of validators that genesis leads to has cosigned it.
        """
        answer = yield from self._read(Request("GET", "/log/checkpoint", _TEXT))
        starts = yield from self.epochs()
        number = answer.number("concordat-epoch", 0)
        if not 0 <= number < len(starts):
            raise Unavailable(f"how epoch {number} began is not shown yet")
        start = starts[number]
        policy = policy_of(self._genesis.chain_id, start.validator_set())
        try:
            cosigned = check_checkpoint(answer.body, policy)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not a checkpoint: {error}") from None
        return CheckedLog(answer.body, cosigned, start, policy, number == len(starts) - 1)

    def tile(self, size: int, level: int, index: int) -> Flow[bytes]:
        """Give a tile as a log of ``size`` entries has it; nothing in it is believed yet."""
        width = min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH)
        path = f"/log/tile/{level}/{tile_text(TileName(index, width))}"
        answer = yield from self._read(Request("GET", path, _OCTETS))
        if len(answer.body) != width * HASH_BYTES:
            raise PeerFault(Offence.MALFORMED, f"a tile of {len(answer.body)} bytes")
        return answer.body

    def proof(self, id_: EventId) -> Flow[bytes | None]:
        """Give the verified tlog-proof of an event; None when the ledger does not hold it.

        Raises:
            ProofError: it does not hold, or is of another event.
            Refused: the gateway has forgotten the event (FORGOTTEN).
        """
        request = Request("GET", f"/v1/events/{id_.hex()}/tlog-proof", _TEXT)
        answer = yield from self._gateways.exchange(request)
        if read_problem(answer).code in (HttpCode.EVENT_NOT_FOUND, HttpCode.EVENT_REFUSED):
            return None
        if answer.status != _OK:
            raise_problem(answer)
        try:
            proof = parse_tlog_proof(answer.body)
            if not proof.extra.entry:
                detail = "the gateway has forgotten the event, and what it has of the proof is bare"
                raise Refused(HttpCode.FORGOTTEN, detail)
            shown = verify_tlog_proof(proof, self._genesis)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, f"not a proof: {error}") from None
        if shown.opened.id != id_:
            raise ProofError("the proof is of another event than the one asked for")
        return answer.body

    def _read(self, request: Request) -> Flow[Answer]:
        answer = yield from self._gateways.exchange(request)
        if answer.status != _OK:
            raise_problem(answer)
        return answer


def verify_extension(old: Checkpoint, new: Checkpoint, read_tile: ReadTile) -> None:
    """Check by tiles, of which nothing is believed, that a log extends an earlier checkpoint.

    Raises:
        ProofError: it does not, or the tiles do not show it.
    """
    if old.origin != new.origin:
        raise ProofError(f"the earlier checkpoint is of the log {old.origin}")
    if old.size > new.size:
        raise ProofError(f"the log shrank from {old.size} to {new.size} entries")
    proof = consistency_proof(read_tile, old.size, new.size)
    verify_consistency(old.size, new.size, old.root, new.root, proof)
