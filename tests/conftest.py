"""Settings that all tests share: how many examples the property tests try, and which.

`make test` repeats the same examples every time, so that a red run is red again; `make fuzz`
(`--hypothesis-profile=fuzz`) looks for new ones.
"""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None, print_blob=True)
settings.load_profile("repeatable")
