"""Genesis: the file people read, the form that counts, and networks that could not run."""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.codec import encode
from ledger.core.errors import DecodeError
from ledger.core.genesis import Genesis, Governors, Participant, ParticipantKey, read_genesis
from ledger.core.limits import (
    GENESIS_BYTES_MAX,
    PARTICIPANT_KEYS_COUNT_MAX,
    PARTICIPANT_TOPICS_COUNT_MAX,
    VALIDATORS_COUNT_MAX,
)
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator, ValidatorSet
from tests.ledger.sample_network import ALICE, ALICE_DID, GENESIS, VALIDATORS, network

Json = dict[str, object]


def document() -> Json:
    """Give the sample genesis as a JSON document."""
    decoded = json.loads(GENESIS.to_json())
    assert isinstance(decoded, dict)
    return decoded


def changed(path: str, value: object) -> bytes:
    """Give the file with one value replaced; ``path`` is keys and indexes joined by dots."""
    root = document()
    *steps, last = path.split(".")
    place: object = root
    for step in steps:
        place = place[int(step)] if isinstance(place, list) else place[step]  # type: ignore[index] # JSON
    place[int(last) if isinstance(place, list) else last] = value  # type: ignore[index] # JSON
    return json.dumps(root).encode()


def key_of(number: int) -> bytes:
    """Give an acceptable key."""
    return SeedSigner(number.to_bytes(32, "big")).public_key


def member(number: int) -> Validator:
    """Give a validator."""
    return Validator(
        f"n{number}", f"did:web:n{number}", key_of(number), key_of(1_000 + number), "h:1"
    )


def participant(
    name: str = "X", keys: tuple[bytes, ...] = (), topics: tuple[str, ...] = ()
) -> Participant:
    """Give a participant."""
    rows = tuple(ParticipantKey(key, revoked=False) for key in keys)
    return Participant("did:web:x", name, rows, topics)


def test_file_round_trip() -> None:
    """Reading the file that was written gives the same genesis."""
    again = read_genesis(GENESIS.to_json())
    assert again == GENESIS
    assert again.hash == GENESIS.hash
    assert read_genesis(json.dumps(document()).encode()).hash == GENESIS.hash


def test_file_is_for_people() -> None:
    """The file is indented JSON with keys in hexadecimal."""
    text = GENESIS.to_json().decode()
    assert text.startswith('{\n  "name": "test",\n')
    assert text.endswith("}\n")
    assert VALIDATORS[0].public_key.hex() in text
    assert ALICE.public_key.hex() in text


def test_revoked_may_be_left_out() -> None:
    """A key is not revoked unless the file says so."""
    root = changed("participants.0.keys.0", {"key": ALICE.public_key.hex()})
    assert read_genesis(root) == GENESIS


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"time_ms": 1},
        {"validators": GENESIS.validators[:3]},
        {"validators": GENESIS.validators[::-1]},
        {"participants": ()},
        {"participants": GENESIS.participants[::-1]},
        {"governors": Governors(1, (ALICE_DID, "did:web:x"))},
    ],
)
def test_hash_covers_everything(change: dict[str, object]) -> None:
    """A change of any part is another network: hash, chain id and first block differ."""
    other = msgspec.structs.replace(GENESIS, **change)
    assert other.hash != GENESIS.hash
    assert other.chain_id != GENESIS.chain_id
    assert other.block_id != GENESIS.block_id


def test_chain_id_names_network_and_hash() -> None:
    """The chain id is the name and the first 8 bytes of the hash."""
    assert GENESIS.chain_id == f"test-{GENESIS.hash.hex()[:16]}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", ""),
        ("name", "Test"),
        ("name", "-test"),
        ("name", "te st"),
        ("name", "test\n"),
        ("name", "t" * 49),
        ("name", 7),
        ("name", None),
        ("time_ms", -1),
        ("time_ms", 2**63),
        ("time_ms", 1.5),
        ("time_ms", "1"),
        ("validators", []),
        ("validators", {}),
        ("validators.0.name", "node-1"),
        ("validators.0.name", "Node"),
        ("validators.0.name", ""),
        ("validators.0.did", "node"),
        ("validators.0.key", ""),
        ("validators.0.key", "zz" * 32),
        ("validators.0.key", "00" * 31),
        ("validators.0.key", "00" * 33),
        ("validators.0.key", "00" * 32),
        ("validators.0.key", "01" + "00" * 31),
        ("validators.0.key", VALIDATORS[1].public_key.hex()),
        ("validators.0.peer_key", VALIDATORS[0].public_key.hex()),
        ("validators.0.peer_key", VALIDATORS[2].public_key.hex()),
        ("validators.0.address", "host"),
        ("validators.0.address", "host:"),
        ("validators.0.address", "host:123456"),
        ("validators.0.address", "ho st:1"),
        ("validators.0.address", "h" * 260 + ":1"),
        ("validators.0.extra", 1),
        ("participants.0.did", ALICE_DID + " "),
        ("participants.1.did", ALICE_DID),
        ("participants.0.name", ""),
        ("participants.0.topics.0", "a..b"),
        ("participants.0.topics.0", ">.a"),
        ("participants.0.keys.0.key", "00" * 32),
        ("participants.0.keys.0.revoked", "no"),
        ("governors.threshold", 0),
        ("governors.threshold", 2),
        ("governors.members", []),
        ("governors.members", ["alice"]),
        ("extra", 1),
    ],
)
def test_network_that_could_not_run_is_refused(path: str, value: object) -> None:
    """A file with a value that makes no sense is refused, and says so."""
    with pytest.raises(DecodeError, match="not a genesis file"):
        read_genesis(changed(path, value))


@pytest.mark.parametrize("name", ["name", "time_ms", "validators", "participants", "governors"])
def test_missing_part_is_refused(name: str) -> None:
    """Every part must be there."""
    root = document()
    del root[name]
    with pytest.raises(DecodeError):
        read_genesis(json.dumps(root).encode())


def test_threshold_counts_different_governors() -> None:
    """A governor who is listed twice counts once."""
    with pytest.raises(DecodeError, match="threshold"):
        read_genesis(changed("governors", {"threshold": 2, "members": [ALICE_DID, ALICE_DID]}))


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_file_size(extra: int) -> None:
    """A file is read up to its limit of bytes and refused one beyond."""
    data = GENESIS.to_json().ljust(GENESIS_BYTES_MAX + extra)
    if extra > 0:
        with pytest.raises(DecodeError, match="too large"):
            read_genesis(data)
    else:
        assert read_genesis(data) == GENESIS


@pytest.mark.parametrize("count", [0, 1, VALIDATORS_COUNT_MAX - 1, VALIDATORS_COUNT_MAX])
def test_number_of_validators(count: int) -> None:
    """A set has 1 to VALIDATORS_COUNT_MAX members, and knows each by index and key."""
    if count == 0:
        with pytest.raises(ValueError, match="1 to 100 members"):
            ValidatorSet(())
        return
    members = tuple(member(number) for number in range(count))
    validators = ValidatorSet(members)
    assert len(validators) == count
    for index in (0, count - 1):
        key = validators.key(index)  # type: ignore[arg-type] # a plain number
        assert key == members[index].key
        assert validators.index_of(key) == index
    assert validators.key(count) is None  # type: ignore[arg-type] # a plain number
    assert validators.key(-1) is None  # type: ignore[arg-type] # a plain number
    assert validators.index_of(ALICE.public_key) is None


def test_too_many_validators() -> None:
    """One validator more than the limit is refused."""
    with pytest.raises(ValueError, match="not 101"):
        ValidatorSet(tuple(member(number) for number in range(VALIDATORS_COUNT_MAX + 1)))


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize(
    ("limit", "make"),
    [
        (
            PARTICIPANT_KEYS_COUNT_MAX,
            lambda n: Participant(
                "did:web:x",
                "X",
                tuple(ParticipantKey(key_of(i), revoked=False) for i in range(n)),
                (),
            ),
        ),
        (
            PARTICIPANT_TOPICS_COUNT_MAX,
            lambda n: participant(topics=("a",) * n),
        ),
        (256, lambda n: participant(name="X" * n)),
    ],
)
def test_participant_limits(limit: int, make: Callable[[int], Participant], extra: int) -> None:
    """A participant has keys, topics and a name up to their limits."""
    genesis = msgspec.structs.replace(network(), participants=(make(limit + extra),))
    if extra > 0:
        with pytest.raises(DecodeError):
            read_genesis(genesis.to_json())
    else:
        assert read_genesis(genesis.to_json()) == genesis


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes raise anything but DecodeError."""
    with pytest.raises(DecodeError):
        read_genesis(data)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"name":' * 50_000, b"\xff", b"null", b"{}", b"NaN", b'"\\ud800"']
)
def test_hostile_files_are_refused(data: bytes) -> None:
    """Deep nesting and broken text are refused like anything else."""
    with pytest.raises(DecodeError):
        read_genesis(data)


def test_version_1_is_pinned() -> None:
    """A known genesis has the hash and the first block that version 1 fixed."""
    assert type(GENESIS) is Genesis
    assert len(encode(GENESIS)) == 710
    assert GENESIS.chain_id == "test-bf902bf45f47aea6"
    assert [GENESIS.hash.hex(), GENESIS.block_id.hex(), GENESIS.validator_set().hash.hex()] == [
        "bf902bf45f47aea60e592839a9a342a585003633712115e61c522eca07df00ab",
        "a6e7ed45a0215ebe405a1f9e80d302a81566c208a4e1630a4a856e864958905c",
        "8f69acb63b3f2e02308a50a8a8fa9c08ddf4eca30956b5e09ca55c276355e588",
    ]
