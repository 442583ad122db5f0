"""Checks of machine and installation: interpreter, kernels, disk, limits, clock, service."""

import ctypes
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from concordat.doctor.finding import Finding, Patient, error, ok, warning
from concordat.preflight import PreflightError, require_assertions, require_own_packages
from ledger.io.release import VERSION
from ledger.native import blake3, ed25519, merkle, scan

__all__ = ["HOST_CHECKS", "clock", "disk", "installation", "kernels", "limits", "service"]

_GIB: Final = 2**30
_FREE_WARNING: Final = 5 * _GIB
_FREE_ERROR: Final = _GIB
_SYNCS: Final = 15
_SYNC_BYTES: Final = 4_096
_SYNC_WARNING_MS: Final = 20.0  # two of these are in each round
_SPARE_FILES: Final = 256  # stores, peers, logs: beside the gateway's connections
_FLEETING: Final = frozenset({"tmpfs", "ramfs"})
_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "fuse.sshfs", "9p"})
_CLOCK_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)
_TIMEX_BYTES: Final = 208
_TIMEX_STATUS: Final = 10  # index of the status among 32-bit words, on 64-bit Linux


def installation(_patient: Patient) -> Iterator[Finding]:
    """Assertions are on, and the packages are ours."""
    try:
        require_assertions()
        require_own_packages()
    except PreflightError as fault:
        yield error("installation", str(fault), "See the message; the node does not start so.")
        return
    python = ".".join(map(str, sys.version_info[:3]))
    yield ok("installation", f"Concordat {VERSION} on Python {python}, its packages unshadowed")


def kernels(_patient: Patient) -> Iterator[Finding]:
    """The compiled kernels use what the processor offers."""
    chosen = {
        "ed25519": (ed25519.implementation(), ed25519.implementations()),
        "blake3": (blake3.implementation(), blake3.implementations()),
        "merkle": (merkle.implementation(), merkle.implementations()),
        "scan": (scan.implementation(), scan.implementations()),
    }
    text = ", ".join(f"{name} {mine}" for name, (mine, _) in chosen.items())
    if any(mine != offered[-1] for mine, offered in chosen.values()):
        advice = "Unset CONCORDAT_NATIVE, which caps them; it is for tests."
        yield warning("kernels", f"slower kernels than the processor allows: {text}", advice)
    else:
        yield ok("kernels", text)


def disk(patient: Patient) -> Iterator[Finding]:
    """Each store's disk has room, keeps what is written, and syncs quickly."""
    node = patient.home.config.node
    named = (node.chain_dir, node.safety_dir, patient.home.config.delivery.directory)
    places = [_existing(patient.home.resolve(name)) for name in named]
    for place in {path.stat().st_dev: path for path in reversed(places)}.values():
        yield from _room(place)
        yield from _kind(place)
        yield from _syncing(place)


def _existing(path: Path) -> Path:
    """Give the directory, or the nearest one above it that exists."""
    while not path.is_dir():
        path = path.parent
    return path


def _room(place: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(place).free
    text = f"{free / _GIB:.1f} GiB are free for {place}"
    advice = "Make room or enlarge the disk: a full one ends the node with code 4."
    if free < _FREE_ERROR:
        yield error("disk", text, advice)
    elif free < _FREE_WARNING:
        yield warning("disk", text, advice)
    else:
        yield ok("disk", text)


def _kind(place: Path) -> Iterator[Finding]:
    kind = _file_system(place, Path("/proc/mounts"))
    if kind in _FLEETING:
        advice = "Put the stores on a disk: without its safety record a validator must sit out."
        yield warning("disk", f"{place} is on {kind}, which a restart of the machine ends", advice)
    elif kind in _REMOTE:
        advice = (
            "Use a local or block device: locks and syncs over a network are not to be trusted."
        )
        yield warning("disk", f"{place} is on {kind}", advice)


def _file_system(place: Path, mounts: Path) -> str:
    """Give the kind of the file system that holds ``place``, as in /proc/mounts."""
    best, kind = "", ""
    try:
        rows = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    for _, point, its_kind, *_ in rows:
        is_in = point == "/" or place == Path(point) or Path(point) in place.parents
        if is_in and len(point) >= len(best):
            best, kind = point, its_kind
    return kind


def _syncing(place: Path) -> Iterator[Finding]:
    try:
        took_ms = _sync_ms(place)
    except OSError as fault:
        text = f"nothing can be written in {place}: {fault.strerror}"
        yield error("disk", text, "Run this as the member's user; check the mount and its space.")
        return
    text = f"a synced write in {place} takes {took_ms:.1f} ms"
    if took_ms > _SYNC_WARNING_MS:
        advice = "Every vote waits for one: use a disk of its own, or a quicker one."
        yield warning("disk", text, advice)
    else:
        yield ok("disk", text)


def _sync_ms(place: Path) -> float:
    """Measure the median of some synced writes, in a file that has no name."""
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(bytes(_SYNC_BYTES))
        file.flush()
        os.fsync(file.fileno())
        took = []
        for _ in range(_SYNCS):
            began = time.perf_counter()
            os.pwrite(file.fileno(), os.urandom(_SYNC_BYTES), 0)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000


def limits(patient: Patient) -> Iterator[Finding]:
    """The process may open as many files as the gateway has connections."""
    may, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = patient.home.config.gateway.connections_max + _SPARE_FILES
    if may != resource.RLIM_INFINITY and may < needed:
        text = f"{may} files may be open here; gateway.connections_max asks for {needed}"
        advice = f"LimitNOFILE={needed} in the unit, `ulimit -n`, or fewer connections."
        yield warning("limits", text, advice)
    else:
        yield ok("limits", f"{may} files may be open here, {needed} are needed at most")


def clock(_patient: Patient) -> Iterator[Finding]:
    """The kernel's clock follows others."""
    status = _clock_status()
    if status is None or not status & _CLOCK_UNSYNCHRONISED:
        yield ok("clock", "nothing says that the clock is on its own")
    else:
        advice = "Run chrony or systemd-timesyncd: blocks and events with a wrong time are refused."
        yield warning("clock", "the kernel's clock is not synchronised", advice)


def _clock_status() -> int | None:
    """Ask the kernel about its clock, as ntptime does; None where that is not known."""
    # Zeros ask without changing anything: adjtimex(2).
    words = (ctypes.c_int32 * (_TIMEX_BYTES // 4))()
    try:
        result = ctypes.CDLL(None).adjtimex(ctypes.byref(words))
    except (AttributeError, OSError):
        return None
    return None if result < 0 else int(words[_TIMEX_STATUS])


def service(patient: Patient, root: Path = Path("/")) -> Iterator[Finding]:
    """Something starts the member again, and in a container its data outlives it."""
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        data = _existing(patient.home.resolve(patient.home.config.node.chain_dir))
        if not any(path.is_mount() for path in (data, *data.parents[:-1])):
            advice = "Mount a volume at the home: the container's own layer goes with it."
            yield warning("service", f"{data} is in the container's own layer", advice)
        else:
            yield ok("service", "it runs in a container, with its data on a volume")
    elif (root / "run/systemd/system").is_dir():
        units = [*(root / "etc/systemd/system").glob("concordat*.service")]
        if units:
            yield ok("service", f"systemd knows {units[0].name}")
        else:
            advice = "docs/operations/running-a-member.md has a unit that starts it again."
            yield warning("service", "systemd runs here and has no unit of Concordat", advice)


HOST_CHECKS: Final = (installation, kernels, disk, limits, clock, service)
