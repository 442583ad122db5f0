"""Commands about lists and governance without a network: files, proofs, words, a network's plan."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from concordat import verify_state
from concordat.cli.trust_output import key_in_words, value_document
from concordat.home import load_genesis
from ledger.core.codec import encode
from ledger.core.errors import DecodeError, ProofError
from ledger.core.ids import Height
from ledger.core.state import GOVERNORS_KEY, participant_key
from ledger.core.state_proof import (
    VerifiedState,
    build_state_bundle,
    encode_state_bundle,
    state_bundle_json,
)
from ledger.core.trust.governance import Proposal, proposal_key
from ledger.core.trust.lists import EntryStatus, ListEntry, entry_key, revision_key
from ledger.core.trust.operations import SetParameter
from tests.support.memory_chain import MemoryChain, make_genesis

Run = Callable[..., Result]
ENTRY = ListEntry(
    2, EntryStatus.ACTIVE, "issuer", b"", bytes(32), 0, 0, 5, "did:web:w.example", bytes(32)
)
GENESIS = make_genesis(4)


@pytest.fixture(scope="module")
def chain() -> MemoryChain:
    """Give a chain whose state holds one entry."""
    chain = MemoryChain()
    chain.grow(changes={entry_key("issuers", "did:web:a"): encode(ENTRY)})
    for _ in range(3):
        chain.grow()
    return chain


def bundle_of(chain: MemoryChain, id_: str) -> tuple[bytes, bytes]:
    """Give a state bundle in both forms."""
    bundle = build_state_bundle(chain, entry_key("issuers", id_), Height(1))
    assert bundle is not None
    return encode_state_bundle(bundle), state_bundle_json(bundle)


@pytest.mark.parametrize("form", [0, 1])
def test_verify_recognises_a_state_proof(
    concordat: Run, chain: MemoryChain, tmp_path: Path, form: int
) -> None:
    """Both forms are verified; an absence is told as one; damage and other networks are not."""
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(chain.genesis.to_json())
    options = ("--genesis", genesis)
    proof, absence = bundle_of(chain, "did:web:a")[form], bundle_of(chain, "did:web:b")[form]
    shown = json.loads(concordat("verify", "-", *options, "--json", stdin=proof).stdout)
    assert (shown["about"], shown["present"]) == ("issuers / did:web:a", True)
    assert shown["value"]["revision"] == 2
    text = concordat("verify", "-", *options, stdin=proof).stdout
    assert "agreed on this state of issuers / did:web:a" in text
    assert "NOTHING" in concordat("verify", "-", *options, stdin=absence).stdout
    other = tmp_path / "other.json"
    other.write_bytes(make_genesis(4, "other").to_json())
    result = concordat("verify", "-", "--genesis", other, code=1, stdin=proof)
    assert "DOES NOT HOLD" in result.stderr
    cut = proof[:-1] if form == 0 else proof.replace(b'"bundle": "m', b'"bundle": "n')
    assert "no proof" in concordat("verify", "-", *options, code=1, stdin=cut).stderr


def test_verify_state_takes_genesis_in_both_forms(chain: MemoryChain) -> None:
    """The public call checks a bundle against a genesis or its file."""
    data, genesis = bundle_of(chain, "did:web:a")[0], chain.genesis
    assert verify_state(data, genesis) == verify_state(data, genesis.to_json())
    with pytest.raises(ProofError):
        verify_state(data, make_genesis(4, "other"))
    with pytest.raises(DecodeError):
        verify_state(data[:-1], genesis)


@pytest.mark.parametrize(
    ("key", "value", "words", "member"),
    [
        (entry_key("issuers", "a/b"), ENTRY, "issuers / a/b", "body_hash"),
        (revision_key("issuers", "a", 258), ENTRY, "issuers / a, revision 258", "writer"),
        (
            participant_key("did:web:a"),
            GENESIS.participants[0],
            "participant did:web:a",
            "topics",
        ),
        (GOVERNORS_KEY, GENESIS.governors, "governors", "threshold"),
        (
            proposal_key(bytes(32)),
            Proposal(SetParameter("a", 1, 1), "did:web:a", 9, ("did:web:a",), 0),
            f"proposal {'00' * 32}",
            "approvals",
        ),
    ],
)
def test_keys_and_values_are_shown_by_name(
    key: bytes, value: object, words: str, member: str
) -> None:
    """What the state holds is named for people; what is not known stays hexadecimal."""
    assert key_in_words(key) == words
    assert hasattr(value_document(VerifiedState(key, encode(value), Height(1), 5)), member)
    assert value_document(VerifiedState(key, b"\xc1", Height(1), 5)) == "c1"
    assert value_document(VerifiedState(key, None, Height(1), 5)) is None
    assert value_document(VerifiedState(b"\xff", b"\1", Height(1), 5)) == "01"
    assert key_in_words(b"\xff") == "\\xff"


def test_a_testnet_has_the_rights_and_governors_that_are_named(
    concordat: Run, tmp_path: Path
) -> None:
    """Rights are added to a participant's own topics; governors are who is named."""
    concordat(
        *("testnet", tmp_path / "net", "--validators", 1, "--publishers", 2),
        *("--right", "publisher1=ledger.lists.issuers", "--right", "publisher1=a.*"),
        *("--governor", "publisher0", "--governor", "node0", "--threshold", 1),
    )
    genesis = load_genesis(tmp_path / "net" / "genesis.json")
    topics = {item.did: item.topics for item in genesis.participants}
    assert topics["did:example:publisher1"] == ("publisher1.>", "ledger.lists.issuers", "a.*")
    assert topics["did:example:publisher0"] == ("publisher0.>",)
    assert genesis.governors.threshold == 1
    assert set(genesis.governors.members) == {"did:example:publisher0", "did:example:node0"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--right", "nobody=a.>"), "no participant named nobody"),
        (("--governor", "nobody"), "no participant named nobody"),
        (("--right", "node0"), "NAME=TOPIC"),
        (("--right", "node0="), "NAME=TOPIC"),
        (("--right", "node0=a..b"), "make no network"),
        (("--threshold", "2"), "threshold exceeds"),
    ],
)
def test_a_testnet_that_could_not_be_governed_is_not_made(
    concordat: Run, tmp_path: Path, options: tuple[str, str], reason: str
) -> None:
    """A plan that makes no sense is refused with the reason, before anything is written."""
    result = concordat("testnet", tmp_path / "net", "--validators", 1, *options, code=2)
    assert reason in result.stderr
    assert not (tmp_path / "net" / "genesis.json").exists()


def test_governors_of_a_new_network_are_participants(concordat: Run, tmp_path: Path) -> None:
    """`init genesis` takes governors by DID, and none that could sign nothing."""
    home = tmp_path / "alpha"
    member = ("--name", "alpha", "--did", "did:example:alpha", "--address", "a.example:1")
    concordat("init", "member", home, *member, "--unencrypted")
    make = ("init", "genesis", home, "--network", "dome")
    result = concordat(*make, "--governor", "did:example:nobody", code=2)
    assert "is no participant" in result.stderr
    made = concordat(*make, "--governor", "did:example:alpha", "--threshold", 1, "--json")
    assert json.loads(made.stdout)["governors"] == ["did:example:alpha"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"did":"did:web:a","name":"A","keys":[{"key":"zz"}],"topics":[]}',
        '{"did":"a","name":"A","keys":[],"topics":[]}',
        '{"did":"did:web:a","name":"A","keys":[],"topics":[],"more":1}',
    ],
)
def test_files_that_are_no_participant_are_refused(
    concordat: Run, tmp_path: Path, content: str
) -> None:
    """A file is read strictly, before any key is opened."""
    entry = tmp_path / "entry.json"
    entry.write_text(content)
    for command in (("identity", "register"), ("governance", "propose-participant")):
        result = concordat(*command, entry, "--home", tmp_path, code=2)
        assert "is no participant entry" in result.stderr


def test_the_body_of_an_entry_is_given_once(concordat: Run, tmp_path: Path) -> None:
    """A body is a text or a file, not both."""
    put = ("trust", "put", "issuers", "a", "--kind", "issuer", "--home", tmp_path)
    result = concordat(*put, "--body", "a", "--body-file", "-", code=2, stdin="b")
    assert "not both" in result.stderr
