"""DOME's trust registry and the files of its trust framework."""
