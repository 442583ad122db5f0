"""Durable consumers as a pure state machine: who was given what, and what became of it."""
