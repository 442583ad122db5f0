"""``make image-test``: build the image, run compose's four members from it, and judge them.

Builds what docker/Dockerfile says in chroots of debootstrap's, as root, then starts `init` and the
members of docker/compose.yaml from the result, with their users, volumes and limits of rights.
``--keep DIRECTORY`` keeps what was built there, for a quicker next run; else all of it is removed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from tests.deployment.containers import Container, Machine
from tests.deployment.dockerfile import read_dockerfile
from tests.deployment.image_build import Image, build_image

ROOT: Final = Path(__file__).parents[2]
DOCKER: Final = ROOT / "docker"
MEMBERS: Final = ("alpha", "beta", "gamma", "delta")
_SECONDS: Final = 90.0
_started = time.monotonic()


def say(text: str) -> None:
    """Tell what happens, and when."""
    line = " ".join(text.split())
    short = line if len(line) < 100 else f"{line[:97]}..."
    print(f"{time.monotonic() - _started:6.1f} s  {short}", flush=True)


def require(holds: object, what: str, detail: object = "") -> None:
    """End with a message unless something holds."""
    if not holds:
        sys.exit(f"FAILED: {what}\n{detail}")
    say(f"ok: {what}")


def judge_image(image: Image) -> None:
    """What must not be in the image is not, and what is belongs to root."""
    binaries = [*image.root.glob("usr/bin/*"), *image.root.glob("opt/concordat/bin/*")]
    names = {path.name for path in binaries}
    unwanted = {"gcc", "cc", "make", "pip", "pip3", "git", "curl", "wget"} & names
    require(not unwanted, "no compiler, pip or downloader in the image", unwanted)
    require("concordat" in names, "the command is there")
    files = [path for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
    owners = {path.stat().st_uid for path in files}
    require(owners == {0}, "the program belongs to root, so its user cannot change it")
    size = _bytes(image.root)
    own = _bytes(image.root / "opt")
    say(f"file system {size / 2**20:,.0f} MiB, of which /opt/concordat {own / 2**20:,.0f} MiB")


def wait_healthy(containers: Mapping[str, Container]) -> None:
    """Return when the health check of every container succeeds."""
    deadline = time.monotonic() + _SECONDS
    for container in containers.values():
        while not container.is_healthy():
            code = container.process.poll()
            if code is not None or time.monotonic() > deadline:
                require(False, f"{container.name} healthy", container.log.read_text()[-3_000:])
            time.sleep(0.2)
    require(True, f"healthy: {', '.join(containers)}")


def judge_rights(container: Container) -> None:
    """Process 1 is nobody special and can change nothing but its volume."""
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{container.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    users = set(status["Uid"].split() + status["Gid"].split())
    require(users == {"10001"}, "process 1 runs as user 10001", status)
    rights = (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"])
    require(rights == (0, 0, "1"), "it has no capability and gets none", rights)
    words = container.execute("cat", "/proc/1/cmdline").stdout.split("\0")
    require("run" in words, "process 1 is `concordat run`", words)
    denied = container.execute("touch", "/opt/concordat/x")
    require("Read-only file system" in denied.stderr, "the root is read-only", denied)


def publish(container: Container, subject: str) -> dict[str, Any]:
    """Publish an event from a member's own container; give its receipt."""
    content = ("--topic", f"{container.name}.offers", "--type", "offer.created")
    result = container.execute(
        "concordat", "publish", *content, "--subject", subject, "--wait", "final", "--json"
    )
    require(result.returncode == 0, f"{container.name} published {subject}", result)
    receipt: dict[str, Any] = json.loads(result.stdout)
    return receipt


def judge_event(container: Container, id_: str) -> None:
    """Another member serves the event, and its proof holds."""
    proof = container.execute("concordat", "get", id_, "--proof")
    require(proof.returncode == 0, f"{container.name} proves the event", proof)
    verified = container.execute(
        "sh", "-c", f"concordat get {id_} --proof | concordat verify - --genesis genesis.json"
    )
    require(verified.returncode == 0, "the proof holds against the genesis file", verified)


def judge_network(machine: Machine, services: Mapping[str, Any]) -> None:
    """Init makes the network once; four members agree, survive a kill, and end when asked."""
    for again in (False, True):
        made = machine.start("init", services["init"], DOCKER)
        require(made.process.wait(_SECONDS) == 0, "init ended with 0", made.log.read_text())
        if again:
            require("nothing was changed" in made.log.read_text(), "init is done once")

    def start(*names: str) -> dict[str, Container]:
        return {name: machine.start(name, services[name], DOCKER) for name in names}

    members = start(*MEMBERS)
    wait_healthy(members)
    judge_rights(members["alpha"])
    first = publish(members["alpha"], "urn:offer:1")
    judge_event(members["gamma"], first["id"])
    status = members["beta"].execute("concordat", "status", "--wait", "30")
    require(status.returncode == 0, "`concordat status` is well", status)
    members["delta"].kill()
    require(publish(members["beta"], "urn:offer:2"), "three of four go on")
    members |= start("delta")
    wait_healthy(members)
    backup = members["delta"].execute("concordat", "backup", "--to", "backup")
    require(backup.returncode == 0, "a backup is made in the container", backup)
    codes = {name: member.stop() for name, member in members.items()}
    require(set(codes.values()) == {0}, "SIGTERM ends all with 0", codes)
    members = start(*MEMBERS)
    wait_healthy(members)
    judge_event(members["delta"], first["id"])
    codes = {name: member.stop() for name, member in members.items()}
    require(set(codes.values()) == {0}, "and once more", codes)


def main() -> None:
    """Build, run, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="keep what is built here")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("image-test makes chroots and namespaces: run it as root")
    with ExitStack() as stack:
        kept: Path | None = arguments.keep
        if kept is None:
            kept = Path(stack.enter_context(TemporaryDirectory(prefix="concordat-image-")))
        kept.mkdir(parents=True, exist_ok=True)
        stages = read_dockerfile((DOCKER / "Dockerfile").read_text())
        image = build_image(stages, ROOT, kept.resolve(), say)
        judge_image(image)
        place = Path(stack.enter_context(TemporaryDirectory(prefix="run-", dir=kept.resolve())))
        services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
        with Machine(place, image, ["init", *MEMBERS]) as machine:
            judge_network(machine, services)
    say("all of it holds")


def _bytes(directory: Path) -> int:
    told = subprocess.run(
        ["du", "-sxb", str(directory)], check=True, capture_output=True, text=True
    )
    return int(told.stdout.split()[0])


if __name__ == "__main__":
    main()
