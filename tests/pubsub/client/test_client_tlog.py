"""Reading the transparency log from gateways that may lie: what holds is given, nothing else."""

import httpx
import msgspec
import pytest

from ledger.core.errors import PeerFault, ProofError, Unavailable
from ledger.core.ids import Sequence
from ledger.core.snapshot_manifest import manifest_codec, new_manifest
from ledger.core.tlog.checkpoint import Checkpoint
from ledger.core.tlog.proof import build_tlog_proof, write_tlog_proof
from pubsub.client.exchange import Gateways, Timing
from pubsub.client.sync_client import Client
from pubsub.client.tlog import LogCalls, verify_extension
from tests.independent import tlog_verifier as independent
from tests.ledger.tlog.cosigned import (
    TIME_S,
    checkpoint_of,
    members_of,
    note_of,
    signed_lines,
    stored,
)
from tests.support.memory_chain import MemoryChain, make_entry, signer_of

URL = "http://gateway"
EVENTS = 300


class Gateway:
    """A gateway that answers from a table, which a test may falsify.

    Attributes:
        files: path -> body; headers: of every answer.
    """

    def __init__(self) -> None:
        self.chain = MemoryChain(4)
        origin = self.chain.genesis.chain_id
        self.opened = [make_entry(origin, number) for number in range(EVENTS)]
        self.chain.grow(self.opened)
        for _ in range(3):
            self.chain.grow()
        manifest = new_manifest(self.chain)
        assert manifest is not None
        self.manifest = manifest
        newest = stored(self.chain, EVENTS)
        self.headers = {"concordat-epoch": "0"}
        self.files = {
            "/log/checkpoint": newest.note,
            "/v1/snapshot": manifest_codec.encode(manifest),
            "/log/tile/0/000": self.chain.read_tile(0, 0),
            "/log/tile/0/001.p/44": self.chain.read_tile(0, 1),
            "/log/tile/1/000.p/1": self.chain.read_tile(1, 0),
        }
        for number in (7, 8):
            proof = build_tlog_proof(self.chain, Sequence(number), newest)
            assert proof is not None
            path = f"/v1/events/{self.opened[number].id.hex()}/tlog-proof"
            self.files[path] = write_tlog_proof(proof)
        self.calls = LogCalls(Gateways([URL], Timing(give_up_ms=50)), self.chain.genesis)

    def client(self) -> Client:
        """Give a client of it."""
        return Client(URL, self.chain.genesis, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = self.files.get(request.url.path)
        if body is None:
            problem = {"code": "event_not_found", "detail": "no"}
            return httpx.Response(404, json=problem)
        return httpx.Response(200, content=body, headers=self.headers)


@pytest.fixture
def gateway() -> Gateway:
    """Give an honest gateway."""
    return Gateway()


def test_an_honest_gateway(gateway: Gateway) -> None:
    """Checkpoint, epochs and proofs are given as they are."""
    with gateway.client() as client:
        found = client.run(gateway.calls.checkpoint())
        assert found.checkpoint == checkpoint_of(gateway.chain, EVENTS)
        assert (found.time_s, found.start.number, found.is_newest) == (TIME_S, 0, True)
        assert found.note == gateway.files["/log/checkpoint"]
        (start,) = client.run(gateway.calls.epochs())
        assert start.members == gateway.chain.genesis.validators
        proof = client.run(gateway.calls.proof(gateway.opened[7].id))
        assert proof is not None
        assert independent.open_note(proof.partition(b"\n\n")[2])
        assert client.run(gateway.calls.proof(gateway.opened[9].id)) is None


def test_a_client_compares_what_it_followed(gateway: Gateway) -> None:
    """The client gives the checked checkpoint; without genesis, or with a forged one, none."""
    with gateway.client() as client:
        found = client.checkpoint()
        assert (found.checkpoint.size, found.time_s) == (EVENTS, TIME_S)
        forged = found.note.replace(b"\n300\n", b"\n299\n")
        assert forged != found.note
        gateway.files["/log/checkpoint"] = forged
        with pytest.raises(ProofError):
            client.checkpoint()
    with Client(URL) as stranger, pytest.raises(ValueError, match="genesis"):
        stranger.checkpoint()


@pytest.mark.parametrize("size", [0, 1, 44, 255, 256, 257, EVENTS])
def test_it_extends_what_was_kept(gateway: Gateway, size: int) -> None:
    """Tiles show that the log extends each earlier checkpoint, and no other log's."""
    old, new = checkpoint_of(gateway.chain, size), checkpoint_of(gateway.chain, EVENTS)
    with gateway.client() as client:

        def read(level: int, index: int) -> bytes:
            return client.run(gateway.calls.tile(EVENTS, level, index))

        verify_extension(old, new, read)
        for false in (old._replace(root=b"x" * 32), old._replace(origin="other")):
            with pytest.raises(ProofError):
                verify_extension(false, new, read)
        if size < EVENTS:
            with pytest.raises(ProofError, match="shrank"):
                verify_extension(new, old, read)


def test_tiles_that_lie(gateway: Gateway) -> None:
    """Other hashes prove nothing, fewer are no tile."""
    old, new = checkpoint_of(gateway.chain, 44), checkpoint_of(gateway.chain, EVENTS)
    path = "/log/tile/0/000"
    gateway.files[path] = bytes(8_192)
    with gateway.client() as client:

        def read(level: int, index: int) -> bytes:
            return client.run(gateway.calls.tile(EVENTS, level, index))

        with pytest.raises(ProofError):
            verify_extension(old, new, read)
        gateway.files[path] = bytes(8_160)
        with pytest.raises(PeerFault, match="a tile of 8160 bytes"):
            verify_extension(old, new, read)


def test_a_checkpoint_of_too_few(gateway: Gateway) -> None:
    """Two of four validators, or strangers, have cosigned nothing."""
    checkpoint = checkpoint_of(gateway.chain, EVENTS)
    strangers = [(v, signer_of(50 + n)) for n, (v, _) in enumerate(members_of(gateway.chain, 3))]
    with gateway.client() as client:
        for rows in (members_of(gateway.chain, 2), strangers):
            gateway.files["/log/checkpoint"] = note_of(checkpoint, signed_lines(checkpoint, rows))
            with pytest.raises(ProofError):
                client.run(gateway.calls.checkpoint())


def test_a_checkpoint_of_another_log(gateway: Gateway) -> None:
    """The validators' signatures under another origin are of another log."""
    checkpoint = Checkpoint("other", EVENTS, bytes(32))
    lines = signed_lines(checkpoint, members_of(gateway.chain, 3))
    gateway.files["/log/checkpoint"] = note_of(checkpoint, lines)
    with gateway.client() as client, pytest.raises(ProofError):
        client.run(gateway.calls.checkpoint())


@pytest.mark.parametrize("epoch", ["1", "-1"])
def test_an_epoch_that_is_not_shown(gateway: Gateway, epoch: str) -> None:
    """Who claims an epoch that he does not show is not believed, and may be asked again."""
    gateway.headers = {"concordat-epoch": epoch}
    with gateway.client() as client, pytest.raises(Unavailable):
        client.run(gateway.calls.checkpoint())


def test_a_manifest_that_lies(gateway: Gateway) -> None:
    """A root that no quorum certified, and what is no manifest, show no validators."""
    root = msgspec.structs.replace(gateway.manifest.root, log_size=5)
    false = msgspec.structs.replace(gateway.manifest, root=root)
    with gateway.client() as client:
        gateway.files["/v1/snapshot"] = manifest_codec.encode(false)
        with pytest.raises(ProofError):
            client.run(gateway.calls.epochs())
        gateway.files["/v1/snapshot"] = b"\x00"
        with pytest.raises(PeerFault, match="not a manifest"):
            client.run(gateway.calls.checkpoint())


@pytest.mark.parametrize("body", [b"", b"note", b"a\n\nb\n"])
def test_what_is_no_checkpoint_and_no_proof(gateway: Gateway, body: bytes) -> None:
    """Other bytes are a fault of the gateway."""
    with gateway.client() as client:
        gateway.files["/log/checkpoint"] = body
        with pytest.raises(PeerFault, match="not a checkpoint"):
            client.run(gateway.calls.checkpoint())
        gateway.files[f"/v1/events/{gateway.opened[7].id.hex()}/tlog-proof"] = body
        with pytest.raises(PeerFault, match="not a proof"):
            client.run(gateway.calls.proof(gateway.opened[7].id))


def test_the_proof_of_another_event(gateway: Gateway) -> None:
    """A proof that holds and is of another event is refused; so is one that does not hold."""
    path = "/v1/events/{}/tlog-proof"
    mine = path.format(gateway.opened[7].id.hex())
    other = gateway.files[path.format(gateway.opened[8].id.hex())]
    with gateway.client() as client:
        for false in (other, gateway.files[mine].replace(b"index 7", b"index 6")):
            gateway.files[mine] = false
            with pytest.raises(ProofError):
                client.run(gateway.calls.proof(gateway.opened[7].id))


def test_other_refusals(gateway: Gateway) -> None:
    """What a gateway refuses otherwise is no answer of the API."""
    del gateway.files["/log/checkpoint"]
    with gateway.client() as client, pytest.raises(PeerFault, match="404"):
        client.run(gateway.calls.checkpoint())
