"""Checks of a member's set-up: each finds something out and says what to do; none changes it."""
