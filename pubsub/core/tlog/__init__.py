"""The transparency log as it is served."""
