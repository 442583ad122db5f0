"""The shell of durable consumers: reading the log for them, and making their state durable."""
