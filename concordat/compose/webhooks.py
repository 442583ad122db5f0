"""From a member's configuration to the settings of its gateway's webhooks."""

from urllib.parse import urlsplit

from concordat.config import Config
from pubsub.io.egress import Egress
from pubsub.io.webhooks.settings import WebhookSettings

__all__ = ["webhook_settings"]


def webhook_settings(config: Config, name: str) -> WebhookSettings:
    """Put the settings together; ``name`` is the member's."""
    section = config.webhooks
    base_url = section.base_url or config.facades.base_url
    return WebhookSettings(
        egress=Egress(section.endpoints == "private", frozenset(section.endpoint_hosts)),
        origin=section.origin or urlsplit(base_url).hostname or name,
        base_url=base_url,
    )
