"""``concordat sim``: run, hunt, replay, shrink, trace and picture, one module for each group."""

from simnet.cli.main import sim

__all__ = ["sim"]
