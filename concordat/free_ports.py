"""TCP ports for what a process starts on this machine; no two processes are given the same.

That nobody listens on a port says little: whoever else was told so may be about to. So each process
owns one block of the ports below those that outgoing connections take, until it ends. The owner is
whoever bound the block's abstract Unix socket, which, like ports, belongs to the network namespace.
"""

import os
import socket
from functools import cache
from typing import Final

__all__ = ["free_base_port", "free_ports"]

_HOST: Final = "127.0.0.1"
_WIDTH: Final = 100  # as many members can stand side by side
_ROWS: Final = 3  # a member's peers, gateway and access node, as `concordat testnet` numbers them
_ROW_STEP: Final = 1000
_TESTNETS: Final = 26_600  # the base port of a testnet that somebody may run here
_FIRSTS: Final = tuple(
    first + offset
    for first in range(20_000, 32_000, _ROWS * _ROW_STEP)
    for offset in range(0, _ROW_STEP, _WIDTH)
    if first + offset != _TESTNETS
)


class _Block:
    """The ports of a process, handed out in turn, so that one comes back as late as can be.

    A column is what stands above each other: ports that differ by `_ROW_STEP`.
    """

    def __init__(self) -> None:
        _, self._first = _own_block()
        self._next = 0

    def take(self, columns: int) -> int:
        """Give the first of so many columns side by side that nobody listens on."""
        for _ in range(_WIDTH):
            if self._next + columns > _WIDTH:
                self._next = 0
            base = self._first + self._next
            taken = [
                column
                for column in range(columns)
                if not all(_is_free(base + row * _ROW_STEP + column) for row in range(_ROWS))
            ]
            if not taken:
                self._next += columns
                return base
            self._next += taken[-1] + 1
        raise OSError(f"somebody listens on the ports from {self._first} on")


def free_base_port(members: int) -> int:
    """Give a base port for a network of so many members, numbered as by ``concordat testnet``.

    Raises:
        OSError: this process's ports are all in use, or every block has an owner.
    """
    return _block_of(os.getpid()).take(members)


def free_ports(count: int) -> list[int]:
    """Give ports that differ and that nobody listens on.

    Raises:
        OSError: as for `free_base_port`.
    """
    columns = -(-count // _ROWS)
    base = free_base_port(columns)
    return [base + row * _ROW_STEP + column for column in range(columns) for row in range(_ROWS)][
        :count
    ]


@cache  # by process, because a fork must not go on with its parent's
def _block_of(_process: int) -> _Block:
    return _Block()


def _own_block() -> tuple[int, int]:
    """Give the file descriptor that holds a block as long as it is open, and its first port."""
    start = os.getpid() % len(_FIRSTS)
    for first in _FIRSTS[start:] + _FIRSTS[:start]:
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0concordat-ports-{first}")
        except OSError:
            mark.close()
            continue
        return mark.detach(), first
    raise OSError(f"each of {len(_FIRSTS)} blocks of ports belongs to a process")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # As servers do: connections of an earlier one may linger.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, port))
        except OSError:
            return False
    return True
