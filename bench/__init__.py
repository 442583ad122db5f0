"""Measurements of real nodes and of single kernels; never part of the installed wheel.

A module beside this one is a command that records a run: ``python -m bench.<module>``. What they
are made of: `load` (what is offered), `network` (one measurement of a running network each),
`parts` (one part of the ledger alone, most of them commands too), `machine` (what the kernel says
of processes and of this machine), `report` (results, tables, plots), `peers` (other systems).
"""
