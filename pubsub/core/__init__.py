"""The pure part of publish/subscribe: topic filters, requests, delivery and proof checking.

No trio, sockets, files, clock, randomness, threads or logging.
"""
