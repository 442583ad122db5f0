"""Formats at the bottom of the facade: any bytes give a value or a refusal, and known answers."""

from hashlib import sha256

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from adapters.ebsi.contracts import CONTRACTS, Contract
from adapters.ebsi.ethereum import address_of, checksum_address, error_data, keccak256, number_of
from adapters.ebsi.identifiers import (
    base58_decode,
    base58_encode,
    hex_bytes,
    is_did,
    multihash_id,
    read_hash,
    schema_id,
    timestamp_id,
    timestamp_id_digest,
)
from adapters.ebsi.log_index import Transaction, document_id, transaction_of, transaction_tags
from adapters.ebsi.refusals import RpcRefused
from adapters.ebsi.wire import Chain, read_signed
from tests.ledger.sample_network import event

CHAIN = Chain(1_234_567_890, bytes(20))
ROLL = CONTRACTS["did-registry/v5"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.binary(max_size=40))
def test_base58_goes_there_and_back(data: bytes) -> None:
    """What is encoded is decoded to the same bytes, leading zeros too."""
    assert base58_decode(base58_encode(data)) == data


@given(st.text(max_size=80))
def test_any_text_is_an_identifier_or_none(text: str) -> None:
    """No text in a path does anything but name something or nothing."""
    is_did(text)
    for read in (base58_decode, hex_bytes, read_hash, schema_id, timestamp_id_digest, number_of):
        read(text)
    digest = timestamp_id_digest(text)
    assert digest is None or multihash_id(digest) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("did:ebsi:z" + base58_encode(b"\1" + bytes(16)), True),
        ("did:ebsi:z" + base58_encode(b"\2" + bytes(16)), False),
        ("did:ebsi:z" + base58_encode(b"\1" + bytes(15)), False),
        ("did:ebsi:x" + base58_encode(b"\1" + bytes(16)), False),
        ("did:ebsi:", False),
        ("did:elsi:VATES-12345678", True),
        ("did:key:z6Mk", True),
        ("did:web:" + "a" * 249, False),
        ("DID:web:a", False),
    ],
)
def test_dids(text: str, expected: bool) -> None:
    """A did:ebsi is one of a legal entity; other methods are taken as they are."""
    assert is_did(text) is expected


def test_known_answers_of_ethereum() -> None:
    """Hash, address and checksum are those that the standards give."""
    assert keccak256(b"").hex().startswith("c5d2460186f7233c927e7db2dcc703c0")
    assert keccak256(b"transfer(address,uint256)")[:4].hex() == "a9059cbb"
    mixed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert checksum_address(bytes.fromhex(mixed[2:])) == mixed
    account = Account.from_key(bytes([7]) * 32)
    public = account._key_obj.public_key
    for key in (b"\4" + public.to_bytes(), public.to_compressed_bytes()):
        assert address_of(key) == bytes.fromhex(account.address[2:])
    assert address_of(b"\4" + bytes(64)) is None
    assert error_data("x").startswith("0x08c379a0")


def test_a_timestamp_is_named_as_ebsi_names_it() -> None:
    """The id is multibase of the multihash of the SHA-256 of the hash."""
    assert timestamp_id(b"").startswith("uEiDjsMRCmPwcFJr79MiZb7kkJ65B5GSbk0yklZ")


@pytest.mark.parametrize(
    ("contract", "name", "expected"),
    [
        (
            "trusted-issuers-registry/v5",
            "setAttributeMetadata",
            "setAttributeMetadata(string,bytes32,uint8,string,bytes32)",
        ),
        (
            "did-registry/v5",
            "rollVerificationMethod",
            "rollVerificationMethod((string,string,bytes,bool,uint256,uint256,string,uint256))",
        ),
        (
            "timestamp/v4",
            "timestampHashes",
            "timestampHashes(uint256[],bytes[],bytes[])",
        ),
        (
            "track-and-trace/v1",
            "writeEvent",
            "writeEvent((bytes32,string,bytes,string,string))",
        ),
    ],
)
def test_functions_have_the_signatures_of_ebsis_contracts(
    contract: str, name: str, expected: str
) -> None:
    """What is signed here calls the same function there."""
    assert CONTRACTS[contract].named(name)[0].signature == expected


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda item: item.name)
def test_functions_are_told_apart(contract: Contract) -> None:
    """No two functions of a contract begin their call data alike."""
    selectors = [function.selector for function in contract.functions]
    assert len(set(selectors)) == len(selectors)


def test_call_data_go_there_and_back() -> None:
    """A call is read from its data as it was read from JSON, tuples too."""
    parameters = {
        "from": "0x",
        "did": "did:web:a",
        "vMethodId": "k",
        "publicKey": "0x00ff",
        "isSecp256k1": True,
        "notBefore": "0x10",
        "notAfter": "17",
        "oldVMethodId": "o",
        "duration": 0,
    }
    call = ROLL.read_json("rollVerificationMethod", parameters)
    assert ROLL.read_data(call.data()) == call
    assert (call.number("notBefore"), call.number("notAfter")) == (16, 17)


@given(st.sampled_from(list(CONTRACTS.values())), st.data())
def test_any_call_data_are_a_call_or_refused(contract: Contract, data: st.DataObject) -> None:
    """Bytes behind a selector are exactly what a call encodes to, or refused."""
    selector = data.draw(st.sampled_from([item.selector for item in contract.functions]))
    body = selector + data.draw(st.binary(max_size=200))
    try:
        call = contract.read_data(body)
    except RpcRefused:
        return
    assert call.data() == body


@given(st.sampled_from(list(CONTRACTS.values())), st.data())
def test_any_json_is_a_call_or_refused(contract: Contract, data: st.DataObject) -> None:
    """Parameters of any kind are encoded or refused."""
    function = data.draw(st.sampled_from(contract.functions))
    given_ = {field.name: data.draw(JSON) for field in function.fields}
    parameters = {function.group: given_} if function.group else given_
    try:
        call = contract.read_json(function.name, parameters)
        again = contract.read_data(call.data())
    except RpcRefused:
        return
    assert again == call


@given(JSON, st.dictionaries(st.sampled_from("rsv"), st.text(max_size=8)))
def test_any_json_is_no_signed_transaction(value: object, parts: dict[str, str]) -> None:
    """What was not signed is refused, whatever it looks like."""
    stated = {
        **dict.fromkeys(("from", "to"), "0x" + "11" * 20),
        **dict.fromkeys(("value", "nonce", "chainId", "gasLimit", "gasPrice"), "0x1"),
        "data": "0x",
    }
    whole = {
        "protocol": "eth",
        "unsignedTransaction": stated,
        "signedRawTransaction": "0x",
        **dict.fromkeys("rsv", "0x1b"),
        **parts,
    }
    for parameters in (value, whole):
        with pytest.raises(RpcRefused):
            read_signed(CHAIN, parameters)


def test_a_transaction_is_named_by_its_events_tags() -> None:
    """Tags tell the transaction; other types or tags tell none."""
    transaction = Transaction("timestamp/v4", bytes(32), bytes(20), 7)
    tags = transaction_tags(transaction)
    type_ = "org.concordat.ebsi.transaction"
    assert transaction_of(event(type=type_, tags=tags)) == transaction
    assert transaction_of(event(tags=tags)) is None
    assert transaction_of(event(type=type_, tags=tags[:3])) is None
    assert transaction_of(event(type=type_, tags=("a", "x", "y", "z"))) is None


def test_documents_are_named_by_their_entities() -> None:
    """An id that EBSI gave stays; any other is hashed."""
    assert document_id("0x" + "ab" * 32) == bytes.fromhex("ab" * 32)
    assert document_id("0x" + "AB" * 32) != bytes.fromhex("ab" * 32)
    assert document_id("urn:x:1") == sha256(b"urn:x:1").digest()
