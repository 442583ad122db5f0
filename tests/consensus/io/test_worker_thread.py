"""A worker thread does jobs in order and in groups, and its end is the end of its owner."""

import threading

import pytest
import trio
import trio.testing

from consensus.io.worker_thread import WorkerThread
from ledger.core.errors import InvariantError


class Recorder:
    """Notes the groups of jobs; the first group waits until the test lets it go."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.finished = trio.Event()
        self.worker: WorkerThread[int] = WorkerThread("test", self.do)

    def do(self, jobs: list[int]) -> None:
        """Do jobs; a negative one fails, 99 says that all is done."""
        self.groups.append(jobs)
        self.gate.wait(50)
        if min(jobs) < 0:
            raise ValueError(jobs)
        if 99 in jobs:
            self.worker.post(self.finished.set)


async def test_jobs_that_wait_are_done_together() -> None:
    """While the thread is busy jobs gather; it takes all of them at once, in order."""
    recorder = Recorder()
    async with trio.open_nursery() as nursery:
        recorder.worker.put(1)
        nursery.start_soon(recorder.worker.run)
        with trio.fail_after(50):
            while not recorder.groups:  # noqa: ASYNC110 - a thread announces nothing
                await trio.sleep(0.001)
        for job in (2, 3, 99):
            recorder.worker.put(job)
        recorder.gate.set()
        with trio.fail_after(50):
            await recorder.finished.wait()
        nursery.cancel_scope.cancel()
    assert recorder.groups == [[1], [2, 3, 99]]


async def test_failure_is_an_invariant_error() -> None:
    """Any exception of a job reaches the owner as InvariantError, and no job follows."""
    recorder = Recorder()
    recorder.gate.set()
    recorder.worker.put(-1)
    with pytest.raises(InvariantError, match="test thread"), trio.fail_after(50):
        await recorder.worker.run()
    assert recorder.groups == [[-1]]


async def test_cancelling_waits_for_the_group_under_way() -> None:
    """A stop never leaves a transaction half done, and begins no further one."""
    recorder = Recorder()
    recorder.worker.put(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.worker.run)
        with trio.fail_after(50):
            while not recorder.groups:  # noqa: ASYNC110 - a thread announces nothing
                await trio.sleep(0.001)
        recorder.worker.put(2)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(0.01)
        assert threading.active_count() > 1
        recorder.gate.set()
    assert recorder.groups == [[1]]
    assert "test" not in {thread.name for thread in threading.enumerate()}
