"""The crash test in small: a few subscribers of each kind, and a gateway that is killed twice."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.delivery.__main__ import run
from tests.delivery.course import Plan


@pytest.mark.process
def test_nothing_is_lost_when_a_gateway_dies() -> None:
    """Every subscriber is given what a naive filter over the log says, in order where it asked."""
    with TemporaryDirectory(prefix="cd-") as directory:  # short: socket paths have to be
        course = run(Path(directory), Plan(seed=1, seconds=6, each=3, per_second=10))
    assert course.faults == []
    assert course.kills.total() > 0
    assert all(record.given for record in course.records)
