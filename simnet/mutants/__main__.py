"""``python -m simnet.mutants [NAME ...]``: hunt mutants down, and print how each was killed.

Exit code 1 when one survives its budget. With ``--markdown`` as the first argument the table is
that of docs/simulation.md.
"""

import multiprocessing
import os
import sys

from rich.console import Console
from rich.table import Table

from simnet.mutants import MUTANTS
from simnet.mutants.killing import Kill, kill

_MARKDOWN = "--markdown"


def _table(kills: list[Kill]) -> Table:
    table = Table("mutant", "rule", "killed by", "at seed", "budget", "seconds")
    for found in kills:
        mutant = MUTANTS[found.name]
        killed_by = found.promise or "[bold red]SURVIVED"
        cells = (str(found.seed), str(mutant.seeds), f"{found.seconds:.1f}")
        table.add_row(found.name, mutant.rule, killed_by, *cells)
    return table


def _print_markdown(kills: list[Kill]) -> None:
    print("| mutant | rule | what is no longer done | killed by | at seed | budget |")
    print("|---|---|---|---|---:|---:|")
    for found in kills:
        mutant = MUTANTS[found.name]
        killed_by = found.promise or "SURVIVED"
        print(
            f"| `{found.name}` | {mutant.rule} | {mutant.description} | {killed_by} "
            f"| {found.seed} | {mutant.seeds} |"
        )


def _main(arguments: list[str]) -> int:
    names = [name for name in arguments if name != _MARKDOWN] or list(MUTANTS)
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        kills = pool.map(kill, names, chunksize=1)
    if _MARKDOWN in arguments:
        _print_markdown(kills)
    else:
        Console(soft_wrap=True).print(_table(kills))
    survivors = [found.name for found in kills if not found.promise]
    if survivors:
        print(f"survived: {', '.join(survivors)}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
