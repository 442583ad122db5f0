"""What is agreed on: events, blocks, certificates, proofs, state and their store.

Imports nothing of ours. `core` is pure, `io` is the LMDB shell, `native` holds the kernels.
"""
