"""The settings of what a gateway keeps for subscribers: a part of ``concordat/config.py``."""

from typing import Annotated

from msgspec import Meta

from concordat.config_section import FilePath, Section
from pubsub.core.limits import CONSUMERS_MAX, CONSUMERS_PER_OWNER_MAX

__all__ = ["DeliverySection"]


class DeliverySection(Section, frozen=True):
    """Durable consumers and webhooks: see docs/consumers.md and docs/webhooks.md."""

    directory: Annotated[
        FilePath,
        Meta(
            description="Directory of the delivery store (LMDB): positions of consumers, "
            "webhooks, the audit trail. The gateway makes it; each gateway needs its own. When it "
            "is lost, consumers must be made anew; no event is."
        ),
    ] = "data/delivery"
    consumers_max: Annotated[
        int, Meta(ge=0, le=100_000, description="Durable consumers in all, webhooks included.")
    ] = CONSUMERS_MAX
    consumers_per_owner_max: Annotated[
        int, Meta(ge=0, le=100_000, description="Durable consumers of one principal.")
    ] = CONSUMERS_PER_OWNER_MAX
