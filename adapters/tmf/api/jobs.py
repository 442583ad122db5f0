"""Import and export jobs: carried out one after another, through restarts.

Owns the states of a job (Not Started, Running, Succeeded, Failed), its file and who may fetch it.
A job that was running when the node ended is begun again; one during which the node ended too often
fails, so that no file can keep a node from starting.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import anyio
import structlog
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from adapters.tmf.api import job_table
from adapters.tmf.api.collections import Serving
from adapters.tmf.api.errors import not_found
from adapters.tmf.api.exports import NDJSON, export
from adapters.tmf.api.imports import import_part, read_lines
from adapters.tmf.api.job_table import Job
from adapters.tmf.api.routing import Answer, Target
from adapters.tmf.caller import OPERATOR
from adapters.tmf.entities.patching import MergePatch
from adapters.tmf.entity import JsonObject
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.moments import spell_time
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing
from ledger.core.errors import Unavailable
from ledger.core.limits import (
    TMF_JOB_BYTES_MAX,
    TMF_JOB_FETCH_MS_MAX,
    TMF_JOB_POLL_MS,
    TMF_JOB_READ_BYTES,
    TMF_JOB_STARTS_MAX,
)
from pubsub.io.egress import Courier, Egress, EgressError, Errand

__all__ = ["JobSettings", "Jobs"]

_log: Final = structlog.get_logger("tmf")
_ACCEPT: Final = {"accept": f"{NDJSON}, application/json"}


@dataclass(frozen=True)
class JobSettings:
    """What jobs are told.

    Attributes:
        folder: of the files, made when it is not there; nothing else may be in it.
        egress: where imports may come from.
        base_url: of this node, as clients call it; the URL of an exported file begins with it.
    """

    folder: Path
    egress: Egress = field(default_factory=Egress)
    base_url: str = ""


class Jobs:
    """Carries out jobs and serves the files of exports."""

    def __init__(self, serving: Serving, settings: JobSettings, now_ms: Callable[[], int]) -> None:
        self._store = serving.store
        self._serving = serving
        self._entities = serving.entities
        self._settings = settings
        self._now_ms = now_ms

    def of_content(self, target: Target) -> Mapping[str, Answer]:
        """Give the methods of a job's file."""
        is_export = target.resource is not None and target.resource.path == "exportJob"
        return {"GET": self._content} if is_export else {}

    async def run(self) -> None:
        """Carry out jobs until cancelled.

        Raises:
            ledger.io.errors.StorageError: the database or the disk is broken.
        """
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                while (job := await self._store.in_thread(_next)) is not None:
                    await self._store.in_thread(self._sweep)
                    await self._carry_out(job)
            except Unavailable as error:  # the database: a job stays as it is
                _log.warning("jobs_wait", reason=str(error))
            await anyio.sleep(TMF_JOB_POLL_MS / 1000)

    async def _carry_out(self, job: Job) -> None:
        try:
            document = await self._store.in_thread(partial(self._start, job=job))
            if document is not None:
                url = await self._do(job, document)
                self._say(job, "Succeeded", await self._end(job, {"status": "Succeeded", **url}))
        except TmfError as error:
            log = {"status": "Failed", "errorLog": error.message}
            self._say(job, error.message, await self._end(job, log))
        except OSError as error:
            log = {"status": "Failed", "errorLog": f"the file: {error.strerror}"}
            self._say(job, str(error), await self._end(job, log))

    async def _do(self, job: Job, document: JsonObject) -> JsonObject:
        """Do a job; give what its entity says besides its state. Raises TmfError."""
        if RESOURCES[job.resource].path == "importJob":
            await self._import(job, document)
            return {}
        folder = self._settings.folder
        await self._store.in_thread(
            lambda store: export(store, self._entities, job, document, folder)
        )
        return {"url": f"{self._settings.base_url.rstrip('/')}{document['href']}/content"}

    async def _import(self, job: Job, document: JsonObject) -> None:
        file = self._settings.folder / job.name
        if not (job.lines and file.exists()):  # what is stored came from this very file
            content = await self._fetch(str(document["url"]))
            await self._store.in_thread(lambda _: _keep(file, content))
        lines = await self._store.in_thread(lambda _: read_lines(file))
        while job.lines < len(lines):
            part = partial(
                import_part, entities=self._entities, job=job, document=document, lines=lines
            )
            job = replace(job, lines=await self._store.in_thread(part))

    async def _fetch(self, url: str) -> bytes:
        courier = Courier(self._settings.egress, TMF_JOB_FETCH_MS_MAX)
        try:
            reply = await courier.run(
                Errand("GET", url, TMF_JOB_BYTES_MAX, _ACCEPT, wants_answer=True)
            )
        except (EgressError, Unavailable) as error:
            raise _failed(f"url: {error}") from None
        finally:
            await courier.close()
        if reply.status != HTTPStatus.OK:
            raise _failed(f"url: answered {reply.status}")
        if reply.body is None:
            raise _failed(f"url: the file has more than {TMF_JOB_BYTES_MAX} bytes")
        return reply.body

    # --- states -----------------------------------------------------------------------------

    def _start(self, store: Store, job: Job) -> JsonObject | None:
        """Begin or begin again; None when the job was deleted meanwhile. Raises TmfError."""
        with store.write() as txn:
            if job_table.get(txn.connection, job.resource, job.id) is None:
                return None
            job_table.start(txn.connection, job)
            if job.starts < TMF_JOB_STARTS_MAX:
                return self._set(txn, job, {"status": "Running"})
        raise _failed(f"the node ended {job.starts} times while the job was running")

    async def _end(self, job: Job, changes: JsonObject) -> bool:
        """Write down how a job ended; say whether it still was there."""
        changes = {**changes, "completionDate": spell_time(self._now_ms())}

        def write(store: Store) -> bool:
            with store.write() as txn:
                if job_table.get(txn.connection, job.resource, job.id) is None:
                    return False
                self._set(txn, job, changes)
                job_table.end(txn.connection, job)
                return True

        return await self._store.in_thread(write)

    def _set(self, txn: Writing, job: Job, changes: JsonObject) -> JsonObject:
        resource = RESOURCES[job.resource]
        self._entities.patch(txn, OPERATOR, resource, job.id, MergePatch(changes))
        return self._entities.get(txn, OPERATOR, resource, job.id).document()

    def _say(self, job: Job, how: str, was_there: bool) -> None:  # noqa: FBT001 - a private note
        _log.info("job_ended", job=job.id, resource=job.resource, how=how, deleted=not was_there)

    def _sweep(self, store: Store) -> None:
        """Remove files whose jobs were deleted: each new job makes room first."""
        with store.read() as reading:
            known = job_table.names(reading.connection)
        for file in self._settings.folder.iterdir():
            if file.name.partition(".")[0] not in known:
                file.unlink()

    # --- files ------------------------------------------------------------------------------

    async def _content(self, request: Request, target: Target) -> Response:
        """Answer with the file of an export, to its owner and to the operator."""
        resource = target.resource
        assert resource is not None, "hubs have no content"
        caller = await self._serving.caller_of(request)

        def read(store: Store) -> Job | None:
            with store.read() as reading:
                return job_table.get(reading.connection, resource.name, target.id)

        job = await self._store.in_thread(read)
        if job is None or not job.is_done or not (caller.is_operator or caller == job.owner):
            raise not_found(f"there is no file of {resource.path} {target.id[:80]!a}")
        path = anyio.Path(self._settings.folder / job.name)
        if not await path.exists():
            raise not_found(f"{resource.path} {target.id[:80]!a} has no file")
        headers = {"content-length": str((await path.stat()).st_size)}
        if request.method == "HEAD":
            return Response(None, HTTPStatus.OK, headers, NDJSON)
        return StreamingResponse(_chunks(path), HTTPStatus.OK, headers, NDJSON)


async def _chunks(path: anyio.Path) -> AsyncIterator[bytes]:
    async with await path.open("rb") as file:
        while chunk := await file.read(TMF_JOB_READ_BYTES):
            yield chunk


def _next(store: Store) -> Job | None:
    with store.read() as reading:
        return job_table.next_job(reading.connection)


def _keep(file: Path, content: bytes) -> None:
    half = file.with_suffix(".half")
    with half.open("wb") as writing:
        writing.write(content)
        writing.flush()
        os.fsync(writing.fileno())
    half.rename(file)


def _failed(message: str) -> TmfError:
    return TmfError(HTTPStatus.UNPROCESSABLE_ENTITY, "job-failed", "Job failed", message)
