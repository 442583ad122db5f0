"""Webhooks as they run: durable registrations, the tasks that deliver, what owners may ask for."""
