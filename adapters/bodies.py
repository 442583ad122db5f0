"""Bodies of list entries as facades read them.

The ledger's rules for a body bound its shape, not its values: a writer of another world may have
put anything there. So whoever reads a body here gets a value whatever it is, and must not expect
more of its members than that they are JSON.
"""

import json

__all__ = ["members_of"]


def members_of(body: bytes) -> dict[str, object]:
    """Give the members of a body that the ledger took; numbers are the texts that stand there."""
    members: object = json.loads(body, parse_int=str, parse_float=str)
    assert isinstance(members, dict), "the ledger takes JSON objects alone"
    return members
