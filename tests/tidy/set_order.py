"""Finds places where a core's result could depend on the order of a set.

Sets of bytes and strings are ordered by a hash that differs in every process, so a core sorts a
set before its order can matter. The rule knows sets by how they are written or annotated in the
same file; it is a heuristic that errs towards silence.
"""

import ast
from collections.abc import Iterator

from tests.tidy.rules import Fault

SET_NAMES = frozenset({"set", "frozenset", "AbstractSet", "MutableSet"})
SET_METHODS = frozenset({"difference", "intersection", "symmetric_difference", "union"})
SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)
ORDERED_BY = frozenset({"dict", "enumerate", "iter", "list", "next", "tuple", "zip"})
ORDER_FREE = frozenset({"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"})


def set_order_in_core(tree: ast.Module) -> Iterator[Fault]:
    """No loop, list or tuple of a core takes its order from a set."""
    known = _annotated_sets(tree)
    harmless = _order_free_generators(tree)
    for node in ast.walk(tree):
        for iterable in _ordered_uses(node, harmless):
            if _is_set(iterable, known):
                yield iterable.lineno, f"order of a set: sort {ast.unparse(iterable)} first"


def _ordered_uses(node: ast.AST, harmless: set[ast.AST]) -> Iterator[ast.expr]:
    if isinstance(node, ast.For):
        yield node.iter
    elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) and node not in harmless:
        yield from (generator.iter for generator in node.generators)
    elif isinstance(node, ast.Starred):
        yield node.value
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in ORDERED_BY:
            yield from node.args
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and not node.args:
            yield node.func.value
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            yield from node.args


def _order_free_generators(tree: ast.Module) -> set[ast.AST]:
    """Return the generators that are consumed where order cannot matter."""
    return {
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ORDER_FREE
        for argument in node.args
    }


def _annotated_sets(tree: ast.Module) -> set[str]:
    """Return every name, attribute and argument that the file annotates or assigns as a set."""
    known: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and _is_set_type(node.annotation):
            known.add(_last_name(node.target))
        elif isinstance(node, ast.arg) and node.annotation and _is_set_type(node.annotation):
            known.add(node.arg)
        elif isinstance(node, ast.Assign) and _is_set(node.value, set()):
            known.update(_last_name(target) for target in node.targets)
    return known - {""}


def _is_set_type(annotation: ast.expr) -> bool:
    base = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return _last_name(base) in SET_NAMES


def _is_set(node: ast.expr, known: set[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Call):
        is_method = isinstance(node.func, ast.Attribute) and node.func.attr in SET_METHODS
        return is_method or (isinstance(node.func, ast.Name) and node.func.id in SET_NAMES)
    if isinstance(node, ast.BinOp) and isinstance(node.op, SET_OPERATORS):
        return _is_set(node.left, known) or _is_set(node.right, known)
    return _last_name(node) in known


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""
