"""Members of two releases agree while they are upgraded one by one; other protocols do not meet."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ledger.core.limits import PROTOCOL_VERSION
from tests.deployment.releases import tree_release
from tests.deployment.upgrade import MixedNetwork, upgrade_all

pytestmark = pytest.mark.process


def test_network_is_upgraded_member_by_member() -> None:
    """No event is lost or reordered, each step's members prove what others published, and back."""
    with TemporaryDirectory(prefix="cu-") as name:
        directory = Path(name)
        old = tree_release(directory / "old", "0.1.0")
        new = tree_release(directory / "new", "0.2.0")
        assert new.run("--version").startswith("concordat 0.2.0")
        with MixedNetwork.running(directory, old) as network:
            network.publish(0)
            upgrade_all(network, new)
            network.stop(3)
            network.releases[3] = old
            network.start(3)
            network.wait_well(3)
            network.publish(3)
            network.require_agreement()
            network.require_proofs(old, new)


def test_release_of_another_protocol_stays_outside() -> None:
    """Its member connects to nobody and says of which version it is; the others go on."""
    with TemporaryDirectory(prefix="cu-") as name:
        directory = Path(name)
        old = tree_release(directory / "old", "0.1.0")
        new = tree_release(directory / "new", "9.0.0")
        limits = new.path / "ledger" / "core" / "limits.py"
        text = limits.read_text()
        ours = f"PROTOCOL_VERSION: Final = {PROTOCOL_VERSION} "
        assert ours in text
        limits.write_text(text.replace(ours, f"PROTOCOL_VERSION: Final = {PROTOCOL_VERSION + 1} "))
        with MixedNetwork.running(directory, old) as network:
            network.stop(3)
            network.releases[3] = new
            network.start(3)
            network.publish(0)
            told = "speaks version"
            while told not in (directory / "node3.log").read_text():
                network.publish(1)
            network.publish(2)
