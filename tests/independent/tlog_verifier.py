"""A verifier of transparency logs, written from the C2SP specifications alone.

Owns nothing of the product and imports nothing of it: signed-note, tlog-checkpoint,
tlog-cosignature, tlog-policy, tlog-tiles and tlog-proof as their texts have them, over the standard
library and OpenSSL's Ed25519. ``RefusedError`` is its only verdict against anything.
"""

import base64
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Fetch = Callable[[str], bytes]
"""Gives the resource below the log's URL prefix, such as ``/checkpoint``."""


class RefusedError(Exception):
    """What was shown proves nothing."""


class Line(NamedTuple):
    """A signature line."""

    name: str
    key_id: bytes
    signature: bytes


class Key(NamedTuple):
    """A verifier key."""

    name: str
    key_id: bytes
    kind: int
    public: bytes


class Head(NamedTuple):
    """What a checkpoint says, and the times at which its witnesses signed."""

    origin: str
    size: int
    root: bytes
    times: dict[str, int]


class Rules(NamedTuple):
    """A policy."""

    logs: list[Key]
    witnesses: dict[str, Key]
    groups: dict[str, tuple[int, list[str]]]
    quorum: str


# --- notes ----------------------------------------------------------------------------------


def open_note(data: bytes) -> tuple[str, list[Line]]:
    """Split a signed note into its text and its signature lines."""
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("a note is UTF-8") from None
    require(not any(ord(c) < 0x20 and c != "\n" for c in whole), "a control character")
    cut = whole.rfind("\n\n")
    require(cut >= 0 and whole.endswith("\n"), "no signatures")
    lines = []
    for row in whole[cut + 2 :].splitlines(keepends=True):
        match = re.fullmatch(r"\u2014 (\S+) ([A-Za-z0-9+/]+=*)\n", row)
        require(match is not None and "+" not in match[1], "not a signature line")
        assert match is not None
        content = plain_base64(match[2])
        require(len(content) > 4, "an empty signature")
        lines.append(Line(match[1], content[:4], content[4:]))
    require(bool(lines), "no signatures")
    return whole[: cut + 1], lines


def read_vkey(text: str) -> Key:
    """Read a verifier key and check the id in it."""
    parts = text.split("+", 2)
    require(len(parts) == 3, "not a verifier key")
    name, id_, encoded = parts
    content = plain_base64(encoded)
    require(re.fullmatch(r"[0-9a-f]{8}", id_) is not None, "not a key id")
    require(sha256(name.encode() + b"\n" + content).hexdigest()[:8] == id_, "another key's id")
    require(len(content) == 33 and content[0] in (1, 4), "not an Ed25519 key")
    return Key(name, bytes.fromhex(id_), content[0], content[1:])


def check_line(key: Key, text: str, signature: bytes) -> int:
    """Check a signature over a note's text; give its time, 0 when it has none."""
    message, moment = text.encode(), 0
    if key.kind == 4:
        require(len(signature) == 72, "not a timestamped signature")
        moment = int.from_bytes(signature[:8], "big")
        require(moment < 2**63, "a time beyond all times")
        message = f"cosignature/v1\ntime {moment}\n".encode() + message
        signature = signature[8:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise RefusedError(f"the signature of {key.name} is wrong") from None
    return moment


# --- policies and checkpoints ---------------------------------------------------------------


def read_policy(data: bytes) -> Rules:
    """Read a policy."""
    rules = Rules([], {}, {}, "")
    for row in data.decode().split("\n"):
        words = row.split()
        if not words or words[0].startswith("#"):
            continue
        require(not rules.quorum or words[0] != "quorum", "two quorums")
        if words[0] == "log":
            rules.logs.append(read_vkey(words[1]))
        elif words[0] == "witness":
            rules.witnesses[words[1]] = read_vkey(words[2])
        elif words[0] == "group":
            members = words[3:]
            need = {"all": len(members), "any": 1}.get(words[2]) or int(words[2])
            require(1 <= need <= len(members) == len(set(members)), "no such group")
            require(all(m in rules.witnesses or m in rules.groups for m in members), "unknown")
            rules.groups[words[1]] = (need, members)
        else:
            require(words[0] == "quorum", "an unknown line")
            known = words[1] in rules.witnesses or words[1] in rules.groups
            require(known or words[1] == "none", "unknown")
            rules = rules._replace(quorum=words[1])
    require(bool(rules.quorum), "no quorum")
    return rules


def check_checkpoint(note: bytes, rules: Rules) -> Head:
    """Check that the log and a quorum of witnesses signed a checkpoint."""
    text, lines = open_note(note)
    rows = text.split("\n")
    require(len(rows) >= 4 and all(rows[:-1]) and not rows[-1], "not a checkpoint")
    origin, size, root = rows[0], rows[1], plain_base64(rows[2])
    require(re.fullmatch(r"0|[1-9][0-9]*", size) is not None and len(root) == 32, "no tree")
    is_logged = False
    times: dict[str, int] = {}
    for line in lines:
        for key in rules.logs:
            if key.name == origin and (key.name, key.key_id) == (line.name, line.key_id):
                check_line(key, text, line.signature)
                is_logged = True
        for name, key in rules.witnesses.items():
            if (key.name, key.key_id) == (line.name, line.key_id):
                require(key.kind == 4, "a witness cosigns")
                times[name] = check_line(key, text, line.signature)
    require(is_logged or not rules.logs, "the log did not sign")
    require(_is_met(rules, rules.quorum, times), "no quorum")
    return Head(origin, int(size), root, times)


def _is_met(rules: Rules, name: str, times: dict[str, int]) -> bool:
    if name == "none" or name in times:
        return True
    need, members = rules.groups.get(name, (1, []))
    return sum(_is_met(rules, member, times) for member in members) >= need


# --- tiles ----------------------------------------------------------------------------------


def tile_path(number: int, width: int) -> str:
    """Write the last part of a tile's path."""
    digits = str(number)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
    partial = "" if width == 256 else f".p/{width}"
    return "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:]) + partial


def tiles_of(count: int) -> Iterator[tuple[int, int]]:
    """Give number and width of each tile of a level that has ``count`` hashes."""
    for number in range(-(-count // 256)):
        yield number, min(256, count - 256 * number)


def read_leaves(fetch: Fetch, head: Head) -> list[bytes]:
    """Fetch every tile of a log; give its leaf hashes, which make its root and all tiles."""
    level, count = 0, head.size
    leaves: list[bytes] = []
    below: list[bytes] = []
    while count:
        hashes: list[bytes] = []
        for number, width in tiles_of(count):
            tile = fetch(f"/tile/{level}/{tile_path(number, width)}")
            require(len(tile) == 32 * width, "a tile of another size")
            hashes += [tile[place : place + 32] for place in range(0, len(tile), 32)]
        if level == 0:
            leaves = hashes
        else:
            whole = [below[place : place + 256] for place in range(0, 256 * count, 256)]
            require([tree_root(part) for part in whole] == hashes, "levels that disagree")
        below, level, count = hashes, level + 1, count // 256
    require(tree_root(leaves) == head.root, "another root")
    return leaves


def read_entries(fetch: Fetch, leaves: list[bytes]) -> list[bytes]:
    """Fetch every bundle of entries, each of which must be its leaf."""
    entries: list[bytes] = []
    for number, width in tiles_of(len(leaves)):
        bundle = fetch(f"/tile/entries/{tile_path(number, width)}")
        count = len(entries)
        while bundle:
            size = int.from_bytes(bundle[:2], "big")
            require(len(bundle) >= 2 + size, "a bundle that is cut")
            entries.append(bundle[2 : 2 + size])
            bundle = bundle[2 + size :]
        require(len(entries) == count + width, "a bundle of another width")
    require([leaf(entry) for entry in entries] == leaves, "entries that are not the leaves")
    return entries


def tree_root(hashes: list[bytes]) -> bytes:
    """Give the root over leaf hashes (RFC 6962, 2.1)."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while 2 * split < len(hashes):
        split *= 2
    return sha256(b"\x01" + tree_root(hashes[:split]) + tree_root(hashes[split:])).digest()


def check_consistent(old: Head, new: Head, leaves: list[bytes]) -> None:
    """Check that a log, whose leaves are given, extends an older checkpoint of it."""
    require(old.origin == new.origin and old.size <= new.size == len(leaves), "other logs")
    require(tree_root(leaves[: old.size]) == old.root, "two histories")


def leaf(entry: bytes) -> bytes:
    """Hash an entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


# --- proofs ---------------------------------------------------------------------------------


class Included(NamedTuple):
    """What a proof shows."""

    number: int
    extra: bytes
    head: Head


def check_proof(data: bytes, rules: Rules, leaf_of: Callable[[bytes], bytes]) -> Included:
    """Check a tlog-proof.

    Args:
        leaf_of: gives the leaf hash that the proof is about from its extra data.
    """
    first, blank, note = data.partition(b"\n\n")
    rows = first.decode().split("\n")
    require(bool(blank) and rows.pop(0) == "c2sp.org/tlog-proof@v1", "not a proof")
    extra = b""
    if rows and rows[0].startswith("extra "):
        extra = plain_base64(rows.pop(0).removeprefix("extra "))
    match = re.fullmatch(r"index (0|[1-9][0-9]*)", rows.pop(0) if rows else "")
    require(match is not None, "no index")
    assert match is not None
    index, head = int(match[1]), check_checkpoint(note, rules)
    path = [plain_base64(row) for row in rows]
    require(climb(leaf_of(extra), index, head.size, path) == head.root, "another root")
    return Included(index, extra, head)


def climb(total: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Follow an inclusion path from a leaf hash to a root (RFC 9162, 2.1.3.2)."""
    require(index < size and all(len(node) == 32 for node in path), "no such leaf")
    node, last = index, size - 1
    for sibling in path:
        require(last > 0, "the path is too long")
        if node % 2 or node == last:
            total = sha256(b"\x01" + sibling + total).digest()
            while node and node % 2 == 0:
                node, last = node // 2, last // 2
        else:
            total = sha256(b"\x01" + total + sibling).digest()
        node, last = node // 2, last // 2
    require(last == 0, "the path is too short")
    return total


def plain_base64(text: str) -> bytes:
    """Read base64 that has exactly one form."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise RefusedError("not base64") from None
    require(base64.b64encode(data).decode() == text, "not canonical base64")
    return data


def require(fact: bool, otherwise: str) -> None:
    """Refuse unless ``fact`` holds."""
    if not fact:
        raise RefusedError(otherwise)
