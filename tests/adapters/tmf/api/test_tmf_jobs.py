"""Import and export jobs: they really run, say how they ended, and survive restarts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.tmf.api import imports as imports_module
from adapters.tmf.api import job_table
from adapters.tmf.api import jobs as jobs_module
from adapters.tmf.api.job_table import JOBS
from adapters.tmf.caller import OPERATOR
from adapters.tmf.entity import JsonObject
from adapters.tmf.resources.registry import RESOURCES
from tests.adapters.dlt.endpoint import Endpoint, listening
from tests.adapters.tmf.api.api_world import (
    CATALOGUE,
    OFFERING,
    ApiWorld,
    make_world,
    running,
    until,
)

EXPORT, IMPORT = f"{CATALOGUE}/exportJob", f"{CATALOGUE}/importJob"
ANY_URL = "http://files.test/x"


@pytest.fixture
async def files() -> AsyncIterator[Endpoint]:
    """Give a server of files."""
    async with listening() as endpoint:
        yield endpoint


def served(content: bytes, status: str = "200 OK") -> bytes:
    """Make the answer with a file."""
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


def lines(*documents: JsonObject) -> bytes:
    """Make a file of lines."""
    return b"\n".join(map(msgspec.json.encode, documents))


async def ended(world: ApiWorld, path: str, document: JsonObject) -> Any:  # noqa: ANN401 - JSON
    """Carry out a job; give it as it ended."""
    made = await world.create(path, document)
    assert made["status"] == "Not Started"
    async with running(world, ["jobs"]):
        await until(lambda: _status(world, made) in {"Succeeded", "Failed"})
    return (await world.client.get(made["href"])).json()


def _status(world: ApiWorld, job: JsonObject) -> Any:  # noqa: ANN401 - JSON
    name = "catalog" + job["href"].split("/")[-2].title().replace("job", "Job")
    with world.store.read() as reading:
        entity = world.entities.get(reading, OPERATOR, RESOURCES[name], job["id"])
    return entity.document()["status"]


async def test_an_export_gives_the_catalogue(world: ApiWorld) -> None:
    """The file holds every entity of the API as it is stored; jobs and other APIs are not in it."""
    offering = await world.create(OFFERING, {"name": "A"})
    category = await world.create(f"{CATALOGUE}/category", {"name": "B"})
    await world.create("/tmf-api/party/v4/organization", {"tradingName": "C"})
    job = await ended(world, EXPORT, {"url": ANY_URL})
    assert (job["status"], job["url"]) == ("Succeeded", f"http://node.test{job['href']}/content")
    assert job["completionDate"] > job["creationDate"]
    file = await world.client.get(job["url"])
    assert (file.status_code, file.headers["content-type"]) == (200, "application/x-ndjson")
    assert [msgspec.json.decode(line) for line in file.content.splitlines()] == [
        category,
        offering,
    ]
    head = await world.client.head(job["url"])
    assert (head.content, head.headers["content-length"]) == (b"", str(len(file.content)))


async def test_an_export_of_a_part(world: ApiWorld) -> None:
    """Path and query choose what is written, over more than one page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapters.tmf.api.exports.TMF_JOB_PAGE", 2)
        for number in range(7):
            sent = {"name": str(number), "isBundle": number != 3}
            await world.create(OFFERING, sent)
        await world.create(f"{CATALOGUE}/category", {"name": "B"})
        wanted = {"url": ANY_URL, "path": "/productOffering", "query": "isBundle=true"}
        job = await ended(world, EXPORT, wanted)
    content = (await world.client.get(job["url"])).content
    names = [msgspec.json.decode(line)["name"] for line in content.splitlines()]
    assert names == ["0", "1", "2", "4", "5", "6"]


async def test_a_file_is_its_owners(world: ApiWorld) -> None:
    """Others find nothing, the operator does; what is not done has no file."""
    own, other = {"x-caller": "did:elsi:A"}, {"x-caller": "did:elsi:B"}
    made = await world.client.post(EXPORT, json={"url": ANY_URL}, headers=own)
    content = f"{made.json()['href']}/content"
    assert (await world.client.get(content, headers=own)).status_code == 404
    async with running(world, ["jobs"]):
        await until(lambda: _status(world, made.json()) == "Succeeded")
    answers = [await world.client.get(content, headers=each) for each in (own, other, {})]
    assert [answer.status_code for answer in answers] == [200, 404, 200]


@pytest.mark.parametrize(
    "wanted, named",
    [
        ({"contentType": "text/csv"}, "contentType"),
        ({"path": "/productOrder"}, "path"),
        ({"query": "a.regex=("}, "regular expression"),
    ],
)
async def test_exports_that_fail(world: ApiWorld, wanted: JsonObject, named: str) -> None:
    """A job that cannot be done fails, and its log names why."""
    job = await ended(world, EXPORT, {"url": ANY_URL, **wanted})
    assert (job["status"], named in job["errorLog"]) == ("Failed", True)
    assert (await world.client.get(f"{job['href']}/content")).status_code == 404


@pytest.mark.parametrize("form", ["lines", "array"])
async def test_an_import_stores_a_file(world: ApiWorld, files: Endpoint, form: str) -> None:
    """Entities of a file are made with their ids, or changed when they are here already."""
    old = await world.create(OFFERING, {"name": "old", "description": "kept"})
    documents: list[JsonObject] = [
        {"id": "new", "href": f"https://other.test{OFFERING}/new", "name": "A"},
        {"id": old["id"], "href": old["href"], "name": "changed"},
        {"id": "cat", "href": f"{CATALOGUE}/category/cat", "name": "B"},
    ]
    content = lines(*documents) if form == "lines" else msgspec.json.encode(documents)
    files.answer = lambda _: served(content)
    job = await ended(world, IMPORT, {"url": files.url})
    assert (job["status"], "errorLog" in job) == ("Succeeded", False)
    assert (await world.client.get(f"{OFFERING}/new")).json()["name"] == "A"
    assert (await world.client.get(f"{CATALOGUE}/category/cat")).status_code == 200
    changed = (await world.client.get(old["href"])).json()
    assert (changed["name"], changed["description"]) == ("changed", "kept")


async def test_what_is_exported_can_be_imported(world: ApiWorld, files: Endpoint) -> None:
    """A file of one node fills another: the same entities come out of both."""
    for name in "abc":
        await world.create(OFFERING, {"name": name})
    job = await ended(world, EXPORT, {"url": ANY_URL})
    content = (await world.client.get(job["url"])).content
    before = (await world.client.get(OFFERING)).json()
    for each in before:
        await world.client.delete(each["href"])
    files.answer = lambda _: served(content)
    assert (await ended(world, IMPORT, {"url": files.url}))["status"] == "Succeeded"
    assert (await world.client.get(OFFERING)).json() == before


@pytest.mark.parametrize(
    "answer, wanted, named",
    [
        (served(b"", "404 No"), {}, "answered 404"),
        (served(b"", "302 Found"), {}, "answered 302"),
        (b"", {}, "url: "),
        (served(b"[{"), {}, "no array of JSON"),
        (served(b"[]") + b"", {"path": "/x"}, ""),
        (served(b'{"name": "A"}'), {}, "line 1: href is missing"),
        (served(b'{"name": "A"}'), {"path": "/x"}, "line 1: path names none of"),
        (served(b'\n{"name": "A"}\n7\n'), {"path": "/productOffering"}, "line 2: not a JSON"),
        (served(b'{"name":"A","name":"B"}'), {"path": "/productOffering"}, "twice"),
        (served(b'{"x": 1}'), {"path": "/productOffering"}, "line 1: name"),
    ],
)
async def test_imports_that_fail(
    world: ApiWorld, files: Endpoint, answer: bytes, wanted: JsonObject, named: str
) -> None:
    """What cannot be fetched or stored ends the job, and its log names the line and why."""
    files.answer = lambda _: answer
    job = await ended(world, IMPORT, {"url": files.url, **wanted})
    assert job["status"] == ("Failed" if named else "Succeeded")
    assert named in job.get("errorLog", "")
    assert (await world.client.get(OFFERING)).json() == []


async def test_imports_obey_the_rules_of_egress(world: ApiWorld) -> None:
    """A job is no way into networks that its client cannot reach."""
    job = await ended(world, IMPORT, {"url": "http://169.254.169.254/latest"})
    assert (job["status"], "169.254" in job["errorLog"]) == ("Failed", True)


async def test_endless_files_are_refused(
    world: ApiWorld, files: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than the limit is fetched."""
    monkeypatch.setattr(jobs_module, "TMF_JOB_BYTES_MAX", 10)
    files.answer = lambda _: served(b"[" + b" " * 9 + b"]")
    job = await ended(world, IMPORT, {"url": files.url})
    assert (job["status"], "10 bytes" in job["errorLog"]) == ("Failed", True)


async def test_an_import_goes_on_after_a_restart(
    world: ApiWorld, files: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is not stored twice, and the rest comes from the same file."""
    monkeypatch.setattr(imports_module, "TMF_JOB_LINES", 2)
    content = lines(*({"name": str(number)} for number in range(5)))
    files.answer = lambda _: served(content)
    made = await world.create(IMPORT, {"url": files.url, "path": "productOffering"})
    store_part = imports_module.import_part

    class Killed(BaseException):
        pass

    def dying(*args: Any, **more: Any) -> int:  # noqa: ANN401
        store_part(*args, **more)
        raise Killed

    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jobs_module, "import_part", dying)
            with pytest.raises(BaseExceptionGroup):
                await _run_jobs(world)
        assert _status(world, made) == "Running"
    files.answer = lambda _: served(b"", "404 Gone by now")
    again = make_world(world.store, world.folder)
    async with running(again, ["jobs"]):
        await until(lambda: _status(world, made) == "Succeeded")
    names = [each["name"] for each in (await world.client.get(OFFERING)).json()]
    assert names == ["0", "1", "2", "3", "4"]


async def _run_jobs(world: ApiWorld) -> None:
    async with running(world, ["jobs"]):
        await until(lambda: False)


async def test_a_job_that_ends_the_node_is_given_up(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some starts without an end a job fails by itself, with a reason."""
    monkeypatch.setattr(jobs_module, "TMF_JOB_STARTS_MAX", 2)
    made = await world.create(EXPORT, {"url": ANY_URL})
    with world.store.write() as txn:
        txn.connection.execute(JOBS.update().values(starts=2))
    async with running(world, ["jobs"]):
        await until(lambda: _status(world, made) == "Failed")
    job = (await world.client.get(made["href"])).json()
    assert "ended 2 times" in job["errorLog"]


async def test_a_deleted_job_leaves_nothing(world: ApiWorld) -> None:
    """Its row goes with it, its file when the next job begins."""
    job = await ended(world, EXPORT, {"url": ANY_URL})
    (file,) = world.folder.iterdir()
    assert (await world.client.delete(job["href"])).status_code == 204
    assert (await world.client.get(f"{job['href']}/content")).status_code == 404
    await ended(world, EXPORT, {"url": ANY_URL})
    assert not file.exists()
    with world.store.read() as reading:
        assert len(job_table.names(reading.connection)) == 1


async def test_the_number_of_jobs_is_bounded(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than the limit is refused, and leaves no entity behind."""
    monkeypatch.setattr(job_table, "TMF_JOBS_MAX", 1)
    await world.create(EXPORT, {"url": ANY_URL})
    refused = await world.client.post(IMPORT, json={"url": ANY_URL})
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-jobs")
    assert (await world.client.get(IMPORT)).json() == []


async def test_names_of_files_are_this_nodes(world: ApiWorld) -> None:
    """What a client chose never becomes a path."""
    made = await world.create(EXPORT, {"url": ANY_URL, "id": "a..b"})
    async with running(world, ["jobs"]):
        await until(lambda: _status(world, made) == "Succeeded")
    (file,) = world.folder.iterdir()
    assert isinstance(file, Path)
    assert len(file.name) == 64
