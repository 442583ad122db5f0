"""Shows every house rule find a planted fault, and stay silent on sound code."""

import ast
from collections.abc import Callable, Iterable

import pytest

from tests.tidy import rules
from tests.tidy.set_order import set_order_in_core

TreeRule = Callable[[ast.Module], Iterable[rules.Fault]]
LONG = "\n".join(["    x = 1"] * rules.FUNCTION_LINES_MAX)

BROKEN_TREES: list[tuple[TreeRule, str]] = [
    (rules.function_length, f"def f():\n{LONG}"),
    (rules.function_length, f"async def f():\n    '''Doc.'''\n{LONG}"),
    (rules.module_docstring, "x = 1"),
    (rules.module_docstring, ""),
    (rules.test_docstrings, "def test_a():\n    pass"),
    (rules.test_docstrings, "class TestA:\n    async def test_a(self):\n        pass"),
    (rules.skipped_tests, "@pytest.mark.skip\ndef test_a(): ..."),
    (rules.skipped_tests, "@pytest.mark.xfail(reason='later')\ndef test_a(): ..."),
    (rules.skipped_tests, "pytest.importorskip('lmdb')"),
    (rules.floats_in_core, "x = 1.5"),
    (rules.floats_in_core, "x = 2 / 3"),
    (rules.floats_in_core, "x /= 3"),
    (rules.impure_calls_in_core, "x = hash(y)"),
    (rules.impure_calls_in_core, "x = id(y)"),
    (set_order_in_core, "for x in {1, 2}: ..."),
    (set_order_in_core, "y = [x for x in set(z)]"),
    (set_order_in_core, "y = list(frozenset(z) - w)"),
    (set_order_in_core, "def f(a: set[int]): return tuple(a)"),
    (set_order_in_core, "class A:\n    a: frozenset[int]\n    def f(self):\n        [*self.a]"),
    (set_order_in_core, "a = set()\nb = a.pop()"),
    (set_order_in_core, "b = ','.join({'a', 'b'})"),
]

SOUND_TREES: list[tuple[TreeRule, str]] = [
    (rules.function_length, f"def f():\n    '''{LONG}'''\n    return 1"),
    (rules.module_docstring, "'''Owns.'''"),
    (rules.test_docstrings, "def test_a():\n    '''It works.'''"),
    (rules.test_docstrings, "def make_a(): ..."),
    (rules.skipped_tests, "reader.skip(4)"),
    (rules.floats_in_core, "x = 7 // 2"),
    (rules.impure_calls_in_core, "x = event.id(y)"),
    (set_order_in_core, "for x in sorted({1, 2}): ..."),
    (set_order_in_core, "a = set()\nb = all(x > 0 for x in a)"),
    (set_order_in_core, "for x in [1, 2]: ..."),
    (set_order_in_core, "a = []\nb = a.pop()"),
]

TextRule = Callable[[str], Iterable[rules.Fault]]
BROKEN_TEXTS: list[tuple[TextRule, str]] = [
    (lambda text: rules.file_length(text, 2), "a\nb\nc\n"),
    (rules.unfinished_work, "# todo: later".upper()),
    (rules.machine_paths, "see /home/notes".replace("home", "work")),
    (rules.addresses_in_lock, "--index-url mirror"),
    (rules.addresses_in_lock, "a @ https://example.org/a.whl"),
    (rules.unpinned_in_lock, "a==1.0"),
    (rules.unpinned_in_lock, "a>=1.0 \\\n    --hash=sha256:00"),
]


@pytest.mark.parametrize(("rule", "source"), BROKEN_TREES)
def test_rule_finds_fault(rule: TreeRule, source: str) -> None:
    """Each planted fault in code is found."""
    assert list(rule(ast.parse(source)))


@pytest.mark.parametrize(("rule", "source"), SOUND_TREES)
def test_rule_accepts_sound_code(rule: TreeRule, source: str) -> None:
    """Sound code that looks similar is accepted."""
    assert not list(rule(ast.parse(source)))


@pytest.mark.parametrize(("rule", "text"), BROKEN_TEXTS)
def test_rule_finds_fault_in_text(rule: TextRule, text: str) -> None:
    """Each planted fault in a text is found."""
    assert list(rule(text))


def test_texts_at_the_limit_are_accepted() -> None:
    """A file of exactly the permitted length, and a pinned requirement, are accepted."""
    assert not list(rules.file_length("a\nb\n", 2))
    assert not list(rules.unpinned_in_lock("# head\na==1.0 \\\n    --hash=sha256:00\n"))


@pytest.mark.parametrize("names", [["0001-a.md", "0001-b.md"], ["1-a.md"], ["notes.md"]])
def test_decision_numbers_finds_fault(names: list[str]) -> None:
    """A number used twice and a name without a number are found."""
    assert list(rules.decision_numbers(names))
    assert not list(rules.decision_numbers(["0001-a.md", "0002-b.md"]))
