"""The client library: publish signed events, read and follow the ledger, check every proof.

Needs no store and no node, only the HTTP API of any gateways. Users import it from ``concordat``.
"""
