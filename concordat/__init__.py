"""Concordat: a Byzantine-fault-tolerant publish/subscribe ledger for federations.

The face of the product: the public API, the command line, configuration and the composition
root that wires the processes. It holds no protocol rule of its own.
"""
