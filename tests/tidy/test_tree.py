"""Applies every house rule to every file of the tree."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.tidy import rules
from tests.tidy.set_order import set_order_in_core

ROOT = Path(__file__).parents[2]
INSTALLED = ("concordat", "ledger", "consensus", "pubsub", "adapters")
FOLDERS = (*INSTALLED, "simnet", "bench", "tests")
CORES = ("ledger/core", "consensus/core", "pubsub/core")
TEXT_SUFFIXES = {".c", ".h", ".md", ".py", ".pyi", ".pyx", ".pxd", ".sh", ".toml", ".yml", ".yaml"}
LOCKS = ("requirements/runtime.txt", "requirements/dev.txt")

TreeRule = Callable[[ast.Module], Iterable[rules.Fault]]


def _python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _text_files() -> list[Path]:
    folders = (*FOLDERS, "docs", "docker", "requirements")
    nested = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    files = [*nested, *ROOT.glob("*"), ROOT / ".ci" / "run"]
    return sorted(
        path
        for path in files
        if path.is_file() and (path.suffix in TEXT_SUFFIXES or path.name in {"Makefile", "run"})
    )


def _hold(paths: list[Path], rule: Callable[[str], Iterable[rules.Fault]]) -> None:
    assert paths
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in paths
        for line, fault in rule(path.read_text(encoding="utf-8"))
    ]
    assert not faults, "\n" + "\n".join(faults)


def _hold_in_tree(paths: list[Path], rule: TreeRule) -> None:
    _hold(paths, lambda text: rule(ast.parse(text)))


def test_files_are_short() -> None:
    """No code file is longer than 400 lines and no test file than 600."""
    code = _python_files(*FOLDERS[:-1])
    _hold(code, lambda text: rules.file_length(text, rules.FILE_LINES_MAX))
    _hold(_python_files("tests"), lambda text: rules.file_length(text, rules.TEST_FILE_LINES_MAX))


@pytest.mark.parametrize("rule", [rules.function_length, rules.module_docstring])
def test_every_module_keeps(rule: TreeRule) -> None:
    """Functions fit a screen and modules say what they own, everywhere."""
    _hold_in_tree([*_python_files(*FOLDERS), ROOT / "setup.py"], rule)


@pytest.mark.parametrize(
    "rule", [rules.floats_in_core, rules.impure_calls_in_core, set_order_in_core]
)
def test_cores_are_deterministic(rule: TreeRule) -> None:
    """No core uses floats, process-dependent calls or the order of a set."""
    _hold_in_tree(_python_files(*CORES), rule)


@pytest.mark.parametrize("rule", [rules.test_docstrings, rules.skipped_tests])
def test_tests_keep(rule: TreeRule) -> None:
    """Every test states what it expects, and runs."""
    _hold_in_tree(_python_files("tests"), rule)


@pytest.mark.parametrize("rule", [rules.unfinished_work, rules.machine_paths])
def test_texts_keep(rule: Callable[[str], Iterable[rules.Fault]]) -> None:
    """No file holds unfinished work or a path of one machine."""
    _hold(_text_files(), rule)


@pytest.mark.parametrize("rule", [rules.addresses_in_lock, rules.unpinned_in_lock])
def test_locks_are_exact(rule: Callable[[str], Iterable[rules.Fault]]) -> None:
    """The lock files pin versions and hashes, and name no host."""
    _hold([ROOT / lock for lock in LOCKS], rule)


def test_locks_agree() -> None:
    """What is tested is what is run: dev.txt holds all of runtime.txt, at the same versions."""
    runtime, development = (
        # The condition behind the version differs: a test tool may need it in more places.
        {line.split()[0] for line in (ROOT / lock).read_text().splitlines() if "==" in line}
        for lock in LOCKS
    )
    assert runtime
    assert runtime <= development


def test_locks_hold_every_dependency() -> None:
    """Each dependency of pyproject.toml is in runtime.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {re.split(r"==|\[", line)[0] for line in (ROOT / LOCKS[0]).read_text().splitlines()}
    wanted = {re.split(r"[>\[]", dependency)[0] for dependency in project["dependencies"]}
    assert wanted <= locked


def test_decisions_are_numbered_once() -> None:
    """Decision records are `NNNN-title.md` with unique numbers."""
    records = (ROOT / "docs" / "decisions").glob("*.md")
    names = [path.name for path in records if path.name != "README.md"]
    assert not list(rules.decision_numbers(names))


@pytest.mark.parametrize("package", INSTALLED)
def test_installed_packages_are_typed(package: str) -> None:
    """Each installed package carries the marker that makes its types visible to users."""
    assert (ROOT / package / "py.typed").is_file()
