"""Deterministic simulation of whole nodes, with faults and Byzantine members, in virtual time.

Runs the same cores as the real node; never imports an `io` package.
"""
