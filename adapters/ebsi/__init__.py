"""The interfaces of the European Blockchain Services Infrastructure, over the ledger's lists.

Deviations from EBSI, and how a client writes, stand in docs/adapters/ebsi.md.
"""
