"""Four marketplaces agree on an issuer: granted by governors, written once, seen by all, proven."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from click.testing import Result

from concordat import testnet
from concordat.free_ports import free_ports
from ledger.core.errors import RejectCode, Rejected
from ledger.core.ids import Height
from ledger.core.signing import SeedSigner
from ledger.core.state_proof import state_bundle_json
from ledger.core.trust.operations import SetParticipant
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.client.identity import Publisher
from pubsub.client.sync_client import Client
from tests.support.processes import RealNetwork

pytestmark = pytest.mark.process

ISSUER = "did:elsi:VATES-12345678"
CREDENTIAL = b'{"credentialsType":"LEARCredentialEmployee"}'


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNetwork]:
    """Give a running network that two of four members govern, with facades at all gateways."""
    directory = tmp_path_factory.mktemp("trust")
    numbers = iter(free_ports(8))
    ports = [testnet.Ports(next(numbers), next(numbers)) for _ in range(4)]
    plan = testnet.TestnetPlan(
        "trust",
        [(f"node{member}", ports[member]) for member in range(4)],
        ["writer", "other", "other2"],
        settings={"facades": {"ebsi": True, "fiware": True, "writes": "open"}},
        governors=("node0", "node1"),
        threshold=2,
    )
    network = RealNetwork(directory, testnet.create_testnet(directory / "net", plan), ports)
    with network.running():
        network.wait_ready()
        yield network


def publisher(network: RealNetwork, name: str) -> Publisher:
    """Give the identity of a member or publisher."""
    key = open_key(network.testnet.publisher_keys[name], KeyPurpose.PUBLISHER, password=None)
    return Publisher(key.info.owner, key.signer, network.testnet.genesis.chain_id)


def client(network: RealNetwork, member: int) -> Client:
    """Give a client of one member's gateway."""
    return Client(network.url(member), network.testnet.genesis, give_up_ms=15_000)


def grant(network: RealNetwork, name: str, topic: str) -> Height:
    """Have both governors grant a right, each at its own gateway; give the height of it."""
    expires_ms = time.time_ns() // 1_000_000 + 60_000
    with client(network, 0) as first, client(network, 1) as second:
        proposer = publisher(network, "node0")
        known = first.trust.participant(publisher(network, name).did).value
        assert known is not None
        action = SetParticipant(msgspec.structs.replace(known, topics=(*known.topics, topic)))
        proposed = first.trust.propose(proposer, action, expires_ms)
        seen = second.trust.proposal(proposed.id, at_least=proposed.height)
        assert seen.value is not None
        assert (seen.value.action, seen.value.executed_ms) == (action, 0)
        approved = second.trust.approve(publisher(network, "node1"), proposed.id)
        assert approved.height is not None
        decided = first.trust.proposal(proposed.id, at_least=approved.height).value
        assert decided is not None
        assert decided.executed_ms
        return approved.height


def forbidden(write: Callable[[], object]) -> None:
    """Expect that a write is refused for the lack of the right."""
    with pytest.raises(Rejected) as caught:
        write()
    assert caught.value.code is RejectCode.TOPIC_FORBIDDEN


def test_an_issuer_is_agreed_on(
    network: RealNetwork, tmp_path: Path, concordat: Callable[..., Result]
) -> None:
    """Refused before the governors' decision, written after it, seen and proven elsewhere."""
    writer, other = publisher(network, "writer"), publisher(network, "other")
    with client(network, 2) as here, client(network, 3) as there:
        forbidden(lambda: here.trust.put(writer, "issuers", ISSUER, ("issuer", b"")))
        height = grant(network, "writer", "ledger.lists.issuers")
        here.trust.participant(writer.did, at_least=height)
        here.trust.put(writer, "issuers", ISSUER, ("issuer", b""), expected_revision=0)
        attribute = f"{ISSUER}/lear"
        put = here.trust.put(writer, "issuers", attribute, ("credential", CREDENTIAL))
        reading = there.trust.entry("issuers", attribute, at_least=put.height)
        assert reading.value is not None
        assert reading.is_verified
        assert (reading.value.body, reading.value.writer) == (CREDENTIAL, writer.did)
        assert [row.id for row in there.trust.entries("issuers")] == [ISSUER, attribute]
        forbidden(lambda: there.trust.revoke(other, "issuers", attribute))
        forbidden(lambda: there.trust.put(writer, "schemas", "s", ("schema", b"{}")))
        entry = there.trust.entry("issuers", attribute).value
        assert entry is not None
        assert entry.revision == 1
        assert there.trust.entry("schemas", "s").value is None
        events = [event.id for event in there.events(topic="ledger.lists.*")]
        assert events[-1] == put.id
    proof = tmp_path / "proof.json"
    proof.write_bytes(state_bundle_json(reading.bundle))
    genesis = network.testnet.genesis_path
    shown = json.loads(concordat("verify", proof, "--genesis", genesis, "--json").stdout)
    assert (shown["about"], shown["value"]["writer"]) == (f"issuers / {attribute}", writer.did)


def test_the_outside_worlds_see_the_same(network: RealNetwork) -> None:
    """FIWARE and EBSI read it at another gateway; a member without the right writes none."""
    writer = publisher(network, "writer")
    did = "did:elsi:VATES-87654321"
    height = grant(network, "writer", "ledger.lists.issuers")
    with client(network, 0) as native, httpx.Client(base_url=network.url(3)) as outside:
        native.trust.participant(writer.did, at_least=height)
        put = native.trust.put(writer, "issuers", did, ("issuer", b""))
        attribute = native.trust.put(writer, "issuers", f"{did}/a", ("credential", CREDENTIAL))
        with client(network, 3) as there:
            there.trust.entry("issuers", f"{did}/a", at_least=attribute.height)
        fiware = outside.get(f"/v4/issuers/{did}")
        assert (fiware.status_code, fiware.json()["did"]) == (200, did)
        ebsi = outside.get(f"/trusted-issuers-registry/v5/issuers/{did}")
        assert (ebsi.status_code, ebsi.json()["did"]) == (200, did)
        foreign = {"did": "did:elsi:VATES-00000000", "credentials": []}
        refused = outside.post("/issuer", json=foreign)
        assert 400 <= refused.status_code < 500
        assert native.trust.entry("issuers", foreign["did"], at_least=put.height).value is None  # type: ignore[arg-type] # a text


def test_keys_are_changed_by_their_holder(network: RealNetwork) -> None:
    """The new key consents and speaks for the participant; the revoked one does no more."""
    old, signer = publisher(network, "other"), SeedSigner(bytes([99]) * 32)
    with client(network, 1) as here:
        added = here.trust.add_key(old, signer)
        new = Publisher(old.did, signer, old.chain_id)
        first = here.trust.participant(old.did, at_least=added.height).value
        assert first is not None
        revoked = here.trust.revoke_key(new, first.keys[0].key)  # type: ignore[arg-type] # a key
        known = here.trust.participant(old.did, at_least=revoked.height).value
        assert known is not None
        assert [item.revoked for item in known.keys] == [True, False]
        with pytest.raises(Rejected) as caught:
            here.publish(old.sign("other.x", "t"), wait="final")
        assert caught.value.code is RejectCode.REVOKED_KEY
        assert here.publish(new.sign("other.x", "t"), wait="final").status == "final"


def test_the_command_line_says_all_of_it(
    network: RealNetwork, tmp_path: Path, concordat: Callable[..., Result]
) -> None:
    """Each command works on a member's home, for people and as JSON, and fails with a reason."""
    home, key = network.home(0), network.testnet.publisher_keys["other2"]
    options = ("--home", home)
    signed = (*options, "--key", key)

    def document(*arguments: object) -> dict[str, object]:
        found: dict[str, object] = json.loads(concordat(*arguments, *options, "--json").stdout)
        return found

    grant(network, "other2", "ledger.lists.timestamps")
    grant(network, "other2", "ledger.participants")
    body = tmp_path / "body.json"
    body.write_text('{"hash":"0x00"}')
    put = ("trust", "put", "timestamps", "t/1", "--kind", "timestamp", *signed)
    receipt = json.loads(
        concordat(*put, "--body-file", body, "--valid-to", "2099-01-01", "--json").stdout
    )
    assert receipt["status"] == "final"
    with client(network, 0) as here:
        here.trust.entry("timestamps", "t/1", at_least=receipt["height"])
    shown = document("trust", "show", "timestamps", "t/1")
    assert shown["verified"] is True
    assert shown["entry"]["body"] == {"hash": "0x00"}  # type: ignore[index] # an object
    text = concordat("trust", "show", "timestamps", "t/1", *options).stdout
    assert "until 2099-01-01" in text
    assert "proven: so after block" in text
    assert "t/1" in concordat("trust", "list", "timestamps", *options).stdout
    assert json.loads(concordat("trust", "list", "timestamps", *options, "--json").stdout)
    lists = json.loads(concordat("trust", "list", *options, "--json").stdout)
    assert {row["name"]: row["entries"] + row["children"] for row in lists}["timestamps"] == 1
    conflict = concordat(*put, "--expected-revision", 7, code=1)
    assert "conflict" in conflict.stderr
    absent = concordat("trust", "show", "timestamps", "nothing", *options, code=1)
    assert "holds no nothing" in absent.stderr
    assert "no_such_entry" in concordat("trust", "list", "nothing", *options, code=1).stderr
    assert document("governance", "show")["governors"]
    assert "2 of them decide" in concordat("governance", "show", *options).stdout
    assert "made a proposal" in concordat("governance", "show", "00" * 32, *options, code=1).stderr
    assert "not the id" in concordat("governance", "approve", "zz", *signed, code=2).stderr
    assert document("identity", "show")["did"] == "did:example:node0"
    entry = tmp_path / "new.json"
    new_key = tmp_path / "new.key.json"
    concordat("keys", "new", new_key, "--did", "did:example:new", "--unencrypted")
    public = ("keys", "export-public", new_key, "--name", "New", "--topic", "new.>")
    entry.write_text(concordat(*public).stdout)
    registered = json.loads(concordat("identity", "register", entry, *signed, "--json").stdout)
    assert registered["status"] == "final"
    wrong = concordat("identity", "add-key", new_key, *signed, code=2)
    assert "is a key of did:example:new" in wrong.stderr
    rights = ("governance", "propose-rights", "did:example:nobody", "--grant", "a.>")
    assert "is no participant" in concordat(*rights, *signed, code=1).stderr
    parameter = ("governance", "propose-parameter", "a", 1, "--from-height", 5)
    assert "topic_forbidden" in concordat(*parameter, *signed, code=1).stderr
    proposed = document("governance", "propose-participant", entry)
    assert proposed["status"] == "final"
