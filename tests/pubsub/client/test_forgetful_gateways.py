"""What one member has forgotten another one may hold: a client asks until one does."""

from base64 import b64encode

import httpx
import pytest
from msgspec.json import encode

from ledger.core.errors import ProofError, Unavailable
from ledger.core.event import OpenEntry
from ledger.core.ids import Sequence
from ledger.core.proof import build_bundle, encode_bundle, with_entry
from pubsub.client.answers import Answer, Refused
from pubsub.client.calls import Calls
from pubsub.client.exchange import Gateways, Timing
from pubsub.client.following import Follower
from pubsub.client.session import Session
from pubsub.client.sync_client import Client
from pubsub.core.problems import HttpCode, NoLongerHeld
from tests.support.memory_chain import MemoryChain, make_entry

WHOLE, BARE, BARE_TOO = "http://whole", "http://bare", "http://bare-too"


class Members:
    """Gateways of members, some of which have forgotten the first event."""

    def __init__(self) -> None:
        self.chain = MemoryChain()
        self.first: OpenEntry = make_entry(self.chain.genesis.chain_id, 0)
        self.chain.grow([self.first])
        for _ in range(3):
            self.chain.grow()
        bundle = build_bundle(self.chain, Sequence(0))
        assert bundle is not None
        self.bundle = bundle
        self.asked: list[str] = []

    def client(self, *urls: str) -> Client:
        """Give a client that knows gateways."""
        transport = httpx.MockTransport(self._answer)
        return Client(urls, self.chain.genesis, transport=transport)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"http://{request.url.host}")
        is_whole = request.url.host == "whole"
        if request.method == "POST":
            proof = b64encode(encode_bundle(with_entry(self.bundle, b""))).decode()
            row = {"status": "final", "id": self.first.id.hex(), "sequence": 0, "height": 1}
            return httpx.Response(200, content=encode({"receipts": [{**row, "proof": proof}]}))
        if request.url.path.endswith("/proof"):
            bundle = self.bundle if is_whole else with_entry(self.bundle, b"")
            return httpx.Response(200, content=encode_bundle(bundle))
        if is_whole:
            headers = {"concordat-sequence": "0"}
            return httpx.Response(200, content=self.first.entry, headers=headers)
        return httpx.Response(410, content=encode(NoLongerHeld(1).problem("/")))


def test_event_and_proof_come_from_who_holds_them() -> None:
    """Gateways that have forgotten are passed over."""
    members = Members()
    with members.client(BARE, BARE_TOO, WHOLE) as client:
        event = client.get(members.first.id)
        assert event is not None
        assert event.entry == members.first.entry
    assert members.asked == [BARE, BARE_TOO, WHOLE]
    with members.client(BARE, WHOLE) as client:
        assert client.proof(members.first.id) == members.bundle
    assert members.asked[3:] == [BARE, WHOLE]


def test_nobody_holds_it() -> None:
    """Each is asked once; a proof needs the reader's own entry then, and only the right one."""
    members = Members()
    with members.client(BARE, BARE_TOO) as client:
        for ask in (client.get, client.proof):
            with pytest.raises(Refused) as refused:
                ask(members.first.id)
            assert refused.value.code is HttpCode.FORGOTTEN
        assert sorted(members.asked) == [BARE, BARE, BARE_TOO, BARE_TOO]
        assert client.proof(members.first.id, members.first.entry) == members.bundle
        other = make_entry(members.chain.genesis.chain_id, 1)
        with pytest.raises(ProofError):
            client.proof(members.first.id, other.entry)
        with pytest.raises(ProofError):
            client.proof(other.id, other.entry)


def test_proof_of_what_is_published_again() -> None:
    """The publisher has the entry, which a gateway may have forgotten."""
    members = Members()
    with members.client(BARE) as client:
        (receipt,) = client.publish_many([members.first], "proof")
    assert receipt.proof == members.bundle


def test_stream_begins_at_who_holds_the_position() -> None:
    """A subscription tries the next gateway, and ends when all have forgotten its position."""
    gone = Answer(410, encode(NoLongerHeld(7).problem("/")), {})
    calls = Calls(Gateways([BARE, BARE_TOO], Timing(lambda: 0, lambda n: n)), None)
    session = Session(calls, Follower({}, -1), verify=False)
    assert session.call().url == BARE
    with pytest.raises(Unavailable) as lost:
        session.opened(gone)
    session.lost(lost.value)
    assert session.call().url == BARE_TOO
    with pytest.raises(Refused) as refused:
        session.opened(gone)
    assert refused.value.code is HttpCode.FORGOTTEN
