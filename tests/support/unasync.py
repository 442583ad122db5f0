"""Makes the synchronous client from the asynchronous one, so that they cannot drift apart.

`python -m tests.support.unasync` writes it; a test holds that the file in the tree is what this
gives. Each rule is a plain replacement; the formatter has the last word.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "pubsub" / "client"
SOURCE = FOLDER / "async_client.py"
TARGET = FOLDER / "sync_client.py"

RULES = (
    (r"The asynchronous client, for asyncio and trio: carries out.*", "The synchronous client."),
    (r"``sync_client.py`` is made .*", "Made from async_client.py by tests/support/unasync.py."),
    (r"import ssl\n", "import ssl\nimport time\n"),
    (r"AsyncIterator, Callable, Iterable,", "Callable, Iterable, Iterator,"),
    (r"import anyio\n", ""),
    (r"\banyio\.sleep", "time.sleep"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\banext\(", "next("),
    (r"\baiter_bytes", "iter_bytes"),
    (r"\baclose", "close"),
    (r"__a(enter|exit|iter|next)__", r"__\1__"),
    (r"Async([A-Z])", r"\1"),
)


def synchronous(text: str) -> str:
    """Give the synchronous form of the asynchronous client."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    TARGET.write_text(synchronous(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
