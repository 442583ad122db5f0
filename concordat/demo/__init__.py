"""The demonstration: a network of real processes on this machine, and what it is shown to do."""
