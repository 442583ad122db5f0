"""Directed schedules kept for ever: what other systems broke on, acted out by our real cores.

Random search finds these states too seldom or never. Each script says where its bug was reported,
what went wrong there, and which rule keeps it from happening here.
"""
