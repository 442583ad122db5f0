"""What the tests of the product's face share: the command line, in this process or a real one."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from concordat.cli.main import cli

Run = Callable[..., Result]


@pytest.fixture
def concordat() -> Run:
    """Run ``concordat ARGUMENTS...`` in this process, without a terminal."""

    def run(*arguments: object, code: int = 0, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(cli, [str(item) for item in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def concordat_json(concordat: Run) -> Callable[..., dict[str, object]]:
    """Run a command with ``--json`` and read its one object."""

    def run(*arguments: object) -> dict[str, object]:
        document: dict[str, object] = json.loads(concordat(*arguments, "--json").stdout)
        return document

    return run
