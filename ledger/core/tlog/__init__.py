"""The log as C2SP's transparency log formats have it: notes, checkpoints, policies, proofs."""
