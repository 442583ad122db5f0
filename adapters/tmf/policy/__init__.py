"""Who may see and do what, and what an entity must look like beyond the API. Pure.

`profile` puts the policies of a node together; each of the others owns one rule.
"""
