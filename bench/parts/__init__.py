"""Parts of the ledger measured alone, in one process or without consensus; most are commands."""
