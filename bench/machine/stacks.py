"""Sampled stacks of a process, told apart by what each is busy with.

Pure but for reading what py-spy wrote: one stack a line, from the thread to the innermost frame,
native frames among them, and how often it was seen. A stack belongs to the innermost frame that
a rule knows, looked for no further out than the innermost Python frame.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["KERNEL_PARTS", "WAITING", "Cost", "ThreadCpu", "costs", "read_stacks"]

WAITING = "waiting"
_SYNC = "files: write and sync"
_SOCKETS = "sockets and wakeups"
_OTHER = "Python: libraries"

KERNEL_PARTS = frozenset({_SYNC, _SOCKETS})
"""Parts whose stacks end in a system call."""

_RULES = tuple(
    (part, re.compile(pattern))
    for part, pattern in (
        (WAITING, r"^(pthread_cond_(timed)?wait|sem_(timed)?wait|PyThread_acquire_lock|futex)"),
        (_SYNC, r"^(p?writev?(64)?|fdatasync|fsync|msync|sync_file_range) \(libc"),
        (
            _SOCKETS,
            r"^(send|sendto|sendmsg|recv|recvfrom|recvmsg|epoll_|accept|read|sem_p)",
        ),
        ("signatures", r"ed25519|sum_multiples|libsodium|_sodium"),
        ("hashing", r"blake3|sha256|native/merkle"),
        ("storage (LMDB)", r"\((mdb|midl)\.c|\(cpython\.c:|lmdb"),
        ("TLS", r"libssl|libcrypto|\(_ssl|_rust"),
        ("reading entries (kernels)", r"ledger/native/"),
        ("garbage collection", r"gcmodule\.c|gc_collect"),
        ("encoding (msgspec)", r"msgspec"),
        ("event loop", r"trio/|uvloop|asyncio/|outcome/"),
        ("HTTP", r"uvicorn/|starlette/|httptools"),
        ("Python: ledger", r"\(ledger/"),
        ("Python: consensus", r"\(consensus/"),
        ("Python: gateway", r"\((pubsub|concordat|adapters)/"),
    )
)
_THREAD = re.compile(r"^thread \((\d+)\): (.*)$")


class ThreadCpu(NamedTuple):
    """What one thread used in a window, in seconds."""

    user_s: float
    kernel_s: float


class Cost(NamedTuple):
    """CPU of one part of the work in one thread, in microseconds of an event."""

    thread: str
    part: str
    us: float


def read_stacks(lines: Iterable[str]) -> dict[int, tuple[str, Counter[str]]]:
    """Give, by thread id, the thread's name and how often it was seen at each part."""
    threads: dict[int, tuple[str, Counter[str]]] = {}
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        thread = next((found for frame in frames if (found := _THREAD.match(frame))), None)
        if thread is None:
            continue
        _, counts = threads.setdefault(int(thread[1]), (thread[2], Counter()))
        counts[_part(frames)] += int(count)
    return threads


def costs(
    threads: Mapping[int, tuple[str, Counter[str]]], cpu: Mapping[int, ThreadCpu], events: int
) -> list[Cost]:
    """Spread the exact CPU of each thread over its parts, as often as each was seen.

    Time in the kernel goes to parts that end in system calls, the rest to the others. Threads of
    one name are one. A thread that was never seen at work has one part, of no name.
    """
    found: defaultdict[tuple[str, str], float] = defaultdict(float)
    for number, use in cpu.items():
        name, counts = threads.get(number, ("others", Counter[str]()))
        for seconds, is_kernel in ((use.user_s, False), (use.kernel_s, True)):
            seen = {
                part: count
                for part, count in counts.items()
                if part != WAITING and (part in KERNEL_PARTS) == is_kernel
            } or {_SOCKETS if is_kernel else _OTHER: 1}
            for part, count in seen.items():
                found[name, part] += seconds * count / sum(seen.values())
    return sorted(
        (Cost(name, part, round(s * 1e6 / events, 2)) for (name, part), s in found.items()),
        key=lambda cost: -cost.us,
    )


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, pattern in _RULES:
            if pattern.search(frame):
                return part
        if ".py:" in frame:
            break
    return _OTHER
