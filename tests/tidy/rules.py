"""The house rules that no linter knows, as pure functions from one file's text to its faults.

Owns what `docs` and the style promise about length, documentation and determinism. Never reads a
file itself: `test_tree.py` applies every rule to the tree, `test_rules.py` shows each one bite.
Every rule yields `line number, what is wrong`.
"""

import ast
import re
from collections.abc import Iterator

Fault = tuple[int, str]
Function = ast.FunctionDef | ast.AsyncFunctionDef

FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60

IMPURE_CALLS = frozenset({"breakpoint", "float", "hash", "id", "input", "open", "print"})
SKIPS = frozenset(
    f"pytest.{name}"
    for name in ("importorskip", "mark.skip", "mark.skipif", "mark.xfail", "skip", "xfail")
)

# The brackets keep this file free of the words that it looks for.
UNFINISHED = re.compile(r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.}])/(work|root)/[a-z]")


def file_length(text: str, lines_max: int) -> Iterator[Fault]:
    """A file is one concept: it stays short."""
    lines_count = len(text.splitlines())
    if lines_count > lines_max:
        yield lines_max, f"{lines_count} lines, at most {lines_max}: split it by concept"


def function_length(tree: ast.Module) -> Iterator[Fault]:
    """A function fits a screen; its docstring is not counted."""
    for function in _functions(tree):
        first = function.body[0]
        has_docstring = ast.get_docstring(function) is not None
        docstring_lines = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
        lines_count = (function.end_lineno or 0) - function.lineno + 1 - docstring_lines
        if lines_count > FUNCTION_LINES_MAX:
            yield function.lineno, f"{function.name}: {lines_count} lines without its docstring"


def module_docstring(tree: ast.Module) -> Iterator[Fault]:
    """A module says first what it owns."""
    if not ast.get_docstring(tree):
        yield 1, "no module docstring"


def test_docstrings(tree: ast.Module) -> Iterator[Fault]:
    """A test states the behaviour that it expects."""
    for function in _functions(tree):
        if function.name.startswith("test_") and not ast.get_docstring(function):
            yield function.lineno, f"{function.name} does not state the expected behaviour"


def skipped_tests(tree: ast.Module) -> Iterator[Fault]:
    """No test is skipped or expected to fail."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in SKIPS:
            yield node.lineno, f"{ast.unparse(node)}: repair the test or remove it"


def floats_in_core(tree: ast.Module) -> Iterator[Fault]:
    """Cores compute with integers only: a float differs between machines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"float literal {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "true division makes a float: use //"


def impure_calls_in_core(tree: ast.Module) -> Iterator[Fault]:
    """Cores call nothing whose answer depends on the process or the outside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS:
            yield node.lineno, f"{ast.unparse(node.func)}() in a core"


def unfinished_work(text: str) -> Iterator[Fault]:
    """Nothing is left for later: a limitation is documented, work to do is an issue."""
    yield from _matches(UNFINISHED, text, "unfinished work")


def machine_paths(text: str) -> Iterator[Fault]:
    """No file names a path of somebody's own machine."""
    yield from _matches(MACHINE_PATHS, text, "path of one machine")


def addresses_in_lock(text: str) -> Iterator[Fault]:
    """A lock file pins versions and hashes, never the host they come from."""
    yield from _matches(re.compile(r"\S*://\S+|--(extra-)?index-url|--find-links"), text, "address")


def unpinned_in_lock(text: str) -> Iterator[Fault]:
    """Every requirement of a lock file has one exact version and at least one hash."""
    for requirement in re.split(r"\n(?=\S)", text):
        if requirement.startswith("#") or not requirement.strip():
            continue
        if "==" not in requirement or "--hash=sha256:" not in requirement:
            yield 1, f"not pinned by version and hash: {requirement.splitlines()[0]}"


def decision_numbers(names: list[str]) -> Iterator[Fault]:
    """Decision records are `NNNN-title.md`, each number used once."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        match = re.fullmatch(r"(\d{4})-[a-z0-9-]+\.md", name)
        if match is None:
            yield 0, f"{name}: not of the form NNNN-title.md"
        elif other := seen.get(match[1]):
            yield 0, f"{name}: number already used by {other}"
        else:
            seen[match[1]] = name


def _functions(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _matches(pattern: re.Pattern[str], text: str, what: str) -> Iterator[Fault]:
    for number, line in enumerate(text.splitlines(), start=1):
        if match := pattern.search(line):
            yield number, f"{what}: {match[0]}"
