"""The configuration file: reading it strictly, writing it with every setting explained.

Nothing is guessed: an unknown key, a wrong type or a value out of bounds is refused with the
file, the line, the reason and, where a name looks misspelt, the nearest one.
"""

import difflib
import json
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import inspect

from concordat.config import Config, Section
from ledger.core.errors import ConcordatError
from ledger.core.limits import CONFIG_BYTES_MAX

__all__ = ["ConfigError", "Setting", "load_config", "render_config", "render_reference", "settings"]

Value = str | int | bool | dict[str, str] | tuple[str, ...]
"""What a setting may hold."""

_TOML_POSITION = re.compile(r" \(at line (\d+), column \d+\)$")
_WHERE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_WIDTH = 88


class ConfigError(ConcordatError):
    """A configuration file is wrong; the message says where and why."""


class Setting(NamedTuple):
    """One row of the table of settings.

    Attributes:
        bounds: the permitted values, in words; empty when the type says all.
    """

    section: str
    name: str
    default: Value
    description: str
    bounds: str


def settings() -> Iterator[tuple[str, str, list[Setting]]]:
    """Give (section, its purpose, its settings) of every section, in the order of the file."""
    for field in msgspec.structs.fields(Config):
        section: type[Section] = field.type
        rows = [_setting(field.name, row) for row in _fields(section)]
        yield field.name, (section.__doc__ or "").strip(), rows


def load_config(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it is not there, is no TOML, or a setting is unknown or wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path} is too large to be a configuration file")
    try:
        text = data.decode()
        return msgspec.convert(tomllib.loads(text), Config)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        position = _TOML_POSITION.search(str(error))
        line = int(position[1]) if position else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: {_TOML_POSITION.sub('', str(error))}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(path, text, str(error))) from None
    except RecursionError:
        raise ConfigError(f"{path}:1: nested too deeply") from None


def render_config(values: Mapping[str, Mapping[str, Value]]) -> str:
    """Write a configuration file: every setting explained, those of ``values`` set.

    A setting that is left at its default is a comment, so that a later release may better it.
    """
    lines = [
        "# Configuration of one Concordat member. Settings that are commented out have the value",
        "# shown. Relative paths are relative to the directory of this file.",
    ]
    for section, purpose, rows in settings():
        lines += ["", *_comment(purpose), f"[{section}]"]
        for row in rows:
            chosen = values.get(section, {}).get(row.name)
            lines += ["", *_comment(row.description)]
            if row.bounds:
                lines += _comment(f"{row.bounds}.")
            if chosen is None or chosen == row.default:
                lines.append(f"#{row.name} = {_toml(row.default)}")
            else:
                lines.append(f"{row.name} = {_toml(chosen)}")
    return "\n".join(lines) + "\n"


def render_reference() -> str:
    """Write docs/operations/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "One file for each member, `concordat.toml` in its home, written by `concordat init`. A",
        "wrong or unknown setting is refused with file, line and reason; nothing is guessed.",
        "Relative paths are relative to the home. This page is generated from the same table as",
        "the file and its validation (`concordat/config.py`).",
    ]
    for section, purpose, rows in settings():
        lines += ["", f"## `[{section}]`", "", purpose, ""]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        for row in rows:
            meaning = f"{row.description} {row.bounds}." if row.bounds else row.description
            lines.append(f"| `{row.name}` | `{_toml(row.default)}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _fields(section: type[Section]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(section)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _setting(section: str, field: inspect.Field) -> Setting:
    described, bounds = field.type, ""
    description = ""
    while isinstance(described, inspect.Metadata):
        description = (described.extra_json_schema or {}).get("description", description)
        described = described.type
    if isinstance(described, inspect.IntType):
        bounds = f"From {described.ge} to {described.le}"
    elif isinstance(described, inspect.LiteralType):
        bounds = "One of: " + ", ".join(sorted(map(str, described.values)))
    elif isinstance(described, inspect.VarTupleType) and isinstance(
        described.item_type, inspect.LiteralType
    ):
        bounds = "Any of: " + ", ".join(sorted(map(str, described.item_type.values)))
    default = {} if field.default is msgspec.NODEFAULT else field.default
    return Setting(section, field.name, default, description, bounds)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def _toml(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(key)} = {json.dumps(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    # A JSON string is a TOML basic string, as long as nothing is escaped as a surrogate pair.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _explain(path: Path, text: str, message: str) -> str:
    """Turn msgspec's words into ``file:line: setting: reason``."""
    where = _WHERE.search(message)
    reason = _WHERE.sub("", message)
    name = where[1].replace("[...]", "") if where else ""
    unknown = _UNKNOWN.search(reason)
    if unknown:
        section, name = name, f"{name}.{unknown[1]}".lstrip(".")
        reason = f"there is no such setting{_nearest(section, unknown[1])}"
    elif "matching regex" in reason:
        is_address = "[A-Za-z0-9.-]+):" in reason
        reason = "not a host and port such as 127.0.0.1:26600" if is_address else "not well-formed"
    return f"{path}:{_line_of(text, name)}: {name}: {reason}"


def _nearest(section: str, name: str) -> str:
    table = {known: {row.name for row in rows} for known, _, rows in settings()}
    names = table.get(section, set()) if section else set(table)
    nearest = difflib.get_close_matches(name, sorted(names), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _line_of(text: str, name: str) -> int:
    """Find the line that sets ``section.key``; the section's own line, or 1, as a last resort."""
    section, _, key = name.partition(".")
    key = key.partition(".")[0].partition("[")[0]
    found, current = 1, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?\s*\"?([^\]\"]+)", line):
            current = header[1].strip()
            if current.partition(".")[0] == section:
                found = number
        elif assigned := re.match(r"\s*\"?([A-Za-z0-9_.-]+)\"?\s*=", line):
            whole = f"{current}.{assigned[1]}".lstrip(".")
            if whole == f"{section}.{key}" or whole.startswith(f"{section}.{key}."):
                return number
            if not key and whole == section:
                return number
    return found
