"""Whole validators on the loopback interface for end-to-end tests, and a gateway's end of them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec
import trio

from concordat.free_ports import free_ports
from consensus.core.control import (
    Attend,
    ControlQuestion,
    ControlReply,
    Head,
    Submit,
    SubmitReply,
    control_frame,
    decode_reply,
)
from consensus.core.frames import FrameSplitter
from consensus.io.node import NodeSettings, create_stores
from consensus.io.tls import PeerIdentity
from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.genesis import Genesis, Governors, Participant, ParticipantKey
from ledger.core.limits import FRAME_BYTES_MAX
from ledger.core.signing import SeedSigner
from ledger.core.trust.operations import (
    CONTENT_TYPE,
    GOVERNANCE_TOPIC,
    Propose,
    SetValidators,
    operation_codec,
)
from ledger.core.validators import Validator

PUBLISHER = SeedSigner(b"p" * 32)
PUBLISHER_DID = "did:web:publisher.example"


def _voting_seed(index: int) -> bytes:
    return bytes([100 + index]) * 32


def _peer_seed(index: int) -> bytes:
    return bytes([200 + index]) * 32


def make_validator(index: int, port: int) -> Validator:
    """Give what a set says of the member that listens on a loopback port."""
    return Validator(
        name=f"node-{index}",
        did=f"did:web:node-{index}.example",
        key=SeedSigner(_voting_seed(index)).public_key,
        peer_key=PeerIdentity(_peer_seed(index)).public_key,
        address=f"127.0.0.1:{port}",
    )


def make_genesis(ports: list[int]) -> Genesis:
    """Give a network whose validators listen on these loopback ports, with one publisher."""
    validators = tuple(make_validator(index, port) for index, port in enumerate(ports))
    key = ParticipantKey(PUBLISHER.public_key, revoked=False)
    publisher = Participant(PUBLISHER_DID, "Publisher", (key,), (">",))
    governors = Governors(1, (PUBLISHER_DID,))
    now_ms = time.time_ns() // 1_000_000
    return Genesis("loopback", now_ms, validators, (publisher,), governors)


def make_change(genesis: Genesis, nonce: int, validators: tuple[Validator, ...]) -> OpenEntry:
    """Give the signed event by which the one governor sets the validators."""
    operation = Propose(SetValidators(validators), genesis.time_ms + 3_600_000)
    event = make_event(genesis, nonce, operation_codec.encode(operation)).event
    changed = msgspec.structs.replace(event, topic=GOVERNANCE_TOPIC, content_type=CONTENT_TYPE)
    return sign_event(changed, PUBLISHER)


def make_event(genesis: Genesis, nonce: int, data: bytes = b"x" * 100) -> OpenEntry:
    """Give a signed event; two nonces give two events."""
    event = Event(
        version=1,
        chain_id=genesis.chain_id,
        topic="offers.created",
        publisher=PUBLISHER_DID,
        key=PUBLISHER.public_key,
        nonce=nonce,
        time_ms=genesis.time_ms,  # not the clock: blocks of tests are dated from genesis
        type="offer.created",
        subject=f"urn:offer:{nonce}",
        entity_hash=b"",
        previous_hash=b"",
        location="",
        content_type="",
        data=data,
        tags=(),
    )
    return sign_event(event, PUBLISHER)


def make_settings(
    home: Path, count_: int, *, create: bool = True, validators: int | None = None
) -> list[NodeSettings]:
    """Give the settings of ``count_`` members with new stores under ``home``.

    Args:
        validators: so many of them, the first, are validators from genesis on; None: all.
    """
    ports = free_ports(count_)
    genesis = make_genesis(ports[:validators])
    members = []
    for index, port in enumerate(ports):
        signer = SeedSigner(_voting_seed(index))
        place = home / str(index)
        if create:
            create_stores(genesis, signer.public_key, place / "chain", place / "safety")
        members.append(
            NodeSettings(
                genesis=genesis,
                signer=signer,
                peer_seed=_peer_seed(index),
                chain_dir=place / "chain",
                safety_dir=place / "safety",
                control_path=place / "control.sock",
                listen=("127.0.0.1", port),
            )
        )
    return members


@dataclass
class Gateway:
    """A gateway's connection to a node."""

    stream: trio.SocketStream
    heads: list[Head] = field(default_factory=list)
    answers: dict[int, ControlReply] = field(default_factory=dict)
    _splitter: FrameSplitter = field(default_factory=lambda: FrameSplitter(FRAME_BYTES_MAX))
    _numbers: "count[int]" = field(default_factory=count)

    async def send(self, request: ControlQuestion | Attend) -> None:
        """Send a request."""
        await self.stream.send_all(control_frame(request))

    async def receive(self) -> None:
        """Take in what the node says next."""
        data = await self.stream.receive_some(1 << 20)
        if not data:
            raise trio.BrokenResourceError("the node closed the connection")
        for frame in self._splitter.feed(data):
            reply = decode_reply(frame)
            if isinstance(reply, Head):
                self.heads.append(reply)
            else:
                self.answers[reply.request_id] = reply

    async def ask(self, request: ControlQuestion) -> ControlReply:
        """Send a request and wait for its answer."""
        await self.send(request)
        while request.request_id not in self.answers:
            await self.receive()
        return self.answers.pop(request.request_id)

    async def submit(self, *entries: bytes) -> tuple[str, ...]:
        """Submit entries and give the codes."""
        answer = await self.ask(Submit(next(self._numbers), entries))
        assert isinstance(answer, SubmitReply)
        return answer.codes or ("",) * len(entries)

    async def until_log_size(self, log_size: int) -> Head:
        """Wait until the node's store durably holds so many events."""
        while not self.heads or self.heads[-1].log_size < log_size:
            await self.receive()
        return self.heads[-1]


@asynccontextmanager
async def gateway(path: Path) -> AsyncIterator[Gateway]:
    """Connect to the control socket at ``path``."""
    stream = await trio.open_unix_socket(str(path))
    try:
        yield Gateway(stream)
    finally:
        await trio.aclose_forcefully(stream)
