"""The Dockerfile, what it may copy, its health check, and the reader of `make image-test`."""

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deployment.dockerfile import Stage, command_words, read_dockerfile
from tests.deployment.image_build import Ignored

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


@pytest.fixture
def stages() -> list[Stage]:
    """Give the stages of our Dockerfile."""
    return read_dockerfile((DOCKER / "Dockerfile").read_text())


def test_reader_joins_substitutes_and_refuses() -> None:
    """Lines are joined over comments, ARG goes into FROM, and unknown instructions are refused."""
    text = "ARG B=debian:x\nFROM ${B} AS one\n# c\nRUN a \\\n# c\n  && b\nCOPY --from=one /a /b\n"
    (stage,) = read_dockerfile(text)
    assert (stage.name, stage.base) == ("one", "debian:x")
    assert [(row.name, row.text) for row in stage.instructions] == [
        ("RUN", "a   && b"),
        ("COPY", "/a /b"),
    ]
    assert stage.last("COPY").options == {"from": "one"}
    assert read_dockerfile(text, {"B": "debian:y"})[0].base == "debian:y"
    assert command_words('["a", "b c"]') == ["a", "b c"]
    assert command_words("a b") == ["/bin/sh", "-c", "a b"]
    for bad in ("RUN x", "FROM a\nADD x y", "FROM a\nRUN x \\"):
        with pytest.raises(ValueError, match=r"before FROM|not known|continued"):
            read_dockerfile(bad)


def test_image_runs_as_nobody_special(stages: list[Stage]) -> None:
    """The last stage has its own user, a health check, and `concordat run` as process 1."""
    final = stages[-1]
    uid, _, gid = final.last("USER").text.partition(":")
    assert uid.isdecimal() and gid.isdecimal() and uid != "0"  # noqa: PT018 - one statement
    assert command_words(final.last("ENTRYPOINT").text) == ["concordat"]
    assert command_words(final.last("CMD").text) == ["run"]
    assert "concordat-ready" in final.last("HEALTHCHECK").text
    assert f"--uid {uid}" in final.last("RUN").text
    assert "gcc" not in final.last("RUN").text


def test_dependencies_are_locked(stages: list[Stage]) -> None:
    """Everything from a package index has a hash, and nothing is resolved while building."""
    installs = [
        part
        for row in stages[0].instructions
        if row.name == "RUN"
        for part in row.text.split("&&")
        if "pip" in part and (" install " in part or " wheel " in part)
    ]
    assert len(installs) >= 3
    for part in installs:
        assert "--no-deps" in part
        assert "--require-hashes" in part or "--no-index" in part


def test_context_holds_what_is_copied_and_no_more(stages: list[Stage]) -> None:
    """Each COPY finds its files; keys, homes, builds and the history of the tree stay outside."""
    is_ignored = Ignored((ROOT / ".dockerignore").read_text())
    copies = [row for stage in stages for row in stage.instructions if row.name == "COPY"]
    for row in copies:
        if "from" not in row.options:
            for source in row.text.split()[:-1]:
                assert (ROOT / source).exists()
                inside = f"{source}/x.py" if (ROOT / source).is_dir() else source
                assert not is_ignored(inside), source
    for name in (
        ".git/config",
        ".venv/bin/python",
        "net/node0/keys/validator.json",
        "docker/compose.yaml",
        "ledger/native/scan.cpython-311-x86_64-linux-gnu.so",
        "ledger/__pycache__/x.pyc",
        "tests/conftest.py",
    ):
        assert is_ignored(name), name


class Answering(BaseHTTPRequestHandler):
    """Answers as a gateway does: ready at one path, not at another."""

    def do_GET(self) -> None:
        """Answer."""
        is_ready = self.path == "/readyz"
        self.send_response(200 if is_ready else 503)
        self.end_headers()
        self.wfile.write(b"ok" if is_ready else b"the node is away")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Give the URL of such a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_health_check_tells_ready_from_not(url: str) -> None:
    """It ends with 0 only when the gateway says so, and tells the reason when not."""

    def check(address: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["python3", "-ISB", str(DOCKER / "concordat-ready")],
            env={"PATH": "/usr/bin:/bin", "CONCORDAT_READY_URL": address, "http_proxy": "http://x"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert check(f"{url}/readyz").returncode == 0
    away = check(f"{url}/other")
    assert (away.returncode, "503: the node is away" in away.stderr) == (1, True)
    assert "does not answer" in check("http://127.0.0.1:1/readyz").stderr
