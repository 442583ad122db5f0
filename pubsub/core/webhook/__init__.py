"""Webhooks as pure rules: registrations, signatures, encodings, retries, health, consent."""
