"""Reads a Dockerfile as far as ours goes, and refuses what it does not know.

Owns the text alone: stages, their instructions, continued lines, values of ``ARG``, options and the
two forms of a command. ``image_build.py`` executes what this gives.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Instruction", "Stage", "assignments", "command_words", "read_dockerfile"]

_KNOWN = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"}
_KNOWN |= {"HEALTHCHECK", "VOLUME", "EXPOSE", "STOPSIGNAL"}
_OPTION = re.compile(r"--([a-z-]+)=(\S+)\s+")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        name: in upper case.
        options: what stands before its text as ``--name=value``.
        text: the rest, in one line where it was continued.
    """

    name: str
    options: Mapping[str, str]
    text: str


@dataclass(slots=True)
class Stage:
    """What stands from one ``FROM`` to the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction:
        """Give the last instruction of a name, the one that counts."""
        return [row for row in self.instructions if row.name == name][-1]


def read_dockerfile(text: str, arguments: Mapping[str, str] | None = None) -> list[Stage]:
    """Give the stages.

    Args:
        arguments: values for ``ARG``, as ``docker build --build-arg`` gives them.

    Raises:
        ValueError: an instruction is none that we use, or one of a stage comes before ``FROM``.
    """
    values: dict[str, str] = {}
    stages: list[Stage] = []
    for line in _lines(text):
        instruction = _instruction(line)
        if instruction.name == "ARG":
            name, _, default = instruction.text.partition("=")
            values[name] = (arguments or {}).get(name, default)
        elif instruction.name == "FROM":
            base, _, name = _substituted(instruction.text, values).partition(" AS ")
            stages.append(Stage(name or str(len(stages)), base))
        elif not stages:
            raise ValueError(f"{instruction.name} before FROM")
        else:
            stages[-1].instructions.append(instruction)
    return stages


def command_words(text: str) -> list[str]:
    """Give the words of a command: the JSON form as it stands, the other for a shell."""
    if text.startswith("["):
        words: list[str] = json.loads(text)
        return words
    return ["/bin/sh", "-c", text]


def assignments(text: str) -> dict[str, str]:
    """Give the variables that an ``ENV`` sets."""
    return dict(word.split("=", 1) for word in shlex.split(text))


def _lines(text: str) -> Iterator[str]:
    """Join continued lines; comments and empty lines are left out, also between those."""
    waiting = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.endswith("\\"):
            waiting += line[:-1]
            continue
        yield waiting + line
        waiting = ""
    if waiting:
        raise ValueError("the last line is continued")


def _instruction(line: str) -> Instruction:
    name, _, rest = line.strip().partition(" ")
    if name.upper() not in _KNOWN:
        raise ValueError(f"an instruction that is not known here: {line}")
    options = {}
    rest = rest.lstrip()
    while found := _OPTION.match(rest):
        options[found[1]] = found[2]
        rest = rest[found.end() :]
    return Instruction(name.upper(), options, rest.strip())


def _substituted(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)
