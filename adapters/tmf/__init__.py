"""The TM Forum access node: seven APIs, catalogue replication, usage condensing.

docs/decisions/0006-access-node.md says which package owns what.
"""
