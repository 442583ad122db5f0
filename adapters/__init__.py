"""Facades to the outside worlds, one folder each; nothing but the composition root imports them."""
