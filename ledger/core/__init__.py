"""The pure part of the ledger: canonical bytes, keys, the Merkle log and the state.

No trio, sockets, files, clock, randomness, threads or logging: same inputs give the same bytes.
"""
