"""Timestamp: what its functions change. Timestamps are never changed; a record grows by versions.

Only the owners of a record change it: addresses, the first being who made it.
"""

from hashlib import sha256
from typing import Final

import msgspec
from eth_abi.abi import encode

from adapters.ebsi.contracts import Call
from adapters.ebsi.ethereum import read_address
from adapters.ebsi.identifiers import multihash_id, timestamp_id
from adapters.ebsi.planning import Caller, Plan, Planned, View, changes
from adapters.ebsi.refusals import RpcRefused
from adapters.ebsi.timestamps import (
    ALGORITHMS,
    RECORDS,
    TIMESTAMPS,
    Record,
    Version,
    read_record,
)
from ledger.core.trust.operations import PutEntry

__all__ = ["PLANS"]

_HASHES_MAX: Final = 3


def timestamp_hashes(view: View, caller: Caller, call: Call) -> Planned:
    """Timestamp up to three hashes."""
    made = _stamps(view, caller, call)
    return changes(TIMESTAMPS, made[0].id, made)


def timestamp_record_hashes(view: View, caller: Caller, call: Call) -> Planned:
    """Make a record whose first version are these hashes."""
    made = _stamps(view, caller, call)
    seed = encode(
        ["address", "uint256", "bytes"],
        [caller.address, caller.nonce, call.raws("hashValues")[0]],
    )
    id_ = multihash_id(sha256(seed).digest())
    record = Record([_owner(caller)], [], [_version(call)])
    return changes(TIMESTAMPS, id_, [*made, _put(view, id_, record)])


def timestamp_version_hashes(view: View, caller: Caller, call: Call) -> Planned:
    """Add a version to the caller's record that holds a hash."""
    wanted = f"0x{call.raw('versionHash').hex()}"
    rows = view.lists.children(TIMESTAMPS, RECORDS)
    for id_, entry in rows:
        record = read_record(entry)
        known = any(wanted in version.hashes for version in record.versions)
        if known and _owner(caller) in record.owner_ids:
            return _add_version(view, caller, call, id_)
    raise RpcRefused("record unknown")


def timestamp_record_version_hashes(view: View, caller: Caller, call: Call) -> Planned:
    """Add a version to a record."""
    return _add_version(view, caller, call, multihash_id(call.raw("recordId")))


def append_record_version_hashes(view: View, caller: Caller, call: Call) -> Planned:
    """Add hashes to a version of a record."""
    id_, record, version = _owned_version(view, caller, call)
    made = _stamps(view, caller, call)
    more = _version(call)
    version.hashes += [text for text in more.hashes if text not in version.hashes]
    version.info += more.info
    return changes(TIMESTAMPS, id_, [*made, _put(view, id_, record)])


def detach_record_version_hash(view: View, caller: Caller, call: Call) -> Planned:
    """Take a hash out of a version; its timestamp stays."""
    id_, record, version = _owned_version(view, caller, call)
    text = f"0x{call.raw('hashValue').hex()}"
    if text not in version.hashes:
        raise RpcRefused("hash unknown")
    version.hashes.remove(text)
    return changes(TIMESTAMPS, id_, [_put(view, id_, record)])


def insert_record_version_info(view: View, caller: Caller, call: Call) -> Planned:
    """Say more about a version."""
    id_, record, version = _owned_version(view, caller, call)
    version.info.append(f"0x{call.raw('versionInfo').hex()}")
    return changes(TIMESTAMPS, id_, [_put(view, id_, record)])


def insert_record_owner(view: View, caller: Caller, call: Call) -> Planned:
    """Add an owner to a record, from now on and without an end."""
    id_, record = _owned(view, caller, call)
    address = read_address(call.text("ownerId"))
    if address is None:
        raise RpcRefused("ownerId must be an address")
    owner = f"0x{address.hex()}"
    if owner in record.owner_ids:
        raise RpcRefused("owner exists")
    if call.number("notAfter") or call.number("notBefore") * 1000 > view.time_ms:
        raise RpcRefused("an owner has no period here: notBefore must be past and notAfter 0")
    record.owner_ids.append(owner)
    return changes(TIMESTAMPS, id_, [_put(view, id_, record)])


def revoke_record_owner(view: View, caller: Caller, call: Call) -> Planned:
    """Take an owner from a record, never the last."""
    id_, record = _owned(view, caller, call)
    owner = call.text("ownerId").lower()
    if owner not in record.owner_ids or len(record.owner_ids) == 1:
        raise RpcRefused("owner unknown, or the last")
    record.owner_ids.remove(owner)
    record.revoked_owner_ids.append(owner)
    return changes(TIMESTAMPS, id_, [_put(view, id_, record)])


PLANS: Final[dict[str, Plan]] = {
    "timestampHashes": timestamp_hashes,
    "timestampRecordHashes": timestamp_record_hashes,
    "timestampVersionHashes": timestamp_version_hashes,
    "timestampRecordVersionHashes": timestamp_record_version_hashes,
    "appendRecordVersionHashes": append_record_version_hashes,
    "detachRecordVersionHash": detach_record_version_hash,
    "insertRecordVersionInfo": insert_record_version_info,
    "insertRecordOwner": insert_record_owner,
    "revokeRecordOwner": revoke_record_owner,
}


def _stamps(view: View, caller: Caller, call: Call) -> list[PutEntry]:
    """Give the changes that timestamp the hashes of a call."""
    algorithms, hashes = call.numbers("hashAlgorithmIds"), call.raws("hashValues")
    data = call.raws("timestampData") or [b""] * len(hashes)
    if not 0 < len(hashes) <= _HASHES_MAX or len(set(hashes)) != len(hashes):
        raise RpcRefused(f"hashValues must hold 1 to {_HASHES_MAX} different hashes")
    if len(algorithms) != len(hashes) or len(data) != len(hashes):
        raise RpcRefused("hashAlgorithmIds, hashValues and timestampData differ in length")
    made = []
    for algorithm, value, datum in zip(algorithms, hashes, data, strict=True):
        if algorithm >= len(ALGORITHMS) or ALGORITHMS[algorithm].bits != 8 * len(value):
            raise RpcRefused("hash algorithm unknown, or another length of hash")
        id_ = timestamp_id(value)
        if view.lists.entry(TIMESTAMPS, id_) is not None:
            raise RpcRefused("timestamp exists")
        stated = {
            "hash": f"0x{value.hex()}",
            "hashAlgorithmId": str(algorithm),
            "timestampedBy": _owner(caller),
            "data": f"0x{datum.hex()}",
        }
        made.append(view.put(TIMESTAMPS, id_, "timestamp", msgspec.json.encode(stated)))
    return made


def _owner(caller: Caller) -> str:
    return f"0x{caller.address.hex()}"


def _version(call: Call) -> Version:
    info = call.raw("versionInfo")
    hashes = [f"0x{value.hex()}" for value in call.raws("hashValues")]
    return Version(hashes, [f"0x{info.hex()}"] if info else [])


def _add_version(view: View, caller: Caller, call: Call, id_: str) -> Planned:
    record = _record(view, caller, id_)
    made = _stamps(view, caller, call)
    record.versions.append(_version(call))
    return changes(TIMESTAMPS, id_, [*made, _put(view, id_, record)])


def _owned(view: View, caller: Caller, call: Call) -> tuple[str, Record]:
    id_ = multihash_id(call.raw("recordId"))
    return id_, _record(view, caller, id_)


def _owned_version(view: View, caller: Caller, call: Call) -> tuple[str, Record, Version]:
    id_, record = _owned(view, caller, call)
    number = call.number("versionId")
    if number >= len(record.versions):
        raise RpcRefused("version unknown")
    return id_, record, record.versions[number]


def _record(view: View, caller: Caller, id_: str) -> Record:
    entry = view.lists.entry(TIMESTAMPS, f"{RECORDS}/{id_}")
    if entry is None:
        raise RpcRefused("record unknown")
    record = read_record(entry)
    if _owner(caller) not in record.owner_ids:
        raise RpcRefused("sender is not an owner of the record")
    return record


def _put(view: View, id_: str, record: Record) -> PutEntry:
    return view.put(TIMESTAMPS, f"{RECORDS}/{id_}", "record", msgspec.json.encode(record))
