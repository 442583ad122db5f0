"""Twins: every way to cut up the network and to choose the leader, round by round.

In the manner of Bano et al., "Twins: BFT systems made robust" (arXiv 2004.10617): a Byzantine
member is two honest machines with one key, and what it can do comes from who can talk to whom.
"""
