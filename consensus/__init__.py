"""How it is agreed: the Jolteon core, batch dissemination, catch-up and evidence.

Imports the ledger only. Every protocol decision is made in `core`; `io` executes its effects.
"""
