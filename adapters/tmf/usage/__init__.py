"""Usage records condensed into blocks on the ledger."""
