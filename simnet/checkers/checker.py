"""What a checker is, and the panel through which all of them watch a run.

A checker names the kinds of effects and inputs that it judges, so that nobody is called in vain:
most of a run's cost would be calls that do nothing. It sees honest machines only. Checkers state
the protocol's rules anew, from docs/consensus.md, and call no production rule: what they share
with the code that they judge are the shapes of messages, effects and blocks.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from consensus.core.effects import Effect
from consensus.core.inputs import Input
from ledger.core.block import Block, LedgerRoot
from simnet.observer import Observer, PromiseError

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Checker", "Handlers", "Panel", "broken", "require"]

Handlers = Mapping[type[Any], Callable[["Machine", Any], None]]


def require(fact: bool, promise: str, *detail: object) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise PromiseError unless ``fact`` holds; the parts of ``detail`` are joined only then."""
    if not fact:
        broken(promise, *detail)


def broken(promise: str, *detail: object) -> NoReturn:
    """Raise PromiseError: :func:`require` for facts that are asked for very often."""
    raise PromiseError(promise, " ".join(map(str, detail)))


class Checker(Observer):
    """Base: judges nothing."""

    def effects(self) -> Handlers:
        """Give the handler of each kind of effect that is judged, before it is carried out."""
        return {}

    def inputs(self) -> Handlers:
        """Give the handler of each kind of input that is judged, before the core takes it."""
        return {}


class Panel(Observer):
    """Passes what honest machines do on to the checkers that asked for it."""

    def __init__(self, checkers: Iterable[Checker]) -> None:
        self._checkers = tuple(checkers)
        self._effects = _merged(checker.effects() for checker in self._checkers)
        self._inputs = _merged(checker.inputs() for checker in self._checkers)
        self.kinds = self._effects.keys() | self._inputs.keys()

    def on_begin(self, world: "World") -> None:
        """Pass on."""
        for checker in self._checkers:
            checker.on_begin(world)

    def on_start(self, machine: "Machine") -> None:
        """Pass on."""
        if machine.is_honest:
            for checker in self._checkers:
                checker.on_start(machine)

    def on_crash(self, machine: "Machine") -> None:
        """Pass on."""
        if machine.is_honest:
            for checker in self._checkers:
                checker.on_crash(machine)

    def on_disk_changed(self, machine: "Machine") -> None:
        """Pass on."""
        if machine.is_honest:
            for checker in self._checkers:
                checker.on_disk_changed(machine)

    def on_input(self, machine: "Machine", input_: Input) -> None:
        """Pass on to those who judge this kind of input."""
        if machine.is_honest:
            for handler in self._inputs.get(type(input_), ()):
                handler(machine, input_)

    def on_effect(self, machine: "Machine", effect: Effect) -> None:
        """Pass on to those who judge this kind of effect."""
        if machine.is_honest:
            for handler in self._effects.get(type(effect), ()):
                handler(machine, effect)

    def on_applied(self, machine: "Machine", block: Block, root: LedgerRoot) -> None:
        """Pass on."""
        if machine.is_honest:
            for checker in self._checkers:
                checker.on_applied(machine, block, root)

    def on_durable(self, machine: "Machine") -> None:
        """Pass on."""
        if machine.is_honest:
            for checker in self._checkers:
                checker.on_durable(machine)

    def on_calm(self, world: "World") -> None:
        """Pass on."""
        for checker in self._checkers:
            checker.on_calm(world)

    def on_end(self, world: "World") -> None:
        """Pass on."""
        for checker in self._checkers:
            checker.on_end(world)


def _merged(
    tables: Iterable[Handlers],
) -> dict[type[Any], list[Callable[["Machine", Any], None]]]:
    merged: dict[type[Any], list[Callable[[Machine, Any], None]]] = {}
    for table in tables:
        for kind, handler in table.items():
            merged.setdefault(kind, []).append(handler)
    return merged
