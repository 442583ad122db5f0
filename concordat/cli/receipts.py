"""What became of an event that a command published, for people and for programs."""

from concordat.cli.output import emit
from pubsub.client.answers import Receipt

__all__ = ["show_receipt"]


def show_receipt(receipt: Receipt, *, as_json: bool) -> None:
    """Print a receipt."""
    document = {
        "id": receipt.id.hex(),
        "status": receipt.status,
        "code": receipt.code,
        "detail": receipt.detail,
        "sequence": receipt.sequence,
        "height": receipt.height,
        "duplicate": receipt.duplicate,
    }
    if receipt.status == "refused":
        human = f"{receipt.id.hex()}  refused: {receipt.code}  {receipt.detail}".rstrip()
    elif receipt.status == "final":
        human = f"{receipt.id.hex()}  final at sequence {receipt.sequence}, block {receipt.height}"
    else:
        human = f"{receipt.id.hex()}  accepted by a node, not yet final"
    emit(document, human, as_json=as_json)
