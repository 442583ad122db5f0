"""FIWARE's trusted issuers: the registry that verifiers read, and the list's management."""
