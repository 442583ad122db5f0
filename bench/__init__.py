"""Measurements of real nodes and of single kernels; never part of the installed wheel."""
