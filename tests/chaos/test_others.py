"""What others take of the machine is told from what is ours."""

import os
import subprocess
import sys
import time

import pytest

from tests.chaos.others import Others

WORK = "import time; end = time.monotonic() + 0.7\nwhile time.monotonic() < end: pass"


@pytest.mark.process
def test_another_process_counts_unless_it_is_ours() -> None:
    """A working process that is not named is another's; named it is none, nor are we."""
    others = Others()
    with subprocess.Popen([sys.executable, "-I", "-c", WORK]) as child:
        time.sleep(0.5)
        unnamed = others.cores([])
        named = others.cores([child.pid])
    assert unnamed - named > 0.2 / (os.cpu_count() or 1)
