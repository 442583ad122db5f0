"""From a member's home to the DLT adapter that its gateway serves."""

from adapters.dome.dlt.egress import Egress
from adapters.dome.dlt.facade import DltAdapter, DltSettings
from concordat.home import Home
from ledger.io.keystore import OpenKey

__all__ = ["dlt_adapter"]


def dlt_adapter(home: Home, publisher: OpenKey) -> DltAdapter:
    """Make the facade that publishes with a member's key.

    Raises:
        ledger.io.errors.StorageError: its state file cannot be used.
    """
    section = home.config.dlt_adapter
    settings = DltSettings(
        did=publisher.info.owner,
        state_path=home.resolve(section.state),
        organisation=section.organisation or None,
        egress=Egress(section.endpoints == "private", frozenset(section.endpoint_hosts.split())),
        is_public=section.open_to_internet,
    )
    return DltAdapter(settings, publisher.signer)
