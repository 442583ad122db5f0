"""Runs the services of a compose file that use our image, without a container engine.

Each has what it would have in one: a network namespace on a common bridge, in which the services'
names lead to each other; namespaces of processes and mounts; the image below a layer of its own,
read-only where the file says so; volumes; its user, without the capabilities that are dropped.

Owns processes and namespaces alone, all of which end with this process. Needs root.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.deployment.image_build import Image

__all__ = ["Container", "Machine"]

Service = Mapping[str, Any]

# $1 image, $2 directory for its layer, $3 ro or rw, $4 file of host names, then mounts up to --.
_ENTER: Final = """
set -e
mount --make-rprivate /
image=$1 layer=$2 mode=$3 hosts=$4; shift 4
mkdir -p "$layer/upper" "$layer/work" "$layer/root"
root=$layer/root
mount -t overlay -o "lowerdir=$image,upperdir=$layer/upper,workdir=$layer/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
: > "$root/etc/hosts"
mount --bind "$hosts" "$root/etc/hosts"
while [ "$1" != -- ]; do
    if [ "$1" = tmpfs ]; then
        mkdir -p "$root$2"
        mount -t tmpfs -o "$3" tmpfs "$root$2"
    else
        mkdir -p "$(dirname "$root$2")"
        if [ -d "$1" ]; then mkdir -p "$root$2"; else : > "$root$2"; fi
        mount --bind "$1" "$root$2"
        if [ "$3" = ro ]; then mount -o remount,bind,ro "$root$2"; fi
    fi
    shift 3
done
shift
if [ "$mode" = ro ]; then mount -o remount,ro "$root"; fi
exec chroot "$root" "$@"
"""
_STOP_S: Final = 20.0


@dataclass(slots=True)
class Container:
    """A service that was started."""

    name: str
    words: list[str]
    process: subprocess.Popen[bytes]
    log: Path
    health: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """Process id, on this machine, of what is process 1 in it."""
        own = self.process.pid
        deadline = time.monotonic() + 10
        while not (children := Path(f"/proc/{own}/task/{own}/children").read_text().split()):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        return int(children[0])

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its user, as ``docker exec`` does."""
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-r", *self.words, *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def is_healthy(self) -> bool:
        """Run the image's health check once."""
        return self.execute(*self.health).returncode == 0

    def stop(self) -> int:
        """Send SIGTERM to process 1 and give the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(_STOP_S)

    def kill(self) -> None:
        """End it at once, with all of its processes."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()


class Machine:
    """Where containers run: volumes, names, the bridge.

    Attributes:
        directory: volumes, layers and logs.
    """

    def __init__(self, directory: Path, image: Image, names: Sequence[str]) -> None:
        """Make the bridge and a place on it for each name."""
        self.directory = directory
        self._image = image
        self._pauses: dict[str, subprocess.Popen[bytes]] = {}
        self._containers: list[Container] = []
        self._hosts = directory / "hosts"
        addresses = {name: f"10.77.0.{10 + number}" for number, name in enumerate(names)}
        lines = ["127.0.0.1 localhost", *(f"{a} {name}" for name, a in addresses.items())]
        self._hosts.write_text("\n".join(lines) + "\n")
        switch = self._pause("bridge")
        _in_network(switch, "ip", "link", "add", "bridge", "type", "bridge")
        _in_network(switch, "ip", "link", "set", "bridge", "up")
        for number, (name, address) in enumerate(addresses.items()):
            self._connect(switch, self._pause(name), number, address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for container in self._containers:
            container.process.kill()
            container.process.wait()
        for pause in self._pauses.values():
            pause.kill()
            pause.wait()

    def start(self, name: str, service: Service, folder: Path) -> Container:
        """Start a service.

        Args:
            folder: of the compose file, from which its relative paths go.
        """
        image = self._image
        environment = image.environment | service.get("environment", {})
        user = service.get("user", image.user)
        workdir = service.get("working_dir", image.workdir)
        words = [
            *_privileges(user, service.get("cap_add", ())),
            *(
                "env",
                "-i",
                "-C",
                workdir,
                *(f"{key}={value}" for key, value in environment.items()),
            ),
        ]
        command = [
            *service.get("entrypoint", image.entrypoint),
            *service.get("command", image.command),
        ]
        layer = self.directory / "layers" / name
        shutil.rmtree(layer, ignore_errors=True)
        layer.mkdir(parents=True)
        mode = "ro" if service.get("read_only") else "rw"
        mounts = self._mounts(service, folder)
        enter = [str(image.root), str(layer), mode, str(self._hosts), *mounts, "--"]
        log = self.directory / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *("nsenter", "-t", str(self._pauses[name].pid), "-n"),
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
                    *("sh", "-c", _ENTER, "sh", *enter, *words, *command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        container = Container(name, words, process, log, image.healthcheck)
        self._containers.append(container)
        return container

    def _mounts(self, service: Service, folder: Path) -> list[str]:
        """Give source, target and mode of everything that is mounted."""
        found: list[str] = []
        for row in service.get("volumes", ()):
            source, target, *mode = row.split(":")
            if source.startswith("."):
                place = (folder / source).resolve()
            else:
                place = self.directory / "volumes" / source
                place.mkdir(parents=True, exist_ok=True)
            found += [str(place), target, mode[0] if mode else "rw"]
        for row in service.get("tmpfs", ()):
            target, _, options = row.partition(":")
            found += ["tmpfs", target, options]
        return found

    def _pause(self, name: str) -> int:
        """Start what keeps a network namespace; give its process id."""
        own = Path("/proc/self/ns/net").readlink()
        pause = self._pauses[name] = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pause.pid}/ns/net").readlink() == own:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return pause.pid

    def _connect(self, switch: int, place: int, number: int, address: str) -> None:
        port = f"port{number}"
        other = ("peer", "name", "eth0", "netns", str(place))
        _in_network(switch, "ip", "link", "add", "name", port, "type", "veth", *other)
        _in_network(switch, "ip", "link", "set", port, "master", "bridge", "up")
        _in_network(place, "ip", "link", "set", "lo", "up")
        _in_network(place, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        _in_network(place, "ip", "link", "set", "eth0", "up")


def _privileges(user: str, added: Sequence[str]) -> list[str]:
    """Give the words that take everything away that the compose file takes away."""
    number, _, group = user.partition(":")
    kept = "".join(f",+{name.lower()}" for name in added)
    return [
        *("setpriv", "--reuid", number, "--regid", group, "--clear-groups"),
        *("--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all{kept}"),
    ]


def _in_network(pid: int, *command: str) -> None:
    subprocess.run(["nsenter", "-t", str(pid), "-n", *command], check=True)
