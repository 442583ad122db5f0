"""What the console's tests need beside the checkout: a Chromium, for those in a browser.

Where there is none the tests in a browser are not collected, and the header of the run says so;
``.ci/run`` installs one.
"""

import shutil

CHROMIUM = shutil.which("chromium")

collect_ignore = [] if CHROMIUM else ["test_console_browser.py"]


def pytest_report_header() -> str:
    """Say whether there is a browser."""
    found = f"with {CHROMIUM}" if CHROMIUM else "not run: no chromium on PATH"
    return f"console in a browser: {found}"
