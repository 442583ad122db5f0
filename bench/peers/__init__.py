"""Concordat and the systems that people use today, measured alike in one run on one machine."""
