"""The shell of consensus: the trio driver, the peer transport and the safety record on disk."""
