"""The composition root: from a member's home to the running process, one module for each."""
