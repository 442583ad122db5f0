"""Commands that read and publish act in the name of a token from a file."""

from pathlib import Path
from typing import Protocol

import httpx
import pytest
from click.testing import Result

from tests.support.memory_chain import MemoryChain, make_entry
from tests.support.memory_gateway import MemoryGateway
from tests.support.socket_gateway import served

TOKEN = "cct_0123456789"


class Run(Protocol):
    """The command line; see conftest."""

    def __call__(self, *arguments: object, code: int = 0) -> Result: ...


def test_a_command_sends_the_token_of_its_file(
    concordat: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option and the environment name the file; without either nothing is sent."""
    chain = MemoryChain()
    opened = make_entry(chain.genesis.chain_id, 0)
    chain.grow([opened])
    gateway = MemoryGateway(chain)
    seen: list[str | None] = []

    def note(request: httpx.Request) -> None:
        seen.append(request.headers.get("authorization"))

    gateway.faults.append(note)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with served(gateway) as url:
        asked = ("get", "--url", url, opened.id.hex())
        concordat(*asked)
        concordat(*asked, "--token-file", file)
        follow = ("subscribe", "--url", url, "--no-verify", "--count", 1, "--token-file", file)
        concordat(*follow)
        monkeypatch.setenv("CONCORDAT_TOKEN_FILE", str(file))
        concordat(*asked)
    assert seen == [None, *[f"Bearer {TOKEN}"] * 3]


@pytest.mark.parametrize("content", ["", "two words", "s\u00e9cret"])
def test_a_file_without_a_token_is_refused(concordat: Run, tmp_path: Path, content: str) -> None:
    """What is in such a file is not shown, whatever it is."""
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    result = concordat("status", "--url", "http://127.0.0.1:1", "--token-file", file, code=2)
    assert "holds no token" in result.output
    assert not content or content not in result.output
    concordat("status", "--url", "http://127.0.0.1:1", "--token-file", tmp_path / "none", code=2)
