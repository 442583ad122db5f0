"""The ``sim`` group of commands, found by the command line through its entry point.

A command ends with exit code 1 when a promise was broken, so that scripts can tell.
"""

import click

from simnet.cli.hunting import hunt_command
from simnet.cli.plans import picture_command, replay_command, shrink_command, trace_command
from simnet.cli.running import run_command

__all__ = ["sim"]


@click.group()
def sim() -> None:
    """Simulate whole federations in virtual time: faults, Byzantine members, no luck.

    The same seed is the same run, and a plan file repeats a run exactly. docs/simulation.md says
    what is simulated and how to read what comes out.
    """


for _command in (
    run_command,
    hunt_command,
    replay_command,
    shrink_command,
    trace_command,
    picture_command,
):
    sim.add_command(_command)
