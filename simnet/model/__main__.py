"""``python -m simnet.model``: prove, explore, and show that each broken protocol is caught.

The exit code is 0 when the proof closes, no violation is found within the scopes, and every
mutant is caught both by the proof and by an execution that ends with two conflicting final blocks.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator

from simnet.model.explorer import Explorer, Trace
from simnet.model.mutants import MUTANTS
from simnet.model.proof import RULES, Obligation, obligations, prove, quorum_obligations
from simnet.model.report import trace_lines
from simnet.model.scope import Scope
from simnet.model.theory import Members

SHORT = (
    Scope(rounds=4),
    Scope(rounds=6, eager=True),
    Scope(validators=7, faulty=2, rounds=3, eager=True),
)
LONG = (
    Scope(rounds=5),
    Scope(rounds=7, eager=True),
    Scope(validators=7, faulty=2, rounds=4, eager=True),
)
AGREEMENT = frozenset({"agreement"})
PROOF_MS = 20_000  # a few ms are enough on a quiet machine
REFUTATION_MS = 500  # what holds is proved in a few ms: a longer search says little more


def main(arguments: list[str] | None = None) -> int:
    """Run everything, say what was found, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simnet.model", description=__doc__)
    parser.add_argument("--long", action="store_true", help="explore larger scopes, for minutes")
    parser.add_argument("--traces", action="store_true", help="print every counterexample")
    options = parser.parse_args(arguments)
    verdicts = [
        *_prove_all(),
        *(_explore(scope) for scope in (LONG if options.long else SHORT)),
        *_catch_all(traces=options.traces),
    ]
    print("AS EXPECTED" if all(verdicts) else "NOT AS EXPECTED")
    return 0 if all(verdicts) else 1


def _prove_all() -> Iterator[bool]:
    print("proof: any number of rounds and blocks")
    yield _expect_proof("quorums of any n", quorum_obligations(), holds=True)
    yield _expect_proof("any n, f", obligations(), holds=True)
    yield _expect_proof("n=4 f=1", obligations(Members(4, 1, 3)), holds=True)
    yield _expect_proof("n=7 f=2", obligations(Members(7, 2, 5)), holds=True)
    yield _expect_proof("n=4, 2 faulty", obligations(Members(4, 2, 3)), holds=False)
    for rule in RULES:
        yield _expect_proof(f"without {rule}", obligations(without=rule), holds=False)


def _expect_proof(name: str, wanted: Iterable[Obligation], *, holds: bool) -> bool:
    start = time.monotonic()
    limit = PROOF_MS if holds else REFUTATION_MS
    verdicts = [prove(obligation, limit) for obligation in wanted]
    failed = [verdict for verdict in verdicts if not verdict.is_proved]
    outcome = "PROVED" if not failed else f"not provable: {failed[0].name} ({failed[0].answer})"
    seconds = time.monotonic() - start
    print(f"  {name:32} {len(verdicts):3} obligations {seconds:6.1f} s  {outcome}", flush=True)
    return holds == (not failed)


def _explore(scope: Scope) -> bool:
    mode = "eager" if scope.eager else "full"
    print(f"exploration: n={scope.validators}, {scope.faulty} faulty, {mode} scope")
    _, trace = _run(Explorer(scope), progress=True)
    for line in [] if trace is None else trace_lines(trace):
        print(f"  {line}")
    return trace is None


def _run(explorer: Explorer, *, progress: bool) -> tuple[float, Trace | None]:
    start, trace = time.monotonic(), None
    for round_, states, trace in explorer.run():  # noqa: B007 - the last one counts
        seconds = time.monotonic() - start
        if progress:
            rate = explorer.transitions / max(seconds, 1e-9)
            print(
                f"  round {round_}: {len(states):8,} states {explorer.transitions:12,} transitions "
                f"{seconds:7.1f} s {rate:10,.0f}/s",
                flush=True,
            )
    return time.monotonic() - start, trace


def _catch_all(*, traces: bool) -> Iterator[bool]:
    print("broken protocols: an execution with two conflicting final blocks")
    for mutant in MUTANTS:
        explorer = Explorer(mutant.scope, AGREEMENT)
        seconds, trace = _run(explorer, progress=False)
        outcome = "SURVIVED" if trace is None else f"caught in round {len(trace.steps)}"
        print(f"  {mutant.name:32} {explorer.states:6,} states {seconds:6.1f} s  {outcome}")
        if trace is not None and (traces or mutant is MUTANTS[0]):
            for line in trace_lines(trace):
                print(f"    {line}")
        yield trace is not None


if __name__ == "__main__":
    sys.exit(main())
