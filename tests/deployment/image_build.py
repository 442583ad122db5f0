"""Builds the image of a Dockerfile without a container engine: each stage is a chroot.

``FROM`` is a Debian of debootstrap's, ``RUN`` is executed in it by root in namespaces of its own,
``COPY`` takes from the tree what `.dockerignore` lets through, or from another stage. Needs root,
debootstrap, a Debian mirror and a package index, and minutes.
"""

import fnmatch
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.deployment.dockerfile import Instruction, Stage, assignments, command_words

__all__ = ["Ignored", "Image", "bootstrap", "build_image", "enter_root"]

MIRROR: Final = "http://deb.debian.org/debian"
_TRUSTED: Final = "/etc/ssl/certs/ca-certificates.crt"

# Mounts what a container has, then becomes the command in the root given as $1.
_ENTER: Final = """
set -e
mount --make-rprivate /
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
exec chroot "$root" "$@"
"""


@dataclass(slots=True)
class Image:
    """A file system and how it is run.

    Attributes:
        root: its directory on this machine.
        user: ``uid:gid``.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)


def bootstrap(directory: Path, base: str) -> Path:
    """Make the file system that ``FROM base`` stands for, or find the one of an earlier build.

    Raises:
        ValueError: it is no Debian image. subprocess.CalledProcessError: debootstrap failed.
    """
    name, _, tag = base.partition(":")
    if name != "debian":
        raise ValueError(f"no debootstrap for {base}")
    root = directory / f"base-{tag}"
    if not root.exists():
        partial = root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        suite = tag.removesuffix("-slim")
        subprocess.run(
            ["debootstrap", "--variant=minbase", suite, str(partial), MIRROR],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        # The images of Debian come without any of these.
        for archive in (partial / "var/cache/apt/archives").glob("*.deb"):
            archive.unlink()
        shutil.rmtree(partial / "usr/share/doc")
        partial.rename(root)
    return root


def build_image(
    stages: Sequence[Stage], tree: Path, directory: Path, report: Callable[[str], None]
) -> Image:
    """Execute every stage below ``directory``; give the last one.

    Args:
        tree: what the build may copy from, the context.
        report: told of each instruction.
    """
    ignored = Ignored((tree / ".dockerignore").read_text())
    images: dict[str, Image] = {}
    for stage in stages:
        report(f"FROM {stage.base}")
        root = directory / f"stage-{stage.name}"
        _copy(bootstrap(directory, stage.base), root)
        image = images[stage.name] = Image(root, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        for instruction in stage.instructions:
            report(f"{instruction.name} {instruction.text}")
            _execute(image, instruction, images, _Context(tree, ignored))
    return images[stages[-1].name]


def enter_root(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command as root in a chroot, with namespaces for mounts and processes.

    Raises:
        RuntimeError: it failed; the message has the end of what it said.
    """
    script = ["sh", "-c", _ENTER, "sh", str(root), *command]
    result = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", *script],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"exit code {result.returncode}:\n{result.stdout[-4_000:]}")


class Ignored:
    """What `.dockerignore` says: the last pattern that matches decides."""

    def __init__(self, text: str) -> None:
        lines = (line.strip() for line in text.splitlines())
        self._rules = [line for line in lines if line and not line.startswith("#")]

    def __call__(self, path: str) -> bool:
        result = False
        for rule in self._rules:
            pattern = rule.removeprefix("!")
            if _matches(path, pattern):
                result = not rule.startswith("!")
        return result


@dataclass(frozen=True, slots=True)
class _Context:
    tree: Path
    is_ignored: Ignored

    def copy(self, source: str, target: Path) -> None:
        """Copy a file, or what a directory holds, without what is ignored."""
        start = self.tree / source
        files = [start] if start.is_file() else sorted(start.rglob("*"))
        count = 0
        for path in files:
            if path.is_file() and not self.is_ignored(str(path.relative_to(self.tree))):
                place = target if path == start else target / path.relative_to(start)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, place)
                os.chown(place, 0, 0)
                count += 1
        if not count:
            raise FileNotFoundError(f"COPY {source}: there is none, or .dockerignore names it")


def _matches(path: str, pattern: str) -> bool:
    """Say whether a pattern names the path or a directory above it."""
    parts = path.split("/")
    prefixes = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
    depth = pattern.count("/") + 1
    return any(fnmatch.fnmatchcase(prefix, pattern) for prefix in prefixes[depth - 1 : depth])


def _execute(
    image: Image, instruction: Instruction, images: Mapping[str, Image], context: _Context
) -> None:
    text = instruction.text
    match instruction.name:
        case "RUN":
            _run(image, command_words(text))
        case "COPY":
            _copy_in(image, instruction, images, context)
        case "ENV":
            image.environment |= assignments(text)
        case "WORKDIR":
            image.workdir = text
            (image.root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = text
        case "ENTRYPOINT":
            image.entrypoint = command_words(text)
        case "CMD":
            image.command = command_words(text)
        case "HEALTHCHECK":
            image.healthcheck = command_words(text.removeprefix("CMD").strip())
        case "VOLUME" | "EXPOSE" | "STOPSIGNAL":
            pass  # say something to the engine, do nothing to the file system
        case name:
            raise ValueError(name)


def _run(image: Image, words: Sequence[str]) -> None:
    """Execute ``RUN``, with this machine's names and trusted certificates."""
    assert image.user == "0:0", "ours builds as root"
    inside = image.root / "etc"
    shutil.copy("/etc/resolv.conf", inside / "resolv.conf")
    trusted = image.root / "tmp" / "trusted.crt"
    shutil.copy(_TRUSTED, trusted)
    environment = image.environment | {"PIP_CERT": "/tmp/trusted.crt", "HOME": "/root"}
    try:
        words = ["env", "-C", image.workdir, *words]
        enter_root(image.root, words, environment)
    finally:
        trusted.unlink()
        (inside / "resolv.conf").write_text("")


def _copy_in(
    image: Image, instruction: Instruction, images: Mapping[str, Image], context: _Context
) -> None:
    *sources, name = instruction.text.split()
    target = image.root / os.path.normpath(Path(image.workdir) / name).lstrip("/")
    for source in sources:
        if stage := instruction.options.get("from"):
            _copy(images[stage].root / source.lstrip("/"), target)
            continue
        into = name.endswith("/") and (context.tree / source).is_file()
        place = target / Path(source).name if into else target
        context.copy(source, place)
        if mode := instruction.options.get("chmod"):
            place.chmod(int(mode, 8))


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)
