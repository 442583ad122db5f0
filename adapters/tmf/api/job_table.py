"""The table of jobs: for whom a job runs, how often it was started, how far it is.

Owns the rows beside the jobs' entities, which are what clients see. Every function works within a
transaction of the caller's.
"""

from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    Row,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)

from adapters.tmf.caller import Caller
from adapters.tmf.entity import Change
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.ports import Writing
from adapters.tmf.store.schema import METADATA
from ledger.core.limits import TMF_JOBS_MAX

__all__ = ["JOBS", "Job", "end", "get", "is_job", "move", "names", "next_job", "note", "start"]

JOBS: Final = Table(
    "tmf_job",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("resource", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("powers", Text, nullable=False),
    Column("is_operator", Boolean, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("is_done", Boolean, nullable=False),
)
"""One row for each job that exists."""


class Job(msgspec.Struct, frozen=True):
    """A job.

    Attributes:
        name: of its file; made by this node, safe as a path.
        owner: in whose name it reads and writes.
        starts: how often it was begun.
        lines: of the file that is imported, so many are stored.
    """

    name: str
    resource: str
    id: str
    owner: Caller
    starts: int
    lines: int
    is_done: bool


def is_job(resource: Resource) -> bool:
    """Say whether a resource is a task that this node carries out on files."""
    return resource.path in {"importJob", "exportJob"}


def note(txn: Writing, caller: Caller, resource: Resource, change: Change) -> None:
    """Begin a job with its entity, and forget it with it.

    Raises:
        TmfError: 429, there are too many.
    """
    if not is_job(resource):
        return
    if change.what == "delete":
        txn.connection.execute(delete(JOBS).where(JOBS.c.name == _name(change)))
    elif change.what == "create":
        count = txn.connection.execute(select(func.count()).select_from(JOBS)).scalar_one()
        if count >= TMF_JOBS_MAX:
            message = f"this node keeps {TMF_JOBS_MAX} jobs; delete one first"
            status = HTTPStatus.TOO_MANY_REQUESTS
            raise TmfError(status, "too-many-jobs", "Too many jobs", message)
        row = {
            "name": _name(change),
            "number": change.number,
            "resource": change.resource,
            "id": change.id,
            "organisation": caller.organisation,
            "powers": msgspec.json.encode(sorted(caller.powers)).decode(),
            "is_operator": caller.is_operator,
            "starts": 0,
            "lines": 0,
            "is_done": False,
        }
        txn.connection.execute(JOBS.insert().values(row))


def next_job(connection: Connection) -> Job | None:
    """Give the oldest job that is not done."""
    waiting = select(JOBS).where(JOBS.c.is_done.is_(False)).order_by(JOBS.c.number).limit(1)
    row = connection.execute(waiting).one_or_none()
    return None if row is None else _job(row)


def get(connection: Connection, resource: str, id_: str) -> Job | None:
    """Give one job."""
    name = _name_of(resource, id_)
    row = connection.execute(select(JOBS).where(JOBS.c.name == name)).one_or_none()
    return None if row is None else _job(row)


def names(connection: Connection) -> set[str]:
    """Give the names of all jobs."""
    return set(connection.execute(select(JOBS.c.name)).scalars())


def start(connection: Connection, job: Job) -> None:
    """Count one more start."""
    _change(connection, job, starts=job.starts + 1)


def move(connection: Connection, job: Job, lines: int) -> None:
    """Write down how much of a file is stored."""
    _change(connection, job, lines=lines)


def end(connection: Connection, job: Job) -> None:
    """Write down that a job is done, well or not."""
    _change(connection, job, is_done=True)


def _change(connection: Connection, job: Job, **values: object) -> None:
    connection.execute(update(JOBS).where(JOBS.c.name == job.name).values(values))


def _name(change: Change) -> str:
    return _name_of(change.resource, change.id)


def _name_of(resource: str, id_: str) -> str:
    return sha256(msgspec.json.encode([resource, id_])).hexdigest()


def _job(row: Row[Any]) -> Job:
    powers = msgspec.json.decode(row.powers, type=frozenset[str])
    owner = Caller(row.organisation, powers, row.is_operator)
    return Job(row.name, row.resource, row.id, owner, row.starts, row.lines, row.is_done)
