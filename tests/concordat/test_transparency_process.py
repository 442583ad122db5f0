"""A real network as a transparency log: a verifier of others follows it, as the commands do."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.concordat.conftest import Run
from tests.concordat.test_membership_process import (
    decide,
    new_member,
    publish,
    start,
    wait_for_epoch,
)
from tests.independent import tlog_verifier as independent
from tests.ledger.tlog.cosigned import leaf_of_extra
from tests.support.processes import Part, RealNetwork

pytestmark = pytest.mark.process

WAIT_S = 40  # never reached on a machine that is not starved


@pytest.fixture
def network(tmp_path: Path) -> Iterator[RealNetwork]:
    """Give a running network of four."""
    network = RealNetwork.create(tmp_path)
    with network.running():
        network.wait_ready()
        yield network


class Auditor:
    """A verifier of others that trusts a policy, and remembers the last checkpoint."""

    def __init__(self, policy: bytes) -> None:
        self.rules = independent.read_policy(policy)
        self.head: independent.Head | None = None

    def audit(self, url: str, size: int) -> list[bytes]:
        """Wait for a checkpoint of so many events, check everything below it; give the entries."""
        head = self._await_head(url, size)
        leaves = independent.read_leaves(lambda path: self._fetch(url, path), head)
        if self.head is not None:
            independent.check_consistent(self.head, head, leaves)
        self.head = head
        return independent.read_entries(lambda path: self._fetch(url, path), leaves)

    def check_proofs(self, url: str, ids: list[bytes]) -> None:
        """Check the proof of each event."""
        for id_ in ids:
            data = httpx.get(f"{url}/v1/events/{id_.hex()}/tlog-proof").raise_for_status().content
            independent.check_proof(data, self.rules, leaf_of_extra)

    def _await_head(self, url: str, size: int) -> independent.Head:
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = httpx.get(f"{url}/log/checkpoint")
            if answer.status_code == 200:
                head = independent.check_checkpoint(answer.content, self.rules)
                if head.size >= size:
                    return head
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.02)

    @staticmethod
    def _fetch(url: str, path: str) -> bytes:
        return httpx.get(f"{url}/log{path}").raise_for_status().content


def test_others_follow_the_log(network: RealNetwork, concordat: Run, tmp_path: Path) -> None:
    """Checkpoint, tiles, entries and proofs hold; the log extends itself over a restart."""
    home = network.home(0)
    policy = tmp_path / "policy"
    concordat("log", "policy", "--home", home, "--output", policy)
    assert httpx.get(f"{network.url(1)}/log/policy").content.endswith(
        policy.read_bytes().partition(b"\nlog ")[2]
    )
    auditor = Auditor(policy.read_bytes())
    ids = publish(network, 0, 300)
    for member in range(4):
        assert len(auditor.audit(network.url(member), 300)) == 300
    auditor.check_proofs(network.url(2), ids[::7])
    note, proof = tmp_path / "note", tmp_path / "event.tlog-proof"
    concordat("log", "checkpoint", "--home", home, "--output", note)
    concordat("log", "proof", ids[3].hex(), "--home", home, "--output", proof)

    network.stop_all()
    for member in range(4):
        for part in Part:
            network.start(member, part)
    network.wait_ready()
    later = publish(network, 1, 20)
    entries = auditor.audit(network.url(3), 320)
    assert len(entries) == 320
    auditor.check_proofs(network.url(0), [*ids[:3], *later])
    found = json.loads(concordat("log", "verify", "--since", note, "--home", home, "--json").stdout)
    assert (found["extends"], found["size"] >= 320, found["epoch"]) == (300, True, 0)
    for trusted in (("--genesis", home / "genesis.json"), ("--policy", policy)):
        shown = json.loads(concordat("verify", proof, *trusted, "--json").stdout)
        assert shown["id"] == ids[3].hex()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(proof.read_bytes().replace(b"index 3", b"index 4"))
    concordat("verify", damaged, "--policy", policy, code=1)


def test_others_follow_the_log_into_another_epoch(
    network: RealNetwork, concordat: Run, tmp_path: Path
) -> None:
    """The next validators' checkpoints extend those of before; the policy follows from genesis."""
    home = network.home(0)
    first = Auditor(httpx.get(f"{network.url(0)}/log/policy").content)
    ids = publish(network, 1, 20)
    first.audit(network.url(0), 20)
    late, late_home = new_member(concordat, network, tmp_path / "net" / "late")
    start(network, late)
    decide(concordat, network, 0, "--add", late_home / "member.json")
    wait_for_epoch(network, late, 1)
    ids += publish(network, late, 20)
    policy = tmp_path / "policy"
    concordat("log", "policy", "--home", home, "--output", policy)
    text = policy.read_text()
    assert "epoch 1" in text
    assert "/late+" in text
    second = Auditor(policy.read_bytes())
    second.head = first.head
    second.audit(network.url(late), 43)
    second.check_proofs(network.url(late), ids)
    proof = tmp_path / "event.tlog-proof"
    concordat("log", "proof", ids[0].hex(), "--home", home, "--output", proof)
    concordat("verify", proof, "--genesis", home / "genesis.json")
    concordat("verify", proof, "--policy", policy)
    found = json.loads(concordat("log", "verify", "--home", late_home, "--json").stdout)
    assert found["epoch"] == 1
