"""What replication decides, without clock, network or database."""
