"""What this machine is, and what processes use of it."""
