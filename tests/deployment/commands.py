"""Finds the `concordat` commands that files of a deployment type, and what does not exist."""

import re
from collections.abc import Iterator

import click

from concordat.cli.main import cli

__all__ = ["typed_commands", "unknown_words"]

# A program at the start of a command, its words up to what ends one in a shell.
_TYPED = re.compile(r"(?:^|[\s`\"=/])concordat((?:(?:[ \t]|\\\n)+[^\s`;&|#\\]+)+)", re.MULTILINE)


def typed_commands(text: str) -> Iterator[list[str]]:
    """Give the words behind each `concordat` that begins with the name of a command."""
    for found in _TYPED.finditer(text):
        words = found[1].replace("\\\n", " ").split()
        if cli.get_command(click.Context(cli), words[0]) is not None:
            yield words


def unknown_words(words: list[str]) -> list[str]:
    """Give the options, and the subcommand, that a typed command does not have."""
    context = click.Context(cli)
    command = cli.get_command(context, words[0])
    assert command is not None
    if isinstance(command, click.Group) and len(words) > 1:
        inner = command.get_command(context, words[1])
        if inner is None:
            return words[:2]
        command = inner
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return [word for word in words if word.startswith("--") and word not in known]
