"""The shell of the ledger: the LMDB store, the only place that reads or writes its files."""
