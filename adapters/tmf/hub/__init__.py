"""Notifications: registrations, the grammar of their queries, durable delivery."""
