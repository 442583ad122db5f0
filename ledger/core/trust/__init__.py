"""The trust framework on the ledger: lists, identities, governance. Changed only by signed events.

An event on a reserved topic carries one operation; ``machine.apply`` interprets it when its block
is applied, on every node alike. What is not allowed is refused with a stable code and changes
nothing.
"""
