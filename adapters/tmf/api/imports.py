"""Importing: entities of a file, stored in the name of the job's owner.

Owns the form of the file (lines of JSON, or one array) and what is done with each entity: one whose
id is new is made, one that is here already is changed as by a merge patch. Lines are stored in
parts, each in one transaction together with the count of what is stored, so that a job that was
interrupted goes on where it was and stores nothing twice.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from adapters.tmf.api import job_table
from adapters.tmf.api.exports import resource_of
from adapters.tmf.api.job_table import Job
from adapters.tmf.entities.patching import MergePatch
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import JsonObject
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.problems import malformed
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing
from ledger.core.errors import DecodeError
from ledger.core.limits import TMF_JOB_LINES
from pubsub.core.strict_json import require_strict_json

__all__ = ["import_part", "read_lines"]

_DECODER: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_lines(file: Path) -> list[bytes]:
    """Give the entities of a file, each as JSON text.

    Raises:
        TmfError: it is neither an array nor lines of text.
    """
    content = file.read_bytes()
    if content.lstrip()[:1] != b"[":
        return [line for line in content.splitlines() if line.strip()]
    try:
        return [bytes(item) for item in _DECODER.decode(content)]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise malformed("invalid-file", (None, "url"), f"is no array of JSON: {error}") from None


def import_part(
    store: Store, entities: Entities, job: Job, document: JsonObject, lines: Sequence[bytes]
) -> int:
    """Store the next entities of a file; give how many of it are stored now.

    Raises:
        TmfError: one of them is refused; its line is named, and none of this part is stored.
    """
    part = lines[job.lines : job.lines + TMF_JOB_LINES]
    with store.write() as txn:
        for number, line in enumerate(part, job.lines + 1):
            try:
                _store(txn, entities, job, document, line)
            except (TmfError, DecodeError) as error:
                message = error.message if isinstance(error, TmfError) else str(error)
                where = f"line {number}: {message}; the {job.lines} lines before this part are kept"
                raise malformed("import-refused", (None, "url"), where) from None
        stored = job.lines + len(part)
        job_table.move(txn.connection, job, stored)
    return stored


def _store(txn: Writing, entities: Entities, job: Job, document: JsonObject, line: bytes) -> None:
    require_strict_json(line)
    try:
        sent = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(f"not a JSON object: {error}") from None
    resource = _resource(job, document, sent)
    id_ = sent.get("id")
    if isinstance(id_, str) and txn.get(resource.name, id_) is not None:
        changes = {name: sent[name] for name in sent.keys() - resource.unpatchable}
        entities.patch(txn, job.owner, resource, id_, MergePatch(changes))
    else:
        entities.create(txn, job.owner, resource, sent)


def _resource(job: Job, document: JsonObject, sent: JsonObject) -> Resource:
    """Give what an entity is: what the job says, or else its own reference."""
    path, href = document.get("path"), sent.get("href")
    if path:
        return resource_of(job, path)
    if not isinstance(href, str):
        raise malformed("invalid-line", (None, "href"), "is missing, and the job names no path")
    return resource_of(job, href.rstrip("/").rpartition("/")[0])
