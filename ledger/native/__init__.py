"""Compiled kernels of the ledger: pure functions over whole batches, run without the GIL."""
