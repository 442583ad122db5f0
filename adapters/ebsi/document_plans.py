"""Track and Trace: what its functions publish.

A document is an entity, and each function becomes one event about it on the facade's topic. Only
who created a document writes its events.
"""

import json
from typing import Final

from adapters.ebsi.contracts import Call
from adapters.ebsi.documents import find_event
from adapters.ebsi.ethereum import keccak256
from adapters.ebsi.identifiers import is_did, read_hash
from adapters.ebsi.log_index import LogIndex, author_of
from adapters.ebsi.planning import Caller, Plan, Planned, View, require_did_argument
from adapters.ebsi.refusals import RpcRefused
from ledger.core.event import open_entry
from ledger.core.limits import LOCATION_CHARS_MAX
from ledger.core.trust.personal_data import personal_data_in

__all__ = ["DocumentPlans"]

_JSON: Final = "application/json"


class DocumentPlans:
    """The plans over one index of the log.

    Args:
        topic: that documents and their events are published on.
    """

    def __init__(self, index: LogIndex, topic: str) -> None:
        self._index = index
        self._topic = topic

    def plans(self) -> dict[str, Plan]:
        """Give the plans by their functions."""
        return {"createDocument": self.create_document, "writeEvent": self.write_event}

    def create_document(self, _view: View, caller: Caller, call: Call) -> Planned:
        """Publish the first event of a document."""
        creator = require_did_argument(call, "didEbsiCreator")
        caller.require_did(creator)
        document = call.raw("documentHash")
        if self._index.sequences(document) is not None:
            raise RpcRefused("DocumentExists")
        stated = {"author": creator, "metadata": call.text("documentMetadata")}
        _require_impersonal(stated)
        fields = {"subject": f"0x{document.hex()}", "data": _json(stated), "content_type": _JSON}
        return Planned(self._topic, fields)

    def write_event(self, view: View, caller: Caller, call: Call) -> Planned:
        """Publish an event of a document."""
        sender = call.raw("sender").decode(errors="replace")
        if not is_did(sender):
            raise RpcRefused("sender must be a valid DID")
        caller.require_did(sender)
        document = call.raw("documentHash")
        sequences = self._index.sequences(document)
        entry = None if sequences is None else view.reader.entry(sequences[0])
        if sequences is None or entry is None:
            raise RpcRefused("DocumentDoesNotExist")
        first = open_entry(entry).event
        if author_of(first) != sender:
            raise RpcRefused("OnlyCreatorOrWriter")
        external = call.text("externalHash")
        given = call.arguments.get("eventHash")
        hash_ = given if isinstance(given, bytes) else keccak256(external.encode())
        if find_event(view.reader, document, sequences, f"0x{hash_.hex()}") is not None:
            raise RpcRefused("ExternalHashExist")
        if len(call.text("origin")) > LOCATION_CHARS_MAX:
            raise RpcRefused(f"origin may have {LOCATION_CHARS_MAX} characters")
        stated = {"author": sender, "externalHash": external, "metadata": call.text("metadata")}
        _require_impersonal(stated | {"origin": call.text("origin")})
        fields = {
            "subject": first.subject,
            "entity_hash": hash_,
            "previous_hash": bytes.fromhex(read_hash(external) or ""),
            "location": call.text("origin"),
            "data": _json(stated),
            "content_type": _JSON,
        }
        return Planned(self._topic, fields)


def _require_impersonal(stated: dict[str, str]) -> None:
    """Refuse words that could name a person: what is on a ledger cannot be taken back."""
    found = personal_data_in(stated)
    if found is not None:
        raise RpcRefused(f"could hold personal data: {found}")


def _json(stated: dict[str, str]) -> bytes:
    return json.dumps(stated, separators=(",", ":"), ensure_ascii=False).encode()
