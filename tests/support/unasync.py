"""Makes the synchronous client from the asynchronous one, so that they cannot drift apart.

`python -m tests.support.unasync` writes it; a test holds that the file in the tree is what this
gives. Each rule is a plain replacement; the formatter has the last word.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "pubsub" / "client"
PAIRS = tuple(
    (FOLDER / f"async_{name}.py", FOLDER / f"sync_{name}.py")
    for name in ("client", "carrier", "trust", "consumers")
)

RULES = (
    (r"The asynchronous client, for asyncio and trio: carries out.*", "The synchronous client."),
    (r"The asynchronous client's (\w+)", r"The synchronous client's \1"),
    (r"flows with httpx and anyio", "flows with httpx"),
    (r"``sync_(\w+).py`` is made .*", r"Made from async_\1.py by tests/support/unasync.py."),
    (r"client\.async_(\w+)\b", r"client.sync_\1"),
    (r"for (\w+) in ([\w.]+):\n +yield \1\n", r"yield from \2\n"),
    (r"import anyio\n", "import time\n"),
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
    name = str(FOLDER / "sync.py")
    for command in (["check", "--select", "I,RUF022", "--fix-only", "-q"], ["format"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for source, target in PAIRS:
        target.write_text(synchronous(source.read_text(encoding="utf-8")), encoding="utf-8")
