"""Verifiable credentials and access tokens: who asks, for which organisation, with which powers.

`access` names the result and the protocol that the facades depend on; everything else serves it.
The checks are pure functions of bytes, keys and a time; fetching and serving stand apart.
"""
