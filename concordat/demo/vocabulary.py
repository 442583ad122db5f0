"""The words that the generated catalogues are made of: markets, categories, products, prices."""

from typing import Final, NamedTuple

__all__ = ["FAMILIES", "MARKETPLACES", "TIERS", "Family", "Marketplace", "Tier"]


class Marketplace(NamedTuple):
    """A federated marketplace: short name, its operator, its country, currency of its prices."""

    name: str
    operator: str
    organisation: str
    currency: str


class Family(NamedTuple):
    """Products of one category. ``base_price`` is that of the smallest tier, per month."""

    category: str
    specification: str
    names: tuple[str, ...]
    unit: str
    base_price: int


class Tier(NamedTuple):
    """A size in which a product is offered, and its price relative to the smallest, in percent."""

    name: str
    price_percent: int
    agreement_months: int


MARKETPLACES: Final = (
    Marketplace("nordwind", "Nordwind Cloud GmbH", "VATDE-312845967", "EUR"),
    Marketplace("iberia-cloud", "Iberia Cloud Servicios S.L.", "VATES-B86741523", "EUR"),
    Marketplace("alpenrand", "Alpenrand Digital AG", "VATAT-U71234508", "EUR"),
    Marketplace("polaris", "Polaris Datacenter Oy", "VATFI-28451196", "EUR"),
    Marketplace("adria-edge", "Adria Edge d.o.o.", "VATHR-90412357781", "EUR"),
    Marketplace("wisla", "Wisła Systems sp. z o.o.", "VATPL-5252839410", "PLN"),
)

FAMILIES: Final = (
    Family(
        "Compute",
        "Virtual machine",
        ("General Purpose Compute", "GPU Compute", "Confidential Compute", "Edge Compute Node"),
        "instance",
        24,
    ),
    Family(
        "Storage",
        "Object storage",
        ("Object Storage", "Archive Storage", "Replicated Block Storage"),
        "TB",
        9,
    ),
    Family(
        "Data platform",
        "Managed database",
        ("Managed PostgreSQL", "Time Series Store", "Context Broker", "Streaming Platform"),
        "node",
        49,
    ),
    Family(
        "Internet of Things",
        "Sensor data service",
        ("Air Quality Feed", "Smart Meter Gateway", "Fleet Telemetry", "Water Level Monitoring"),
        "device",
        3,
    ),
    Family(
        "Artificial intelligence",
        "Model inference service",
        ("Document Classification", "Speech Transcription", "Crop Yield Forecast"),
        "1000 requests",
        6,
    ),
    Family(
        "Security",
        "Managed security service",
        ("Key Management", "Log Retention", "Vulnerability Scanning", "Identity Broker"),
        "tenant",
        35,
    ),
)

TIERS: Final = (
    Tier("Starter", 100, 1),
    Tier("Business", 320, 12),
    Tier("Enterprise", 940, 24),
    Tier("Public Sector", 780, 36),
)
