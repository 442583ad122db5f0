"""Settings that all tests share: how many examples the property tests try, and which.

`make test` repeats the same examples every time, so that a red run is red again; `make fuzz`
(`--hypothesis-profile=fuzz`) looks for new ones.
"""

import sys
from typing import Any

import structlog
from hypothesis import settings

# eth-account, which signs for the tests of the EBSI facade, raises the limit of recursion for the
# whole process when it is imported: deep text would then end the process instead of failing a test.
_RECURSION_LIMIT = sys.getrecursionlimit()
import eth_account  # noqa: E402, F401

sys.setrecursionlimit(_RECURSION_LIMIT)

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None, print_blob=True)
settings.load_profile("repeatable")

_configure = structlog.configure


def _configure_for_one_test(*args: Any, **options: Any) -> None:  # noqa: ANN401 - as structlog's
    """Configure logging, but keep no logger: one test's would be that of all behind it."""
    _configure(*args, **{**options, "cache_logger_on_first_use": False})


structlog.configure = _configure_for_one_test
