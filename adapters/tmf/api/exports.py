"""Exporting: what a caller sees of a catalogue, as lines of JSON in a file of this node.

Owns the form of the file (``application/x-ndjson``, one entity a line, as it is stored) and what a
job's ``path`` and ``query`` select. The file is written under another name and renamed when it is
whole, so that a download never meets half of it.
"""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from adapters.tmf.api.job_table import Job, is_job
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import JsonObject
from adapters.tmf.query.parse import parse_query
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.problems import malformed
from adapters.tmf.resources.registry import APIS, RESOURCES
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Reading
from ledger.core.limits import TMF_JOB_PAGE

__all__ = ["NDJSON", "export", "resource_of"]

NDJSON: Final = "application/x-ndjson"


def export(store: Store, entities: Entities, job: Job, document: JsonObject, folder: Path) -> None:
    """Write the file of a job.

    Raises:
        TmfError: the job asks for what cannot be given.
    """
    wanted = document.get("contentType")
    if wanted not in (None, NDJSON):
        raise malformed("invalid-job", (None, "contentType"), f"can be {NDJSON} alone")
    half = folder / f"{job.name}.half"
    with half.open("wb") as file:
        with store.read() as reading:
            for line in _lines(reading, entities, job, document):
                file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    half.rename(folder / job.name)


def resource_of(job: Job, path: str) -> Resource:
    """Give the resource that a path or URL of its collection names, within the job's API.

    Raises:
        TmfError: it names none.
    """
    segments = path.rstrip("/").split("/")
    for resource in _of_job(job):
        whole = f"{resource.base}/{resource.path}".strip("/").split("/")
        if segments[-len(whole) :] == whole or segments in ([resource.path], ["", resource.path]):
            return resource
    names = ", ".join(resource.path for resource in _of_job(job))
    raise malformed("invalid-job", (None, "path"), f"names none of {names}")


def _lines(reading: Reading, entities: Entities, job: Job, document: JsonObject) -> Iterator[bytes]:
    path = document.get("path")
    resources = [resource_of(job, path)] if path else _of_job(job)
    query = parse_query(str(document.get("query") or "").removeprefix("?"))
    for resource in resources:
        for offset in count(0, TMF_JOB_PAGE):
            part = replace(query, offset=offset, limit=TMF_JOB_PAGE)
            page = entities.find(reading, job.owner, resource, part)
            yield from (entity.body for entity in page.entities)
            if len(page.entities) < TMF_JOB_PAGE:
                break


def _of_job(job: Job) -> list[Resource]:
    """Give what the job's API has besides jobs."""
    own = RESOURCES[job.resource]
    resources = next(api.resources for api in APIS if api.name == own.api)
    return [resource for resource in resources if not is_job(resource)]
