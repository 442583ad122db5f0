"""A machine-checked specification of agreement: a proof, and an exhaustive exploration.

``proof`` shows agreement for any number of rounds and validators of the abstract protocol in
``abstract``; ``explorer`` plays everything that can happen within a small scope with the real
``SafetyRules``, and judges each of their steps by that same abstract protocol. See
docs/specification.md for what is shown and what is not.
"""
