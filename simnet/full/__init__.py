"""The full tier: whole nodes with real signatures, admission, ledger, publishers, subscribers."""
