"""Compact definitions of the TM Forum resources: attributes, defaults, states, names. Pure."""
