"""The HTTP side of the seven APIs."""
