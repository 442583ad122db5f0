"""Ports for what a process starts: free, and nobody else's before it listens on them."""

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import pytest

from concordat import free_ports as module
from concordat.free_ports import free_base_port, free_ports

Found = TypeVar("Found")
TELL = "from concordat.free_ports import free_ports; print(*free_ports(9), flush=True); input()"


def start() -> subprocess.Popen[str]:
    """Start a process that prints its ports and lives until it is given a line."""
    return subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def drawn_by(process: subprocess.Popen[str]) -> list[int]:
    """Give the ports that it printed."""
    assert process.stdout is not None
    return [*map(int, process.stdout.readline().split())]


def test_processes_have_different_ports() -> None:
    """Also while none of them listens on any, and although all draw from as many as they like."""
    processes = [start() for _ in range(4)]
    try:
        drawn = [port for each in processes for port in drawn_by(each)]
    finally:
        for each in processes:
            each.communicate("\n", timeout=20)
    assert len(drawn) == len(set(drawn)) == 36
    assert not set(drawn) & {port for _ in range(100) for port in free_ports(3)}


def in_a_fork(function: Callable[[], Found]) -> Found:
    """Run a function in a process of its own, which has used no port yet."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function)


def draw_all() -> list[int]:
    """Draw as many ports as a process has."""
    return [port for _ in range(100) for port in free_ports(3)]


def test_forked_process_does_not_go_on_with_the_ports_of_its_parent() -> None:
    """It has a block of its own."""
    before = free_ports(3)
    theirs = in_a_fork(draw_all)
    assert len({*theirs}) == 300
    assert not {*theirs} & {*before, *draw_all()}


def draw_beside_listeners() -> list[int]:
    """Draw base ports, while somebody listens on a port of the second, sixth and tenth column."""
    first = free_base_port(1)
    with ExitStack() as stack:
        for row, column in enumerate((1, 5, 9)):
            port = first + 1000 * row + column
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        found = [free_base_port(3) for _ in range(4)]
    return [(base - first) % 100 for base in found]


def test_ports_that_somebody_listens_on_are_passed_over() -> None:
    """In each row, for one member and for several side by side; they are given in turn."""
    assert in_a_fork(draw_beside_listeners) == [2, 6, 10, 13]


def test_block_of_an_ended_process_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When every block has an owner, a further process is refused; its end frees a block."""
    process = start()
    first = min(drawn_by(process)) // 100 * 100
    monkeypatch.setattr(module, "_FIRSTS", (first,))
    try:
        with pytest.raises(OSError, match="belongs to a process"):
            module._own_block()
    finally:
        process.communicate("\n", timeout=20)
    mark, again = module._own_block()
    os.close(mark)
    assert again == first
