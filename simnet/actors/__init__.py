"""Byzantine members: each a real core whose inputs or effects pass through something malicious.

An actor signs with its own key and nobody else's, and says only what it could have made from what
it has seen. Whatever it decides is a recorded choice, so a plan repeats it and shrinks.
"""
