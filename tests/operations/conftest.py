"""What these tests need beside the checkout: promtool, of Debian's package ``prometheus``.

Where there is none, what it judges is not collected, and the header of the run says so; ``.ci/run``
installs it.
"""

import shutil

PROMTOOL = shutil.which("promtool")

collect_ignore = [] if PROMTOOL else ["test_promtool.py"]


def pytest_report_header() -> str:
    """Say whether there is a promtool."""
    return f"alert rules: {f'judged by {PROMTOOL}' if PROMTOOL else 'no promtool on PATH'}"
