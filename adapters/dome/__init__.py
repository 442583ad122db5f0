"""Facades to the components of DOME, one folder each."""
