"""The control socket answers its gateways, bounds them, and survives each of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from consensus.core.control import (
    Attend,
    ControlQuestion,
    Head,
    MetricsReply,
    MetricsRequest,
    StatusReply,
    StatusRequest,
    Submit,
    SubmitReply,
    control_frame,
)
from consensus.core.effects import Reply
from consensus.core.frames import encode_frame
from consensus.core.inputs import Submitted
from consensus.io import control_server as control_server_module
from consensus.io.control_server import ControlServer, open_control_socket
from consensus.io.inbox import Inbox
from ledger.core.admission import ExaminedEntry
from ledger.core.errors import RejectCode, Unavailable
from ledger.core.ids import EventId, Height
from tests.consensus.io.members import Gateway, gateway

ADMITTED = ExaminedEntry(b"e", EventId(bytes(32)))


class Served:
    """A running control server, and the core's end of it."""

    def __init__(self, path: Path, status: Callable[[], bytes]) -> None:
        self.path = path
        self.inbox = Inbox()
        self.server = ControlServer(
            self.inbox, Head(Height(7), 70, Height(7), 0), status, lambda: b"metric 1\n"
        )

    async def submitted(self, count: int) -> list[Submitted]:
        """Wait for what the core would be given."""
        got: list[Submitted] = []
        with trio.fail_after(50):
            while len(got) < count:
                await self.inbox.wait()
                got += [item for item in self.inbox.take() if isinstance(item, Submitted)]
        return got


@asynccontextmanager
async def serving(
    tmp_path: Path, status: Callable[[], bytes] = lambda: b"{}"
) -> AsyncIterator[Served]:
    """Serve a control socket for as long as the block lasts."""
    served = Served(tmp_path / "control.sock", status)
    listener = open_control_socket(served.path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.server.run, listener)
        with trio.fail_after(50):
            yield served
        nursery.cancel_scope.cancel()


@pytest.fixture
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what nobody waits for told in no test's time: what comes was told at once."""
    monkeypatch.setattr(control_server_module, "TOLD_WITHIN_MS", 1_000_000)


async def _closed(node: Gateway) -> None:
    with trio.fail_after(50), suppress(trio.BrokenResourceError):
        while True:
            await node.receive()


async def test_head_comes_first_and_then_the_newest(tmp_path: Path) -> None:
    """A gateway learns the head when it connects, and later heads without asking."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        await node.until_log_size(70)
        served.server.on_head(Height(8), 80)
        served.server.on_head(Height(9), 90)
        await node.until_log_size(90)
        assert [(head.height, head.log_size) for head in node.heads] == [(7, 70), (9, 90)]


async def test_quiet_gateway_is_told_a_little_later(tmp_path: Path) -> None:
    """Where nobody reads or waits several blocks are one message, which comes in bounded time."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        await node.until_log_size(70)
        served.server.on_head(Height(8), 80)
        told = served.server._head
        with trio.move_on_after(0.03) as scope:
            await node.receive()
        assert scope.cancelled_caught
        served.server.on_head(Height(9), 80)
        await node.until_log_size(80)
        [_, head] = node.heads
        assert (head.height, head.log_size) == (9, 80)
        assert (head.grown_height, head.grown_ms) == (8, told.grown_ms)


@pytest.mark.usefixtures("never_late")
async def test_gateway_with_readers_is_told_at_once(tmp_path: Path) -> None:
    """A log that grows is told of within the call to whom it concerns, an empty block is not."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        await node.until_log_size(70)
        served.server.on_head(Height(8), 80)
        await node.send(Attend(is_live=True))
        await node.until_log_size(80)  # what was not told yet
        assert served.server.is_awaited()
        served.server.on_head(Height(9), 80)
        served.server.on_head(Height(10), 90)
        await node.until_log_size(90)
        assert [head.height for head in node.heads] == [7, 8, 10]
        await node.send(Attend(is_live=False))
        assert await node.ask(StatusRequest(1)) == StatusReply(1, b"{}")
        assert not served.server.is_awaited()
        served.server.on_head(Height(11), 95)
        with trio.move_on_after(0.03):
            await node.receive()
        assert node.heads[-1].height == 10


@pytest.mark.usefixtures("never_late")
async def test_whoever_waits_for_blocks_is_told_of_each(tmp_path: Path) -> None:
    """What is awaited is answered with the next block, which is told at once, be it empty."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        await node.until_log_size(70)
        assert not served.server.is_awaited()
        await node.send(Submit(1, (b"a",), is_awaited=True))
        [submitted] = await served.submitted(1)
        assert served.server.is_awaited()
        served.server.reply(Reply(submitted.ticket, (ADMITTED,)))
        with trio.move_on_after(0.03):
            await node.receive()
        assert not node.answers
        served.server.on_head(Height(8), 70)
        while len(node.heads) < 2:
            await node.receive()
        assert node.answers == {1: SubmitReply(1, ())}


async def test_awaited_answer_does_not_wait_for_ever(tmp_path: Path) -> None:
    """When no block comes the node's word is given all the same."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        await node.send(Submit(1, (b"a",), is_awaited=True))
        [submitted] = await served.submitted(1)
        served.server.reply(Reply(submitted.ticket, (ADMITTED,)))
        while 1 not in node.answers:
            await node.receive()


@pytest.mark.usefixtures("never_late")
@pytest.mark.parametrize(("second", "verdict"), [(True, RejectCode.DUPLICATE), (False, ADMITTED)])
async def test_answer_that_ends_a_request_comes_at_once(
    tmp_path: Path,
    second: bool,
    verdict: ExaminedEntry | RejectCode,
) -> None:
    """A refusal, and what is not waited for further, does not wait for a block."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        requests = [Submit(1, (b"a",), is_awaited=True), Submit(2, (b"b",), is_awaited=second)]
        await node.stream.send_all(b"".join(control_frame(r) for r in requests))
        [submitted] = await served.submitted(1)
        served.server.reply(Reply(submitted.ticket, (ADMITTED, verdict)))
        while len(node.answers) < 2:
            await node.receive()


async def test_more_than_a_socket_takes_arrives(tmp_path: Path) -> None:
    """Answers that the gateway takes late are whole and in order, the newest head behind them."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        served.server._metrics = lambda: bytes(3_000_000)
        await node.send(MetricsRequest(1))
        await node.send(MetricsRequest(2))
        await trio.sleep(0.05)
        await node.send(Attend(is_live=True))
        served.server.on_head(Height(8), 80)
        served.server.on_head(Height(9), 90)
        await node.until_log_size(90)
        assert list(node.answers) == [1, 2]
        assert node.answers[2] == MetricsReply(2, bytes(3_000_000))


async def test_gateway_may_leave_while_it_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room that is there again only when the connection is gone harms nobody."""
    monkeypatch.setattr(control_server_module, "CONTROL_CLIENT_ENTRIES_MAX", 1)
    async with serving(tmp_path) as served, gateway(served.path) as good:
        async with gateway(served.path) as bad:
            await bad.send(Submit(1, (b"a",)))
            [submitted] = await served.submitted(1)
        with trio.fail_after(50):
            while served.server.clients_count > 1:  # noqa: ASYNC110 - nothing announces it
                await trio.sleep(0.001)
        served.server.reply(Reply(submitted.ticket, (ADMITTED,)))
        assert await good.ask(StatusRequest(1)) == StatusReply(1, b"{}")


async def test_requests_that_come_together_are_one_input(tmp_path: Path) -> None:
    """The core sees one submission; every request gets its own codes."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        requests: list[ControlQuestion] = [
            Submit(5, (b"a", b"b")),
            StatusRequest(6),
            Submit(7, (b"c",)),
        ]
        await node.stream.send_all(b"".join(control_frame(r) for r in requests))
        [submitted] = await served.submitted(1)
        assert submitted.entries == (b"a", b"b", b"c")
        verdicts = (ADMITTED, RejectCode.DUPLICATE, RejectCode.MALFORMED)
        served.server.reply(Reply(submitted.ticket, verdicts))
        while len(node.answers) < 3:
            await node.receive()
        assert node.answers == {
            5: SubmitReply(5, ("", "duplicate")),
            6: StatusReply(6, b"{}"),
            7: SubmitReply(7, ("malformed",)),
        }
        assert await node.ask(MetricsRequest(8)) == MetricsReply(8, b"metric 1\n")


async def test_request_that_is_taken_over_has_no_codes(tmp_path: Path) -> None:
    """The answer to a request of which nothing is refused is short, also beside a refused one."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        for last, codes in ((ADMITTED, ()), (RejectCode.DUPLICATE, ("duplicate",))):
            requests = [Submit(1, (b"a", b"b")), Submit(2, (b"c",))]
            await node.stream.send_all(b"".join(control_frame(r) for r in requests))
            [submitted] = await served.submitted(1)
            served.server.reply(Reply(submitted.ticket, (ADMITTED, ADMITTED, last)))
            while len(node.answers) < 2:
                await node.receive()
            assert node.answers == {1: SubmitReply(1, ()), 2: SubmitReply(2, codes)}
            node.answers.clear()


async def test_one_code_for_all_reaches_every_entry(tmp_path: Path) -> None:
    """A refused submission is refused entry by entry."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        await node.send(Submit(1, (b"a", b"b")))
        [submitted] = await served.submitted(1)
        served.server.reply(Reply(submitted.ticket, RejectCode.OVERLOADED))
        while 1 not in node.answers:
            await node.receive()
        assert node.answers[1] == SubmitReply(1, ("overloaded", "overloaded"))


async def test_inputs_of_the_core_are_limited(tmp_path: Path) -> None:
    """What comes together is cut into submissions of an allowed size."""
    async with serving(tmp_path) as served, gateway(served.path) as node:
        half = (b"e",) * 2_500
        await node.stream.send_all(control_frame(Submit(1, half)) * 2)
        first, second = await served.submitted(2)
        assert [len(first.entries), len(second.entries)] == [2_500, 2_500]


@pytest.mark.parametrize("garbage", [b"\xff" * 8, b"\0\0\0\0", encode_frame(b"\xc1")])
async def test_garbage_ends_that_connection_alone(tmp_path: Path, garbage: bytes) -> None:
    """A gateway that talks nonsense is cut; the others notice nothing."""
    async with serving(tmp_path) as served, gateway(served.path) as good:
        async with gateway(served.path) as bad:
            await bad.stream.send_all(garbage)
            await _closed(bad)
        assert await good.ask(StatusRequest(1)) == StatusReply(1, b"{}")


async def test_nothing_is_taken_from_a_connection_that_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what comes before its task has its turn, nor what came with too many questions."""
    monkeypatch.setattr(control_server_module, "CONTROL_REPLY_BYTES_MAX", 1_000)
    made: list[bytes] = []

    def status() -> bytes:
        made.append(bytes(1_001))
        return made[-1]

    async with serving(tmp_path, status) as served, gateway(served.path) as node:
        await node.receive()
        [client] = served.server._clients
        questions = [control_frame(StatusRequest(n)) for n in range(9)]
        await node.stream.send_all(b"".join(questions))
        client.read()
        assert len(made) == 1
        await node.send(Submit(1, (b"a",)))
        client.read()
        assert not served.inbox.take()


async def test_answers_to_a_gateway_that_left_are_dropped(tmp_path: Path) -> None:
    """A reply whose gateway is gone harms nobody."""
    async with serving(tmp_path) as served:
        async with gateway(served.path) as node:
            await node.send(Submit(1, (b"a",)))
            [submitted] = await served.submitted(1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        served.server.reply(Reply(submitted.ticket, (ADMITTED,)))
        assert served.server.clients_count == 0


async def test_unanswered_entries_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that submits faster than it is answered is not read any further."""
    monkeypatch.setattr(control_server_module, "CONTROL_CLIENT_ENTRIES_MAX", 2)
    async with serving(tmp_path) as served, gateway(served.path) as node:
        for number in range(3):
            await node.send(Submit(number, (b"a", b"b")))
            await trio.testing.wait_all_tasks_blocked(0.01)
        [first] = await served.submitted(1)
        assert served.inbox.take() == []
        served.server.reply(Reply(first.ticket, (ADMITTED, ADMITTED)))
        [second] = await served.submitted(1)
        assert second.ticket != first.ticket


async def test_gateway_that_does_not_read_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that nobody takes cost a bounded amount of memory."""
    monkeypatch.setattr(control_server_module, "CONTROL_REPLY_BYTES_MAX", 1_000_000)
    async with serving(tmp_path) as served, gateway(served.path) as node:
        served.server._metrics = lambda: bytes(100_000)
        for number in range(60):
            with trio.move_on_after(0.05), suppress(trio.BrokenResourceError):
                await node.send(MetricsRequest(number))
        with trio.fail_after(50):
            while served.server.clients_count:  # noqa: ASYNC110 - nothing announces it
                await trio.sleep(0.001)


async def test_number_of_gateways_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One gateway more than allowed is refused; those that are there stay."""
    monkeypatch.setattr(control_server_module, "CONTROL_CLIENTS_MAX", 1)
    async with serving(tmp_path) as served, gateway(served.path) as first:
        await first.until_log_size(70)
        async with gateway(served.path) as second:
            await _closed(second)
        assert await first.ask(StatusRequest(1)) == StatusReply(1, b"{}")


async def test_socket_is_private_and_replaces_a_dead_one(tmp_path: Path) -> None:
    """Only its owner may connect; what a killed node left is no obstacle, a file is one."""
    path = tmp_path / "control.sock"
    for _ in range(2):
        listener = open_control_socket(path)
        assert path.stat().st_mode & 0o777 == 0o600
        listener.socket.close()
    path.unlink()
    path.write_text("precious")
    with pytest.raises(Unavailable, match="in the way"):
        open_control_socket(path)
    assert path.read_text() == "precious"
    with pytest.raises(Unavailable, match="cannot open"):
        open_control_socket(tmp_path / "absent" / "control.sock")
