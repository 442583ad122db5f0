"""The journey through three marketplaces as its users run it."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from concordat.demo.certifier import LABEL_TYPE, Certifier
from tests.concordat.test_demo_process import ROOT, wait_until_nothing_runs

PROMISES = 10


@pytest.mark.process
def test_the_journey_ends_well() -> None:
    """Every promise is shown to hold, and nothing of it is left."""
    with TemporaryDirectory(prefix="cd-") as temporary:
        result = subprocess.run(
            [sys.executable, "-m", "concordat", "demo-marketplace"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": temporary},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.count("\nok ") == PROMISES, result.stdout
        assert "NOT SO" not in result.stdout
        wait_until_nothing_runs(Path(temporary))
        assert not list(Path(temporary).iterdir())


def test_a_certificate_is_about_one_specification() -> None:
    """It names its issuer and its subject, and each certifier has an authority of its own."""
    one, other = Certifier("VATFR-1"), Certifier("VATFR-1")
    assert one.anchor != other.anchor
    assert one.did == "did:elsi:VATFR-1"
    assert one.certify("urn:a") != one.certify("urn:b")
    assert LABEL_TYPE.startswith("gx:")
