"""Sampled stacks: each belongs to what its thread is busy with, and CPU is spread exactly."""

import pytest

from bench.machine.stacks import WAITING, Cost, ThreadCpu, costs, read_stacks

_CHAIN = "thread (7): chain;0x7fb8 (libc.so.6);_loop (consensus/io/worker_thread.py:83)"
_MAIN = "thread (8): MainThread;unrolled_run (trio/_core/_run.py:2866)"
_LINES = (
    """
{chain};_put_all (ledger/io/chain_writer.py:265);mdb_page_copy (mdb.c:2510);0x7f (libc.so.6) 30
{chain};refuse_forged (ledger/native/scan.so);sum_multiples (ledger/native/ed25519.so) 10
{chain};commit (ledger/io/environment.py:3);mdb_env_sync0 (mdb.c:1);fdatasync (libc.so.6) 4
{chain};take_more (consensus/io/worker_thread.py:50);PyThread_acquire_lock_timed (x);0x7f (y) 500
process 3:python;{main};step (consensus/core/node.py:3) 6
{main} 2
""".strip()
    .format(chain=_CHAIN, main=_MAIN)
    .splitlines()
)


def test_a_stack_belongs_to_its_innermost_known_frame() -> None:
    """A copy of a page is storage's, a step of consensus is not the event loop's."""
    assert {name: dict(parts) for name, parts in read_stacks(_LINES).values()} == {
        "chain": {
            "storage (LMDB)": 30,
            "signatures": 10,
            "files: write and sync": 4,
            WAITING: 500,
        },
        "MainThread": {"Python: consensus": 6, "event loop": 2},
    }


def test_all_cpu_is_spread_and_nothing_else() -> None:
    """User time goes to work, kernel time to system calls, none to waiting; the sum is exact."""
    cpu = {7: ThreadCpu(0.4, 0.1), 8: ThreadCpu(0.08, 0.02), 9: ThreadCpu(0.01, 0.0)}
    found = costs(read_stacks(_LINES), cpu, 10_000)
    assert Cost("chain", "storage (LMDB)", 30.0) in found
    assert Cost("chain", "signatures", 10.0) in found
    assert Cost("chain", "files: write and sync", 10.0) in found
    assert Cost("MainThread", "Python: consensus", 6.0) in found
    assert not [cost for cost in found if cost.part == WAITING]
    assert sum(cost.us for cost in found) == pytest.approx(61.0)
