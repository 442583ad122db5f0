"""Trusted Schemas Registry: what its functions change."""

from hashlib import sha256
from typing import Final

from adapters.ebsi.contracts import Call
from adapters.ebsi.identifiers import schema_id
from adapters.ebsi.planning import Caller, Plan, Planned, View, changes
from adapters.ebsi.refusals import RpcRefused
from adapters.ebsi.schemas import SCHEMAS, revisions_of
from ledger.core.trust.operations import PutEntry

__all__ = ["PLANS"]


def insert_schema(view: View, _caller: Caller, call: Call) -> Planned:
    """Add a schema and its metadata."""
    id_ = _schema(call)
    if view.lists.entry(SCHEMAS, id_) is not None:
        raise RpcRefused("schema exists")
    return _revision(view, call, id_)


def update_schema(view: View, _caller: Caller, call: Call) -> Planned:
    """Give a schema its next revision, with metadata."""
    id_ = _schema(call)
    if view.lists.entry(SCHEMAS, id_) is None:
        raise RpcRefused("schema not found")
    return _revision(view, call, id_)


def update_metadata(view: View, _caller: Caller, call: Call) -> Planned:
    """Add metadata to a revision."""
    id_, revision = _schema(call), f"0x{call.raw('schemaRevisionId').hex()}"
    if view.lists.entry(SCHEMAS, id_) is None:
        raise RpcRefused("schema not found")
    if revision not in revisions_of(view.lists.revisions(SCHEMAS, id_)):
        raise RpcRefused("revision not found")
    return changes(SCHEMAS, id_, [_metadata(view, call, f"{id_}/{revision}")])


PLANS: Final[dict[str, Plan]] = {
    "insertSchema": insert_schema,
    "updateSchema": update_schema,
    "updateMetadata": update_metadata,
}


def _schema(call: Call) -> str:
    id_ = schema_id(f"0x{call.raw('schemaId').hex()}")
    if id_ is None:
        raise RpcRefused("schemaId must be a valid schema ID")
    return id_


def _revision(view: View, call: Call, id_: str) -> Planned:
    body = call.raw("schema")
    revision = f"{id_}/0x{sha256(body).hexdigest()}"
    schema = view.put(SCHEMAS, id_, "schema", body)
    return changes(SCHEMAS, id_, [schema, _metadata(view, call, revision)])


def _metadata(view: View, call: Call, revision: str) -> PutEntry:
    body = call.raw("metadata")
    return view.put(SCHEMAS, f"{revision}/0x{sha256(body).hexdigest()}", "metadata", body)
