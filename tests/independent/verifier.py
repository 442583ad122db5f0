"""A second verifier of proof bundles and of complete topics, written from docs/proofs.md alone.

Owns nothing of the product and imports nothing of it: only a MessagePack, a BLAKE3 and an Ed25519
library of others. So a mistake in the product's verifier, codec or signature rule shows as two
verdicts that differ. ``RefusedError`` is its only verdict against a bundle, for any bytes.
"""

import json
from hashlib import sha256
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
from blake3 import blake3
from ed25519_zebra import ed_verify  # type: ignore[import-untyped]

INT_MAX = 2**63 - 1


class RefusedError(Exception):
    """The bytes prove nothing."""


class Shown(NamedTuple):
    """What a bundle shows."""

    event_id: bytes
    sequence: int
    topic: str


def verify(bundle: bytes, genesis_json: bytes) -> Shown:
    """Check a bundle with nothing but the genesis file."""
    genesis = canonical_genesis(json.loads(genesis_json))
    genesis_hash = digest("genesis", msgpack.packb(genesis))
    chain_id = f"{genesis[0]}-{genesis_hash[:8].hex()}"
    version, entry, sequence, path, root, header, certificate, epoch_ends = array(
        canonical(bundle), 8
    )
    require(integer(version) == 1, "another format")
    event_id, topic = check_entry(octets(entry), chain_id)
    height, log_size, log_root, state_root, set_hash = array(root, 5)
    for value in (log_root, state_root, set_hash):
        octets(value, 32)
    leads_to = climb(octets(entry), integer(sequence), integer(log_size), array(path))
    require(leads_to == log_root, "the path leads elsewhere")
    fields = array(header, 12)
    check_header(fields, integer(height), digest("ledger root", msgpack.packb(root)))
    keys = follow_epochs(array(epoch_ends), genesis_hash, genesis[2])
    check_certificate(certificate, fields, genesis_hash, keys, len(array(epoch_ends)))
    return Shown(event_id, integer(sequence), topic)


class ShownState(NamedTuple):
    """What a state bundle shows."""

    key: bytes
    value: bytes | None
    height: int


def verify_state(bundle: bytes, genesis_json: bytes) -> ShownState:
    """Check a state bundle with nothing but the genesis file."""
    genesis = canonical_genesis(json.loads(genesis_json))
    genesis_hash = digest("genesis", msgpack.packb(genesis))
    tag, version, key, value, proof, root, header, certificate, epoch_ends = array(
        canonical(bundle), 9
    )
    require(text(tag) == "state", "another kind of bundle")
    require(integer(version) == 1, "another format")
    require(len(octets(key)) <= 1_024, "the key is too long")
    require(value is None or len(octets(value)) <= 65_535, "the value is too long")
    height, log_size, log_root, state_root, set_hash = array(root, 5)
    for hash_ in (log_root, state_root, set_hash):
        octets(hash_, 32)
    integer(log_size)
    leads_to = descend(octets(key), None if value is None else octets(value), array(proof, 2))
    require(leads_to == state_root, "the path leads elsewhere")
    fields = array(header, 12)
    check_header(fields, integer(height), digest("ledger root", msgpack.packb(root)))
    keys = follow_epochs(array(epoch_ends), genesis_hash, genesis[2])
    check_certificate(certificate, fields, genesis_hash, keys, len(array(epoch_ends)))
    return ShownState(octets(key), None if value is None else octets(value), integer(height))


class ShownRows(NamedTuple):
    """What pages of rows show.

    Attributes:
        since: the topics are complete from this sequence on; end: up to the one before this.
        is_whole: the rows begin with the first one.
        rows: sequence, digest of the topic, leaf hash.
    """

    since: int
    end: int
    is_whole: bool
    rows: list[tuple[int, bytes, bytes]]


def verify_rows(pages: list[bytes], pattern: str, genesis_json: bytes) -> ShownRows:
    """Check all pages of rows of a complete pattern with nothing but the genesis file."""
    rows: list[tuple[int, bytes, bytes]] = []
    count, chain, is_whole, shown, log_size = 0, b"", False, None, 0
    for number, page in enumerate(pages):
        start, some, following, bundle = array(canonical(page), 4)
        if number == 0:
            parts = array(start, 2)
            count, chain = integer(parts[0]), octets(parts[1], 32)
            is_whole = count == 0
            require(not is_whole or chain == bytes(32), "a chain that begins elsewhere")
        require((following is None) == (number == len(pages) - 1), "a page too few or too many")
        for row in array(some):
            sequence, topic, hidden, leaf = array(row, 4)
            require((topic is None) != (hidden is None), "a topic named twice or not at all")
            named = octets(hidden, 32) if topic is None else digest("topic", text(topic).encode())
            rows.append((integer(sequence), named, octets(leaf, 32)))
        if following is None:
            encoded = msgpack.packb(bundle)
            shown, log_size = verify_state(encoded, genesis_json), integer(array(bundle)[5][1])  # type: ignore[index]
    require(shown is not None and shown.key == b"topic-rule/" + pattern.encode(), "another key")
    assert shown is not None
    for sequence, named, leaf in rows:
        chain = sha256(chain + sequence.to_bytes(8, "big") + named + leaf).digest()
    held, _ = array(canonical(shown.value or b""), 2)
    since, until, held_count, _, held_chain = array(held, 5)
    require(octets(held_chain, 32) == chain, "another chain")
    require(integer(held_count) == count + len(rows), "another number of events")
    end = log_size if until is None else integer(until)
    return ShownRows(integer(since), end, is_whole, rows)


def descend(key: bytes, value: bytes | None, proof: list[object]) -> bytes:
    """Give the root of the state in which this value, or none, stands where the key belongs."""
    siblings = [octets(item, 32) for item in array(proof[0])]
    key_hash = digest("state key", key)
    path = format(int.from_bytes(key_hash, "big"), "0256b")
    require(len(siblings) <= len(path), "the path is too long")
    if value is not None:
        require(proof[1] is None, "both a value and another leaf")
        total = digest("state leaf", key_hash + digest("state value", value))
    elif proof[1] is None:
        total = bytes(32)
    else:
        other_key, other_value = (octets(item, 32) for item in array(proof[1], 2))
        other_path = format(int.from_bytes(other_key, "big"), "0256b")
        require(other_key != key_hash, "the leaf is the key's own")
        require(other_path[: len(siblings)] == path[: len(siblings)], "another leaf's path")
        total = digest("state leaf", other_key + other_value)
    for turn, sibling in reversed(list(zip(path, siblings, strict=False))):
        total = digest("state inner", sibling + total if turn == "1" else total + sibling)
    return total


def canonical_genesis(document: dict[str, Any]) -> list[Any]:
    """Give the genesis file's array."""
    validators = [
        [v["name"], v["did"], bytes.fromhex(v["key"]), bytes.fromhex(v["peer_key"]), v["address"]]
        for v in document["validators"]
    ]
    participants = [
        [
            p["did"],
            p["name"],
            [[bytes.fromhex(k["key"]), k.get("revoked", False)] for k in p["keys"]],
            p["topics"],
        ]
        for p in document["participants"]
    ]
    governors = [document["governors"]["threshold"], document["governors"]["members"]]
    return [document["name"], document["time_ms"], validators, participants, governors]


def check_entry(entry: bytes, chain_id: str) -> tuple[bytes, str]:
    """Check an entry's form, network and signature; give its event id and topic."""
    event, signature = array(canonical(entry), 2)
    fields = array(event, 15)
    require(integer(fields[0]) == 1, "another format of event")
    require(text(fields[1]) == chain_id, "an event of another network")
    event_id = digest("event", entry[1:-66])
    message = b"concordat/v1/event\0" + event_id
    check_signature(octets(fields[4], 32), message, octets(signature, 64))
    return event_id, text(fields[2])


def climb(entry: bytes, index: int, size: int, path: list[object]) -> bytes:
    """Follow an inclusion path from the leaf to a root (RFC 9162, 2.1.3.2)."""
    require(index < size, "no such leaf")
    node, last = index, size - 1
    total = sha256(b"\0" + entry).digest()
    for item in path:
        sibling = octets(item, 32)
        require(last > 0, "the path is too long")
        if node % 2 == 1 or node == last:
            total = sha256(b"\1" + sibling + total).digest()
            while node % 2 == 0 and node != 0:
                node, last = node // 2, last // 2
        else:
            total = sha256(b"\1" + total + sibling).digest()
        node, last = node // 2, last // 2
    require(last == 0, "the path is too short")
    return total


def check_header(header: list[object], root_height: int, root_digest: bytes) -> None:
    """Check that the header carries this ledger root."""
    require(integer(header[4]) == root_height, "a root of another height")
    require(octets(header[5], 32) == root_digest, "another ledger root")


def follow_epochs(ends: list[object], genesis_hash: bytes, first: list[Any]) -> list[bytes]:
    """Follow the validator sets from genesis on; give the keys of the last one."""
    require(len(ends) <= 1_024, "too many epochs")
    keys = [row[2] for row in first]
    for epoch, end in enumerate(ends):
        certificate, members = array(end, 2)
        commit = check_signers(certificate, genesis_hash, keys, epoch)
        named = digest("validator set", msgpack.packb(members))
        require(commit[2] is not None and octets(commit[2], 32) == named, "another next set")
        rows = [array(member, 5) for member in array(members)]
        for name, did, key, peer_key, address in rows:
            texts = text(name) and text(did) and text(address)
            require(bool(texts), "an empty text")
            octets(key, 32), octets(peer_key, 32)
        keys = [octets(row[2], 32) for row in rows]
        every = [*keys, *(octets(row[3], 32) for row in rows)]
        require(0 < len(keys) <= 100 and len(set(every)) == len(every), "a set that is none")
    return keys


def check_certificate(
    certificate: object,
    header: list[object],
    genesis_hash: bytes,
    keys: list[bytes],
    epoch: int,
) -> None:
    """Check that a quorum of the epoch's validators made this header final."""
    block_id, height, next_set_hash = check_signers(certificate, genesis_hash, keys, epoch)
    require(octets(block_id, 32) == digest("block", msgpack.packb(header)), "another header")
    require(integer(height) == integer(header[2]), "another height")
    require(next_set_hash is None or len(octets(next_set_hash)) == 32, "no hash of a set")


def check_signers(
    certificate: object, genesis_hash: bytes, keys: list[bytes], epoch: int
) -> list[object]:
    """Check that a quorum signed; give what they made final."""
    its_epoch, round_, voted, commit, rows = array(certificate, 5)
    final = array(commit, 3)
    octets(final[0], 32), integer(final[1])
    require(integer(its_epoch) == epoch, "another epoch")
    statement = [genesis_hash, epoch, integer(round_), octets(voted, 32), commit]
    message = b"concordat/v1/vote\0" + digest("vote", msgpack.packb(statement))
    faulty_max = (len(keys) - 1) // 3
    require(2 * len(array(rows)) > len(keys) + faulty_max, "too few signers")
    last = -1
    for row in array(rows):
        signer, signature = array(row, 2)
        index = integer(signer)
        require(last < index < len(keys), "an unknown or repeated signer")
        last = index
        check_signature(keys[index], message, octets(signature, 64))
    return final


def canonical(data: bytes) -> object:
    """Decode MessagePack that has exactly one encoding."""
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False)
        encoded = msgpack.packb(value)
    except Exception as error:
        # The library raises several unrelated kinds; for us each says the same.
        raise RefusedError("not MessagePack") from error
    require(encoded == data, "not the canonical encoding")
    return value


def digest(kind: str, data: bytes) -> bytes:
    """Give the BLAKE3-256 digest of one kind of content."""
    return blake3(data, derive_key_context=f"concordat v1 {kind}").digest()


def check_signature(key: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature by the ZIP-215 rule."""
    try:
        valid = ed_verify(signature, message, key)
    except ValueError:
        valid = False
    require(valid, "a signature is wrong")


def array(value: object, length: int | None = None) -> list[object]:
    """Require an array, of this length if one is given."""
    if not isinstance(value, list) or length not in (None, len(value)):
        raise RefusedError("not such an array")
    return value


def octets(value: object, length: int | None = None) -> bytes:
    """Require a byte string, of this length if one is given."""
    if not isinstance(value, bytes) or length not in (None, len(value)):
        raise RefusedError("not such bytes")
    return value


def integer(value: object) -> int:
    """Require an integer from 0 to 2**63 - 1."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= INT_MAX:
        raise RefusedError("not such an integer")
    return value


def text(value: object) -> str:
    """Require a text."""
    if not isinstance(value, str):
        raise RefusedError("not a text")
    return value


def require(fact: bool, otherwise: str) -> None:
    """Refuse the bundle unless ``fact`` holds."""
    if not fact:
        raise RefusedError(otherwise)
