"""Events as users write them, and the ways in which commands fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import click
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from concordat.cli import output
from concordat.cli.drafts import read_drafts, sign_draft
from concordat.cli.failure import CommandFailed, ExitCode, failures_explained
from concordat.compose.node import node_settings, recover_stores
from concordat.compose.permitted import require_permitted_key
from concordat.config import Config
from concordat.config_file import ConfigError
from concordat.home import Home, HomeError
from ledger.core.errors import InvariantError, ProofError, Rejected, Unavailable
from ledger.core.signing import SeedSigner
from ledger.io.errors import StorageError
from ledger.io.keystore import KeyFileError, KeyPurpose, open_key
from pubsub.client.identity import Publisher

PUBLISHER = Publisher("did:example:a", SeedSigner(b"\1" * 32), "demo-00")
EVENT = {"topic": "a.b", "type": "T"}


class Run(Protocol):
    """The command line; see conftest."""

    def __call__(
        self, *arguments: object, code: int = 0, stdin: str | bytes | None = None
    ) -> Result: ...


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EVENT),
        json.dumps(EVENT, indent=2),
        json.dumps([EVENT]),
        json.dumps([EVENT], indent=2),
        f"\n{json.dumps(EVENT)}\n\n",
    ],
)
def test_one_event_may_be_written_in_any_form(text: str) -> None:
    """An object, an array of one, or one line, spread or not, is the same event."""
    (draft,) = read_drafts(text.encode())
    assert (draft.topic, draft.type) == ("a.b", "T")


def test_several_events_stand_on_lines_or_in_an_array() -> None:
    """Lines and arrays give their events in order; empty lines do not count."""
    rows = [EVENT | {"subject": str(number)} for number in range(3)]
    for text in ("\n\n".join(map(json.dumps, rows)), json.dumps(rows)):
        assert [draft.subject for draft in read_drafts(text.encode())] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not an event"),
        ("nonsense", "not an event"),
        ('{"topic": "a"}', "missing required field `type`"),
        ('{"topic": "a", "type": "b", "entity_hash": ""}', "unknown field `entity_hash`"),
        ('[{"topic": "a"}]', "missing required field"),
        (json.dumps(EVENT) + '\n{"topic": 1}\n', "line 2: not an event"),
        ("[" * 100_000, "not an event"),
    ],
)
def test_what_is_no_event_is_refused(text: str, words: str) -> None:
    """The message says what is wrong, and on which line."""
    with pytest.raises(CommandFailed, match=words) as caught:
        list(read_drafts(text.encode()))
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("data", "content"),
    [('"text, not JSON"', b"text, not JSON"), ('{ "b" : [1] }', b'{"b":[1]}'), ('""', b"")],
)
def test_content_is_text_or_json(data: str, content: bytes) -> None:
    """Text is taken as it is, any other value as compact JSON."""
    (draft,) = read_drafts(f'{{"topic":"a","type":"b","data":{data}}}'.encode())
    assert sign_draft(PUBLISHER, draft).event.data == content


@pytest.mark.parametrize(
    "change",
    [{"topic": "a..b"}, {"entityhash": "xyz"}, {"entityhash": "ab"}, {"subject": "x" * 513}],
)
def test_event_outside_its_limits_is_rejected(change: dict[str, str]) -> None:
    """What could never be published is refused before it is sent."""
    (draft,) = read_drafts(json.dumps(EVENT | change).encode())
    with pytest.raises(Rejected, match="malformed"):
        sign_draft(PUBLISHER, draft)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), ExitCode.USAGE),
        (HomeError("x"), ExitCode.USAGE),
        (KeyFileError("x"), ExitCode.USAGE),
        (Unavailable("x"), ExitCode.UNAVAILABLE),
        (ProofError("x"), ExitCode.FAILED),
        (StorageError(Path("x"), "torn", "restore it"), ExitCode.STORAGE),
        (InvariantError("x"), ExitCode.STORAGE),
        (OSError(98, "Address already in use"), ExitCode.UNAVAILABLE),
        (PermissionError(13, "Permission denied"), ExitCode.UNAVAILABLE),
        (ExceptionGroup("tasks", [Unavailable("x")]), ExitCode.UNAVAILABLE),
        (
            ExceptionGroup("t", [Unavailable("x"), ExceptionGroup("u", [InvariantError("x")])]),
            ExitCode.STORAGE,
        ),
    ],
)
def test_every_error_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    """The documented codes are those of the kinds of errors, alone or in a group of tasks."""
    with pytest.raises(CommandFailed) as caught, failures_explained():
        raise error
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    "error", [ValueError("bug"), ExceptionGroup("tasks", [Unavailable("x"), ValueError("bug")])]
)
def test_bug_keeps_its_traceback(error: Exception) -> None:
    """What is not one of our errors is not made to look like one."""
    with pytest.raises(type(error)), failures_explained():
        raise error


def test_interrupt_has_its_exit_code(monkeypatch: pytest.MonkeyPatch, concordat: Run) -> None:
    """Ctrl-C ends a command quietly with 130."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("concordat.cli.keys.read_key_info", interrupt)
    assert not concordat("keys", "show", "x", code=130).output


def test_output_for_people_is_not_markup() -> None:
    """Text from outside is printed as it is: brackets mean nothing."""

    @click.command()
    def show() -> None:
        output.emit({}, "[bold]name[/bold] [red]", as_json=False)

    assert CliRunner().invoke(show).output == "[bold]name[/bold] [red]\n"


@pytest.fixture
def home(concordat: Run, tmp_path: Path) -> Home:
    """The home of the only member of a network."""
    concordat("testnet", tmp_path / "net", "--validators", 1)
    return Home.open(tmp_path / "net" / "node0")


def test_unencrypted_key_needs_permission(home: Home) -> None:
    """A node takes a key without password only where the configuration permits it."""
    key = open_key(home.path / "keys" / "validator.json", KeyPurpose.VALIDATOR, password=None)
    require_permitted_key(home.config, key.info)
    with pytest.raises(KeyFileError, match="allow_unencrypted is not set"):
        require_permitted_key(Config(), key.info)


def settings_of(home: Home) -> Callable[[], object]:
    """Give what puts a node's settings together, with the home's own keys."""
    keys = [
        open_key(home.path / "keys" / f"{purpose}.json", purpose, password=None)
        for purpose in (KeyPurpose.VALIDATOR, KeyPurpose.PEER)
    ]
    return lambda: node_settings(home, home.genesis(), *keys)


def test_lost_store_is_not_made_anew_by_itself(home: Home) -> None:
    """Without its safety record a node starts only with --recover, and then sits out."""
    settings_of(home)()
    safety = home.path / "data" / "safety"
    safety.rename(home.path / "lost")
    with pytest.raises(HomeError, match=r"data/safety is missing.*--recover"):
        settings_of(home)()
    recover_stores(home, home.genesis())
    settings_of(home)()
    kept = sorted((home.path / "data" / "chain").iterdir())
    recover_stores(home, home.genesis())
    assert sorted((home.path / "data" / "chain").iterdir()) == kept


def test_a_stranger_among_the_peers_is_told(home: Home) -> None:
    """A name in node.peers that the genesis file lacks is misspelt, or of a later validator."""
    config = home.path / "concordat.toml"
    config.write_text(config.read_text() + '\n[node.peers]\nnoode0 = "127.0.0.1:1"\n')
    with capture_logs() as logs:
        settings_of(Home.open(home.path))()
    assert [(line["log_level"], line["names"]) for line in logs] == [("warning", ["noode0"])]


def test_swapped_keys_are_refused(home: Home) -> None:
    """Another key than the genesis file's is refused with the file's name."""
    key = open_key(home.path / "keys" / "validator.json", KeyPurpose.VALIDATOR, password=None)
    publisher = open_key(home.path / "keys" / "publisher.json", KeyPurpose.PUBLISHER, password=None)
    with pytest.raises(HomeError, match=r"publisher\.json is not the peer key"):
        node_settings(home, home.genesis(), key, publisher)
