"""Refuses bodies that could hold personal data: what is on a ledger cannot be taken back.

A gate, not a proof of absence: member names that belong to natural persons, and anything that
looks like an e-mail address or a telephone number of one, keep a body out.
"""

import re
from typing import Final

__all__ = ["personal_data_in"]

_NAMES: Final = frozenset(
    {
        *("email", "emailaddress", "mail", "phone", "mobilephone", "telephone", "telephonenumber"),
        *("firstname", "lastname", "familyname", "givenname", "fullname", "middlename", "surname"),
        *("dateofbirth", "birthdate", "birthday", "placeofbirth", "gender", "nationalid"),
        *("passportnumber", "personalidentifier", "socialsecuritynumber", "homeaddress"),
        *("mandatee", "ipaddress"),
    }
)
# One character before the sign says as much as all of them, and keeps the search linear.
_EMAIL: Final = re.compile(r"[^\s@<>\"/:]@[^\s@<>\"/:]+\.[A-Za-z]{2,}", re.ASCII)
_SEPARATORS: Final = re.compile(r"[^a-z0-9]")


def personal_data_in(value: object, *, names: bool = True) -> str | None:
    """Name the first place in a decoded JSON value that could hold personal data, or give None.

    Args:
        value: its depth is bounded by whoever decoded it.
        names: whether the names of members count too, or only texts.
    """
    if isinstance(value, str):
        return "an e-mail address" if _EMAIL.search(value) else None
    if isinstance(value, dict):
        for name, item in value.items():
            if names and _SEPARATORS.sub("", str(name).lower()) in _NAMES:
                return f"a member {name!r}"
            if (found := personal_data_in(item, names=names)) is not None:
                return found
    elif isinstance(value, list):
        for item in value:
            if (found := personal_data_in(item, names=names)) is not None:
                return found
    return None
