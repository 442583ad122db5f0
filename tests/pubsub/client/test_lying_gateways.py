"""A subscription trusts no gateway: whatever one of them lies about, the next one is asked."""

from collections.abc import Callable

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from ledger.core.block import block_id
from ledger.core.certificate import Commit, Domain, QuorumCertificate, Vote
from ledger.core.epoch_proof import EpochEnding
from ledger.core.errors import ProofError
from ledger.core.ids import BlockId, Epoch, EventId, Height, Round, Sequence
from ledger.core.proof import decode_bundle, encode_bundle
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator, ValidatorSet
from pubsub.client.sync_client import Client
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.problems import HttpCode
from pubsub.core.sse import event_block
from tests.support.memory_chain import MemoryChain, make_entry, signer_of
from tests.support.memory_gateway import Chunks, MemoryGateway, problem

COUNT = 6
Lie = Callable[[MemoryGateway, httpx.Request], httpx.Response | None]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pubsub.client.sync_client.time.sleep", lambda _seconds: None)


def gateway_of() -> MemoryGateway:
    """Give an honest gateway to a ledger of some events."""
    chain = MemoryChain()
    for nonce in range(COUNT):
        chain.grow([make_entry(chain.genesis.chain_id, nonce)])
    for _ in range(3):
        chain.grow()
    gateway = MemoryGateway(chain)
    gateway.cuts = 100_000
    return gateway


def in_stream(change: Callable[[MemoryGateway, bytes], bytes]) -> Lie:
    """Lie about the stream: ``change`` gets its text."""

    def lie(gateway: MemoryGateway, request: httpx.Request) -> httpx.Response | None:
        if request.url.path != "/v1/stream":
            return None
        text = change(gateway, gateway.stream_text(request))
        return httpx.Response(200, stream=Chunks([text, httpx.ReadError("cut")]))

    return lie


def in_proofs(prove: Callable[[MemoryGateway, Sequence], bytes | httpx.Response]) -> Lie:
    """Lie about proofs."""

    def lie(gateway: MemoryGateway, request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("proof"):
            return None
        sequence = gateway.chain.sequence_of(EventId(bytes.fromhex(request.url.path.split("/")[3])))
        proof = prove(gateway, Sequence(COUNT - 1) if sequence is None else sequence)
        return proof if isinstance(proof, httpx.Response) else httpx.Response(200, content=proof)

    return lie


def swap(_gateway: MemoryGateway, text: bytes) -> bytes:
    """Give two events the places of each other."""
    changed = text.replace(b"%019d" % 2, b"two").replace(b"%019d" % 3, b"%019d" % 2)
    head, *blocks = changed.replace(b"two", b"%019d" % 3).split(b"\n\nid: ")
    rows = {block.split(b"\n")[0]: block for block in blocks}
    two, three = rows[b"2"], rows[b"3"]
    rows[b"2"], rows[b"3"] = b"2" + three[1:], b"3" + two[1:]
    return b"\n\nid: ".join([head, *rows.values()])


def forge(gateway: MemoryGateway, text: bytes) -> bytes:
    """Put an event that its publisher signed, and no ledger holds, in the place of another."""
    forged = cloudevent_json(make_entry(gateway.chain.genesis.chain_id, 99), Sequence(2))
    kept = [block for block in text.split(b"\n\n") if not block.startswith(b"id: 2\n")]
    index = next(n for n, block in enumerate(kept) if block.startswith(b"id: 3\n"))
    kept.insert(index, event_block(2, forged).removesuffix(b"\n\n"))
    return b"\n\n".join(kept)


def omit(_gateway: MemoryGateway, text: bytes) -> bytes:
    """Leave one event out."""
    blocks = text.split(b"\n\n")
    return b"\n\n".join(block for block in blocks if not block.startswith(b"id: 2\n"))


def hide(_gateway: MemoryGateway, text: bytes) -> bytes:
    """Say of one event that the filter, which there is not, hides it."""
    blocks = text.split(b"\n\n")
    return b"\n\n".join(b"id: 2" if block.startswith(b"id: 2\n") else block for block in blocks)


def doctored(**changes: object) -> Lie:
    """Change one position of each proof."""
    return in_proofs(
        lambda gateway, number: encode_bundle(
            replace(decode_bundle(gateway.proof(number)), **changes)
        )
    )


def too_few(gateway: MemoryGateway, number: Sequence) -> bytes:
    """Show a certificate with a signature less than a quorum has."""
    bundle = decode_bundle(gateway.proof(number))
    certificate = bundle.certificate
    rows = certificate.signatures[:-1]
    return encode_bundle(replace(bundle, certificate=replace(certificate, signatures=rows)))


def certified(
    domain: Domain, commit: Commit, round_: int, signers: list[SeedSigner]
) -> QuorumCertificate:
    """Have signers certify a commit."""
    voted = BlockId(bytes([9]) * 32)
    votes = [Vote.make(domain, Round(round_), voted, commit, signer) for signer in signers]
    rows = tuple(sorted((vote.signer, vote.signature) for vote in votes))
    return QuorumCertificate(domain.epoch, Round(round_), voted, commit, rows)


def in_epoch_1(*, is_true: bool) -> Callable[[MemoryGateway, Sequence], bytes]:
    """Prove events in an epoch that a quorum of genesis began, or that only its own did."""
    members = tuple(
        Validator(
            f"w{number}",
            f"did:web:w{number}.example",
            signer_of(50 + number).public_key,
            signer_of(60 + number).public_key,
            f"127.0.0.1:{8000 + number}",
        )
        for number in range(4)
    )
    ours = [signer_of(50 + number) for number in range(3)]

    def prove(gateway: MemoryGateway, number: Sequence) -> bytes:
        genesis = gateway.chain.genesis
        commit = Commit(BlockId(b"R" * 32), Height(1), ValidatorSet(members).hash)
        if is_true:
            signers = [signer_of(number) for number in range(3)]
            certificate = certified(gateway.chain.domain, commit, 2, signers)
        else:
            own = Domain(genesis.hash, Epoch(0), ValidatorSet(members))
            certificate = certified(own, commit, 2, ours)
        bundle = decode_bundle(gateway.proof(number))
        header = replace(bundle.header, epoch=Epoch(1))
        final = Commit(block_id(header), header.height, None)
        domain = Domain(genesis.hash, Epoch(1), ValidatorSet(members))
        return encode_bundle(
            replace(
                bundle,
                header=header,
                certificate=certified(domain, final, 50, ours),
                epoch_ends=(EpochEnding(certificate, members),),
            )
        )

    return prove


LIES: dict[str, Lie] = {
    "altered event": in_stream(lambda _, text: text.replace(b"urn:offering:2", b"urn:offering:7")),
    "altered time": in_stream(lambda _, text: text.replace(b".002Z", b".003Z")),
    "forged event": in_stream(forge),
    "wrong sequences": in_stream(swap),
    "omitted event": in_stream(omit),
    "hidden event": in_stream(hide),
    "garbage": in_stream(lambda _, text: text.replace(b'"id"', b'"di"')),
    "proof of another event": in_proofs(lambda gateway, _: gateway.proof(Sequence(0))),
    "no proof": in_proofs(lambda _, __: problem(HttpCode.EVENT_NOT_FOUND)),
    "garbage as proof": in_proofs(lambda _, __: b"\x90"),
    "proof at another place": doctored(sequence=COUNT),
    "proof without a path": doctored(path=()),
    "too few signatures": in_proofs(too_few),
    "validators of a false epoch": in_proofs(in_epoch_1(is_true=False)),
    "stale head": in_stream(lambda _, text: b"\n\n".join(text.split(b"\n\n")[:3]) + b"\n\n"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_liar_is_left_for_the_next_gateway(name: str) -> None:
    """Every event comes once, in order and proven, although the first gateway lies."""
    gateway = gateway_of()

    def lie(request: httpx.Request) -> httpx.Response | None:
        return LIES[name](gateway, request) if request.url.host == "liar" else None

    gateway.faults.append(lie)
    urls = ["http://liar", "http://honest"]
    with (
        Client(urls, gateway.chain.genesis, transport=gateway.transport) as client,
        client.subscribe() as events,
    ):
        received = [next(events) for _ in range(COUNT)]
        assert events.losses >= 1
        assert "liar" in events.last_error
    assert [event.entry for event in received] == gateway.chain.entries
    assert all(event.is_verified for event in received)


@pytest.mark.parametrize(
    "name", ["forged event", "wrong sequences", "validators of a false epoch", "too few signatures"]
)
def test_only_liars(name: str) -> None:
    """When every gateway sends what the ledger does not hold, that is told, and nothing is lost."""
    gateway = gateway_of()
    gateway.faults.append(lambda request: LIES[name](gateway, request))
    urls = ["http://liar", "http://other"]
    with (
        Client(urls, gateway.chain.genesis, transport=gateway.transport) as client,
        client.subscribe() as events,
    ):
        for _ in range(2):
            with pytest.raises(ProofError):
                next(events)
            assert events.cursor == -1
        gateway.faults.clear()
        assert [next(events).sequence for _ in range(COUNT)] == list(range(COUNT))


def test_epochs_are_followed() -> None:
    """Validators of a later epoch prove events, when a quorum before them handed over to them."""
    gateway = gateway_of()
    prove = in_proofs(in_epoch_1(is_true=True))
    gateway.faults.append(lambda request: prove(gateway, request))
    with (
        Client("http://a", gateway.chain.genesis, transport=gateway.transport) as client,
        client.subscribe() as events,
    ):
        assert [next(events).is_verified for _ in range(COUNT)] == [True] * COUNT
        assert events.losses == 0


def test_a_filtered_stream_is_held_to_its_filter() -> None:
    """What the filter does not want is refused, and the next gateway asked."""
    gateway = gateway_of()

    def ignore_filters(request: httpx.Request) -> httpx.Response | None:
        if request.url.host == "honest":
            raise _EnoughError
        text = gateway.stream_text(request)
        return httpx.Response(200, stream=Chunks([text]))

    gateway.faults.append(ignore_filters)
    wanted = [{"suffix": {"subject": ":4"}}]
    urls = ["http://liar", "http://honest"]
    with Client(urls, gateway.chain.genesis, transport=gateway.transport) as client:
        events = client.subscribe(filters=wanted)
        with pytest.raises(_EnoughError):
            next(events)
        assert "event 0 was not asked for" in events.last_error
    query = httpx.URL(gateway.requests[0].split()[1]).params["filter"]
    assert msgspec.json.decode(query) == wanted


class _EnoughError(Exception):
    """The honest gateway was asked."""
