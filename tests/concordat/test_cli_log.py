"""``concordat verify`` of proofs of the transparency log, offline, and what it refuses."""

import json
from pathlib import Path

import pytest

from ledger.core.ids import Sequence
from ledger.core.proof import build_bundle, encode_bundle
from ledger.core.tlog.policy import policy_of, write_policy
from ledger.core.tlog.proof import build_tlog_proof, write_tlog_proof
from tests.concordat.conftest import Run
from tests.ledger.tlog.cosigned import TIME_S, stored
from tests.support.memory_chain import PUBLISHER_DID, MemoryChain, make_entry


class Files:
    """A proof and what to trust, as files."""

    def __init__(self, directory: Path) -> None:
        chain = MemoryChain(4)
        self.opened = make_entry(chain.genesis.chain_id, 1)
        chain.grow([self.opened])
        for _ in range(3):
            chain.grow()
        proof = build_tlog_proof(chain, Sequence(0), stored(chain, 1))
        bundle = build_bundle(chain, Sequence(0))
        assert proof is not None
        assert bundle is not None
        self.chain_id = chain.genesis.chain_id
        self.proof = directory / "event.tlog-proof"
        self.bundle = directory / "bundle"
        self.genesis = directory / "genesis.json"
        self.policy = directory / "policy"
        self.proof.write_bytes(write_tlog_proof(proof))
        self.bundle.write_bytes(encode_bundle(bundle))
        self.genesis.write_bytes(chain.genesis.to_json())
        self.policy.write_bytes(
            write_policy(policy_of(self.chain_id, chain.genesis.validator_set()))
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Give the files."""
    return Files(tmp_path)


@pytest.mark.parametrize("option", ["genesis", "policy"])
def test_a_proof_holds(files: Files, concordat: Run, option: str) -> None:
    """With the genesis file or with a policy the event is shown, and as of when."""
    trusted = (f"--{option}", getattr(files, option))
    shown = json.loads(concordat("verify", files.proof, *trusted, "--json").stdout)
    assert shown == {
        "verified": True,
        "chain_id": files.chain_id,
        "id": files.opened.id.hex(),
        "sequence": 0,
        "log_size": 1,
        "time_ms": TIME_S * 1_000,
        "publisher": PUBLISHER_DID,
        "topic": files.opened.event.topic,
        "type": files.opened.event.type,
        "subject": files.opened.event.subject,
    }
    words = concordat("verify", files.proof, *trusted).stdout
    assert f"the network {files.chain_id} agreed on this event" in words
    assert "0, in the log of 1 events cosigned as of 2027-" in words


def test_a_proof_that_does_not_hold(files: Files, concordat: Run, tmp_path: Path) -> None:
    """A quorum of another network, or a proof that was changed, ends with code 1."""
    other = tmp_path / "other.json"
    other.write_text(files.genesis.read_text().replace('"test"', '"toast"'))
    assert "DOES NOT HOLD" in concordat("verify", files.proof, "--genesis", other, code=1).stderr
    content = files.proof.read_bytes().replace(b"index 0", b"index 00")
    refused = concordat("verify", "-", "--policy", files.policy, code=1, stdin=content)
    assert "this is no proof" in refused.stderr


def test_what_is_trusted_is_said_once(files: Files, concordat: Run) -> None:
    """Genesis or a policy, one of them; a policy says nothing of other proofs."""
    both = ("--genesis", files.genesis, "--policy", files.policy)
    assert "either" in concordat("verify", files.proof, code=2).stderr
    assert "either" in concordat("verify", files.proof, *both, code=2).stderr
    refused = concordat("verify", files.bundle, "--policy", files.policy, code=2)
    assert "needs --genesis" in refused.stderr
    concordat("verify", files.bundle, "--genesis", files.genesis)
    refused = concordat("verify", files.proof, "--policy", files.genesis, code=2)
    assert "this is no policy" in refused.stderr


def test_log_commands_refuse_what_they_cannot_read(
    files: Files, concordat: Run, tmp_path: Path
) -> None:
    """An event id that is none, and a kept checkpoint that is none, are usage errors."""
    options = ("--url", "http://127.0.0.1:9", "--genesis", files.genesis, "--home", tmp_path)
    assert "64 hexadecimal" in concordat("log", "proof", "ab", *options, code=2).stderr
    refused = concordat("log", "verify", "--since", files.policy, *options, code=2)
    assert "no checkpoint" in refused.stderr
