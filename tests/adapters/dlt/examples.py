"""Messages between Desmos and a DLT adapter, of our own making: names, order and units count."""

from copy import deepcopy
from hashlib import sha256
from typing import Any, Final

__all__ = ["example"]

_ID: Final = "urn:ngsi-ld:product-offering:5d1c"
_CONTENT: Final = sha256(b"the first version of an offering").hexdigest()
_ENTITY: Final = "0x" + sha256(_ID.encode()).hexdigest()
_PUBLISHER: Final = "0x" + sha256(b"VATES-S9999999E").hexdigest()
_PLACE: Final = f"https://market.example/api/v2/entities/{_ID}?hl={_CONTENT}"
_ADDRESS: Final = "0x52908400098527886E0F7030069857D2E4169EE7"  # of EIP-55
_TIME_S: Final = 1_788_000_000
_CALLBACK: Final = "http://desmos:8080/api/v2/notifications/dlt"
_CATALOGUE: Final = ["catalog", "category", "product-offering", "product-offering-price"]
_SPECIFIED: Final = ["product-specification", "service-specification", "resource-specification"]
_SOLD: Final = ["product-order", "product", "usage", "usageSpecification", "quote"]
_BILLED: Final = ["applied-customer-bill-rate", "customer-bill"]
_TYPES: Final = ["individual", "organization", *_CATALOGUE, *_SPECIFIED, *_SOLD, *_BILLED]

_EXAMPLES: Final[dict[str, Any]] = {
    "publishEvent_request": {
        "eventType": "product-offering",
        "iss": _PUBLISHER,
        "entityId": _ENTITY,
        "previousEntityHash": f"0x{_CONTENT}",
        "dataLocation": _PLACE,
        "relevantMetadata": ["prd"],
    },
    "subscribe_request": {
        "eventTypes": _TYPES,
        "metadata": ["prd"],
        "notificationEndpoint": _CALLBACK,
    },
    "subscribe_get_200": [
        {
            "eventTypes": ["product-offering"],
            "metadata": ["prd"],
            "notificationEndpoint": _CALLBACK,
        }
    ],
    "notification_to_subscriber": {
        "id": 42,
        "ethereumAddress": _ADDRESS,
        "publisherAddress": _PUBLISHER,
        "entityIDHash": _ENTITY,
        "previousEntityHash": f"0x{_CONTENT}",
        "eventType": "product-offering",
        "timestamp": _TIME_S,
        "dataLocation": _PLACE,
        "relevantMetadata": ["prd"],
    },
    "events_get_200": [
        {
            "id": 42,
            "ethereumAddress": _ADDRESS,
            "publisherAddress": _PUBLISHER,
            "timestamp": _TIME_S * 1000,
            "eventType": "product-offering",
            "dataLocation": _PLACE,
            "relevantMetadata": ["prd"],
            "entityId": _ENTITY,
            "previousEntityHash": f"0x{_CONTENT}",
        }
    ],
}


def example(name: str) -> Any:  # noqa: ANN401 - any JSON
    """Give a copy of one message."""
    return deepcopy(_EXAMPLES[name])
