"""One network namespace a member, joined by the switch in user space.

Owns namespaces, devices and the switch's process, and what links are changed to. Everything is
anonymous: a namespace lives as long as a descriptor or a process in it, so nothing is left behind
however this process ends. All of it happens in a namespace that this process was started in alone
(see ``surroundings.py``); the names of devices cannot clash with the machine's.

A member has two ways out: ``peers`` (10.77.0.x) through the switch, which can be hurt, and
``clients`` (10.78.x.2), a plain pair of devices to the clients in this process.
"""

import ctypes
import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.chaos.switch import Link

__all__ = ["Wire"]

_CLONE_NEWNET: Final = 0x4000_0000
_TUNSETIFF: Final = 0x4004_54CA
_IFF_TUN_NO_PI: Final = 0x1001
_MTU: Final = "16000"  # fewer packets for the same load: the switch is written in Python
_SWITCH: Final = Path(__file__).with_name("switch.py")
_libc = ctypes.CDLL(None, use_errno=True)


class Wire:
    """The network between members 0 to n-1.

    Attributes:
        usual: how a link is while nobody hurts it.
    """

    def __init__(self, members_count: int, usual: Link, seed: int) -> None:
        """Make the namespaces and start the switch."""
        self.usual = usual
        self._own = _namespace()
        self._namespaces: list[int] = []
        devices = [self._make_member(member) for member in range(members_count)]
        self._hurt: dict[tuple[int, int], Link] = {}
        self._switch = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SWITCH), str(seed), *map(str, devices)],
            stdin=subprocess.PIPE,
            text=True,
            pass_fds=devices,
        )
        for device in devices:
            os.close(device)
        self._tell()

    @property
    def pid(self) -> int:
        """Process id of the switch."""
        return self._switch.pid

    def peer_address(self, member: int) -> str:
        """Give the address at which other members reach one."""
        return f"10.77.0.{member + 1}"

    def client_address(self, member: int) -> str:
        """Give the address at which clients reach one."""
        return f"10.78.{member}.2"

    @contextmanager
    def inside(self, member: int) -> Iterator[None]:
        """Let this thread, and what it starts, live in the member's namespace for the block."""
        _enter(self._namespaces[member])
        try:
            yield
        finally:
            _enter(self._own)

    def hurt(self, choose: Callable[[int, int], Link | None]) -> None:
        """Replace each link (from, to) for which ``choose`` gives another."""
        everybody = range(len(self._namespaces))
        for pair in [(a, b) for a in everybody for b in everybody if a != b]:
            if link := choose(*pair):
                self._hurt[pair] = link
        self._tell()

    def heal(self, choose: Callable[[int, int], bool]) -> None:
        """Make the links (from, to) that are chosen as they usually are."""
        self._hurt = {pair: link for pair, link in self._hurt.items() if not choose(*pair)}
        self._tell()

    def close(self) -> None:
        """End the switch and let go of the namespaces."""
        assert self._switch.stdin is not None
        self._switch.stdin.close()
        self._switch.wait()
        for namespace in [self._own, *self._namespaces]:
            os.close(namespace)

    def _tell(self) -> None:
        everybody = range(len(self._namespaces))
        matrix = [[self._hurt.get((a, b), self.usual) for b in everybody] for a in everybody]
        rows = [
            [(x.delay_s, x.jitter_s, x.loss, x.reorder, x.is_cut) for x in row] for row in matrix
        ]
        assert self._switch.stdin is not None
        self._switch.stdin.write(json.dumps(rows) + "\n")
        self._switch.stdin.flush()

    def _make_member(self, member: int) -> int:
        """Make one member's namespace; give its device of the switch."""
        ours = f"/proc/{os.getpid()}/fd/{self._own}"
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot make a network namespace")
        try:
            self._namespaces.append(_namespace())
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"peers", _IFF_TUN_NO_PI))
            _ip("link", "set", "lo", "up")
            _ip("address", "add", f"{self.peer_address(member)}/24", "dev", "peers")
            _ip("link", "set", "peers", "mtu", _MTU, "txqueuelen", "5000", "up")
            other_end = ["peer", "name", f"member{member}", "netns", ours]
            _ip("link", "add", "name", "clients", "type", "veth", *other_end)
            _ip("address", "add", f"{self.client_address(member)}/24", "dev", "clients")
            _ip("link", "set", "clients", "up")
        finally:
            _enter(self._own)
        _ip("address", "add", f"10.78.{member}.1/24", "dev", f"member{member}")
        _ip("link", "set", f"member{member}", "up")
        return device


def _namespace() -> int:
    """Give a descriptor of this thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(namespace: int) -> None:
    assert threading.current_thread() is threading.main_thread(), "others would inherit it"
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
