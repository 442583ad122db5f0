"""Who asks the access node: an organisation with powers, its operator, or anybody."""

import msgspec

__all__ = ["ANYBODY", "OPERATOR", "Caller"]


class Caller(msgspec.Struct, frozen=True):
    """The party behind a request.

    Attributes:
        organisation: its DID; empty for anybody.
        powers: "<function>/<action>" of its credential ("ProductOffering/Create").
        is_operator: may do all that this node may do.
        is_marketplace: asks to replicate, so it follows what was launched to its end.
    """

    organisation: str = ""
    powers: frozenset[str] = frozenset()
    is_operator: bool = False
    is_marketplace: bool = False


ANYBODY = Caller()
OPERATOR = Caller(is_operator=True)
