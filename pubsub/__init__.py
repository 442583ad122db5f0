"""Who gets what: topics, filters, delivery, the HTTP gateway and the client library.

Imports the ledger, and of consensus the types only.
"""
