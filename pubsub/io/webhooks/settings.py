"""What a gateway is told about its webhooks."""

from dataclasses import dataclass, field

from pubsub.io.egress import Egress

__all__ = ["WebhookSettings"]


@dataclass(frozen=True)
class WebhookSettings:
    """What a gateway is told about its webhooks.

    Attributes:
        egress: where deliveries may go.
        origin: DNS name in whose name receivers are asked for consent.
        base_url: what receivers call this gateway, for consent that is given later; empty for none.
    """

    egress: Egress = field(default_factory=lambda: Egress(allows_private=False))
    origin: str = "concordat.invalid"
    base_url: str = ""
