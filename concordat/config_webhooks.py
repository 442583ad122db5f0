"""The settings of a gateway's webhooks: a part of ``concordat/config.py``."""

from typing import Annotated, Literal

from msgspec import Meta

from concordat.config_section import Section

__all__ = ["WebhooksSection"]

_Host = Annotated[str, Meta(pattern=r"^[a-z0-9_.:-]+\Z", min_length=1, max_length=253)]


class WebhooksSection(Section, frozen=True):
    """Where events may be posted, and in whose name: see docs/webhooks.md."""

    endpoints: Annotated[
        Literal["public", "private"],
        Meta(
            description="Where deliveries may go. public: https to port 443 of addresses of the "
            "internet only; private: http, other ports and private addresses too, for a gateway "
            "whose users may all reach your network. Never to link-local addresses."
        ),
    ] = "public"
    endpoint_hosts: Annotated[
        tuple[_Host, ...],
        Meta(
            description="When not empty, the only hosts that may be called, by http and on any "
            "port too; each may have private addresses."
        ),
    ] = ()
    origin: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9.-]*\Z",
            max_length=253,
            description="DNS name in whose name receivers are asked for consent, such as "
            "ledger.example. Empty: the host of base_url, else the member's name.",
        ),
    ] = ""
    base_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[!-~]+[^/ ])?\Z",
            max_length=2048,
            description="What receivers call this gateway, such as https://ledger.example: they "
            "may consent there later. Empty: facades.base_url; when that is empty too, they can "
            "only consent at once.",
        ),
    ] = ""
