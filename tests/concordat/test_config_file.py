"""The configuration file: written with every setting explained, refused where it is wrong."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from concordat.config import Config, GatewaySection
from concordat.config_file import (
    ConfigError,
    load_config,
    render_config,
    render_reference,
    settings,
)
from consensus.core.control import EncodedSubmit, control_frame
from consensus.core.frames import FrameSplitter
from ledger.core.limits import CONFIG_BYTES_MAX, FRAME_BYTES_MAX, INT_MAX

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a configuration file may stand."""
    return tmp_path / "concordat.toml"


def test_file_without_changes_has_the_defaults(path: Path) -> None:
    """A rendered file sets nothing by itself: later defaults can be better ones."""
    path.write_text(render_config({}))
    assert load_config(path) == Config()
    assert tomllib.loads(path.read_text()).keys() == {field for field, _, _ in settings()}


def test_commented_lines_are_the_defaults(path: Path) -> None:
    """Taking the comment sign from every setting changes nothing."""
    lines = render_config({}).splitlines()
    uncommented = [
        line[1:] if line.startswith("#") and line[1:2] != " " else line for line in lines
    ]
    assert uncommented != lines
    path.write_text("\n".join(uncommented))
    assert load_config(path) == Config()


def test_every_setting_is_explained() -> None:
    """Each section and setting has a description, in the file and in the reference."""
    for _section, purpose, rows in settings():
        assert purpose
        for row in rows:
            assert row.description, row.name
            assert f"`{row.name}`" in render_reference()


def test_chosen_values_are_read_back(path: Path) -> None:
    """What is set is what is loaded, whatever its type and however odd the text."""
    odd = 'a "quoted" \\ name with ünïcode'
    path.write_text(
        render_config(
            {
                "keys": {"allow_unencrypted": True, "password_file": odd},
                "node": {"peers": {"alpha": "10.0.0.5:26600", "b": "[::1]:65535"}},
                "consensus": {"round_timeout_ms": 900},
                "log": {"level": "debug"},
            }
        )
    )
    config = load_config(path)
    assert config.keys.allow_unencrypted
    assert config.keys.password_file == odd
    assert config.node.peers == {"alpha": "10.0.0.5:26600", "b": "[::1]:65535"}
    assert config.consensus.round_timeout_ms == 900
    assert config.log.level == "debug"
    assert msgspec.structs.replace(config, log=Config().log) != Config()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[node]\n\nlisten = 3\n", 3, "node.listen: Expected `str`, got `int`"),
        ('[node]\nlisten = "x"\n', 2, "node.listen: not a host and port"),
        ('[node]\nlisten = "h:65536"\n', 2, "node.listen: not a host and port"),
        ('[node]\n# c\nlissten = "x:1"\n', 3, "node.lissten: there is no such setting; did you me"),
        ("[log]\n[noode]\n", 2, "noode: there is no such setting; did you mean node?"),
        ("zzzz = 1\n", 1, "zzzz: there is no such setting"),
        ("\n\na =", 3, "Invalid value"),
        ("[log]\n[log]\n", 2, "Cannot declare"),
        ("[keys]\n[node.peers]\nx = 1\n", 3, "node.peers: Expected `str`, got `int`"),
        ('[node]\npeers = { a = "1" }\n', 2, "node.peers: not a host and port"),
        ("\nnode = 3", 2, "node: Expected `object`, got `int`"),
        ('[log]\nlevel = "loud"', 2, "log.level: Invalid enum value 'loud'"),
        ("[consensus]\nround_timeout_ms = 0", 2, "consensus.round_timeout_ms: Expected `int` >= 1"),
        ("[consensus]\nround_timeout_ms = true", 2, "Expected `int`, got `bool`"),
        ('[keys]\nallow_unencrypted = "no"', 2, "Expected `bool`, got `str`"),
        ('[node]\ncontrol_socket = ""\n', 2, "node.control_socket: Expected `str` of length >= 1"),
        ("keys.allow_unencrypted = 1\n", 1, "keys.allow_unencrypted: Expected `bool`"),
    ],
)
def test_wrong_setting_is_refused_with_its_line(
    path: Path, text: str, line: int, words: str
) -> None:
    """The message begins with file and line, and says which setting and why."""
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert words in str(caught.value)


def test_largest_body_reaches_the_node() -> None:
    """A bulk body as long as the setting allows, whatever is said beside it, fits in one frame."""
    most = FRAME_BYTES_MAX - 1_024
    assert msgspec.convert({"body_bytes_max": most}, GatewaySection).body_bytes_max == most
    with pytest.raises(msgspec.ValidationError, match="body_bytes_max"):
        msgspec.convert({"body_bytes_max": most + 1}, GatewaySection)
    request = EncodedSubmit(INT_MAX, msgspec.Raw(bytes(most)), is_awaited=True)
    (frame,) = FrameSplitter(FRAME_BYTES_MAX).feed(control_frame(request))
    assert len(frame) > most


def test_text_in_another_encoding_is_refused(path: Path) -> None:
    """Bytes that are no UTF-8 are refused with their line."""
    path.write_bytes(b'[log]\n# caf\xe9\nlevel = "info"\n')
    with pytest.raises(ConfigError, match=r"concordat\.toml:2: not UTF-8"):
        load_config(path)


def test_missing_and_oversized_files_are_refused(path: Path) -> None:
    """A file that is not there or is no configuration by its size is named."""
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(path)
    path.write_text("#" * CONFIG_BYTES_MAX)
    assert load_config(path) == Config()
    path.write_text("#" * (CONFIG_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="too large"):
        load_config(path)


def test_deep_nesting_is_refused(path: Path) -> None:
    """Nesting deeper than the parser goes is an error like any other."""
    path.write_text("x = " + "[" * 50_000)
    with pytest.raises(ConfigError):
        load_config(path)


def test_reference_in_the_documentation_is_current() -> None:
    """docs/operations/configuration.md is what the table of settings renders."""
    documented = (ROOT / "docs" / "operations" / "configuration.md").read_text()
    assert documented == render_reference(), "write the page anew with render_reference()"
