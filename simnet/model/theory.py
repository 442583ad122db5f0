"""The abstract protocol for the solver z3: sorts, immutable facts, and states.

A state says which honest validator voted for which block and which certificate round it reported
on giving which round up. Byzantine validators sign anything at any time, so they have no state.
Messages are lost, delayed, repeated and reordered at will: an honest validator may act upon any
block whose certificates are valid.

Validators are unbounded in number, and any two quorums share an honest one; or they are a fixed
few of whom some are faulty (``Members``), and then the solver itself finds what quorums share.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import z3  # type: ignore[import-untyped]

from simnet.model.abstract import is_justified

__all__ = ["Formula", "Members", "State", "Theory"]

Formula = Any  # the solver's package has no types


class Members(NamedTuple):
    """A fixed set of validators, of whom any ``faulty`` may be Byzantine."""

    validators: int
    faulty: int
    quorum: int


@cache
def _few(count: int) -> tuple[Formula, list[Formula]]:
    """Give a sort of so many nodes. The solver knows a sort by its name, and each name once."""
    sort, nodes = z3.EnumSort(f"Node{count}", [f"v{i}of{count}" for i in range(count)])
    return sort, nodes


class State(NamedTuple):
    """What honest validators have done, as predicates and functions of solver terms.

    ``report(n, r)`` is the certificate round that n reported when it gave r up, or -1.
    """

    acted: Callable[[Formula], Formula]
    lock: Callable[[Formula], Formula]
    voted: Callable[[Formula, Formula], Formula]
    report: Callable[[Formula, Formula], Formula]


class Theory:
    """The sorts and the immutable facts: who is honest, quorums, blocks and their certificates."""

    def __init__(self, members: Members | None) -> None:
        sort, boolean, integer = z3.DeclareSort, z3.BoolSort(), z3.IntSort()
        self.block, self.quorum = sort("Block"), sort("Quorum")
        self.nodes: list[Formula] = []
        if members is None:
            self.node = sort("Node")
        else:
            self.node, self.nodes = _few(members.validators)
        function = z3.Function
        self.honest = function("honest", self.node, boolean)
        self.member = function("member", self.node, self.quorum, boolean)
        self.shared = function("shared", self.quorum, self.quorum, self.node)
        self.round = function("round", self.block, integer)
        self.parent = function("parent", self.block, self.block)
        self.tc_round = function("tc_round", self.block, integer)
        self.tc_max = function("tc_max", self.block, integer)
        self.qc_quorum = function("qc_quorum", self.block, self.quorum)
        self.tc_quorum = function("tc_quorum", self.block, self.quorum)
        self.descends = function("descends", self.block, self.block, boolean)
        self.genesis = z3.Const("genesis", self.block)
        self.block_facts = list(self._block_facts())
        self.facts = [*self.block_facts, *self._quorum_facts(members)]

    def _block_facts(self) -> Iterator[Formula]:
        b, c = z3.Consts("b c", self.block)
        yield self.round(self.genesis) == 0
        yield z3.ForAll([b], self.round(b) >= 0)
        yield z3.ForAll([b], self.descends(b, b))
        yield z3.ForAll([b, c], z3.Implies(self.descends(self.parent(b), c), self.descends(b, c)))

    def _quorum_facts(self, members: Members | None) -> Iterator[Formula]:
        q, p = z3.Consts("q p", self.quorum)
        if members is None:
            yield z3.ForAll([q, p], self.overlap(q, p))
            return
        counted = [(self.member(node, q), 1) for node in self.nodes]
        yield z3.ForAll([q], z3.PbGe(counted, members.quorum))
        yield z3.PbLe([(z3.Not(self.honest(node)), 1) for node in self.nodes], members.faulty)

    def overlap(self, q: Formula, p: Formula) -> Formula:
        """Two quorums share an honest member; of a fixed few nothing is said beforehand."""
        if self.nodes:
            return z3.BoolVal(val=True)
        shared = self.shared(q, p)
        return z3.And(self.honest(shared), self.member(shared, q), self.member(shared, p))

    def state(self) -> State:
        """Give a state of which nothing is known."""
        integer = z3.IntSort()
        return State(
            z3.Function("acted", self.node, integer),
            z3.Function("lock", self.node, integer),
            z3.Function("voted", self.node, self.block, z3.BoolSort()),
            z3.Function("report", self.node, integer, integer),
        )

    def certified_by(self, state: State, block: Formula, quorum: Formula) -> Formula:
        """Every honest member of ``quorum`` voted for ``block``, or it is the genesis block."""
        n = z3.Const("n", self.node)
        honest = z3.And(self.honest(n), self.member(n, quorum))
        all_voted = z3.ForAll([n], z3.Implies(honest, state.voted(n, block)))
        return z3.Or(block == self.genesis, all_voted)

    def given_up_by(self, state: State, block: Formula, quorum: Formula) -> Formula:
        """Every honest member of ``quorum`` signed an entry that the block's ``tc`` may hold."""
        n = z3.Const("n", self.node)
        reported = state.report(n, self.tc_round(block))
        honest = z3.And(self.honest(n), self.member(n, quorum))
        entry = z3.And(reported >= 0, reported <= self.tc_max(block))
        return z3.ForAll([n], z3.Implies(honest, entry))

    def is_justified(self, block: Formula) -> Formula:
        """R-JUSTIFY, by the rounds in the block."""
        rounds = self.round(block), self.round(self.parent(block))
        return is_justified(*rounds, self.tc_round(block), self.tc_max(block))

    def has_valid_certificates(self, state: State, block: Formula) -> Formula:
        """The block's certificates are valid: quorums signed them."""
        return z3.And(
            self.round(self.parent(block)) < self.round(block),
            self.certified_by(state, self.parent(block), self.qc_quorum(block)),
            z3.Or(
                self.tc_round(block) == -1,
                self.given_up_by(state, block, self.tc_quorum(block)),
            ),
        )
