"""Catalogue replication: journal to ledger, ledger to store."""
