"""What this node believes: callers by their tokens, certificates by what the ledger says."""
