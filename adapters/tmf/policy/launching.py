"""What an offering needs before it is launched: all that it is made of, and where it is shown.

Owns what "its specification and its catalogue" are. The definitions tie an offering to no
catalogue; it is shown in those that list one of its categories.
"""

from typing import Final

from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import OWN, JsonObject
from adapters.tmf.policy.neutral import NeutralPolicy
from adapters.tmf.policy.refusals import conflicting, is_launched
from adapters.tmf.query.model import AnyOf, Comparison, Query
from adapters.tmf.store.ports import Reading

__all__ = ["LaunchRules", "ids_under", "is_launching"]

_OFFERING: Final = "productOffering"


class LaunchRules(NeutralPolicy):
    """The order of launches at the node that owns the offering."""

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Refuse the launch of an offering before its parts. Raises TmfError 409."""
        if proposed.origin != OWN or not is_launching(proposed):
            return
        assert proposed.after is not None, "it is launched"
        _need_parts(proposed.after, reading)
        categories = ids_under(proposed.after, "category")
        if not _is_shown(categories, reading):
            raise conflicting(
                "catalog-not-launched", "no launched catalog lists one of the offering's categories"
            )


def is_launching(proposed: Proposed) -> bool:
    """Say whether a change launches an offering, or brings one that is launched elsewhere."""
    if proposed.resource.name != _OFFERING or not is_launched(proposed.after):
        return False
    return proposed.origin != OWN or not is_launched(proposed.before)


def ids_under(document: JsonObject, name: str) -> list[str]:
    """Give the ids of the references under an attribute, be it one or many."""
    value = document.get(name)
    rows = value if isinstance(value, list) else [value]
    ids = [row.get("id") for row in rows if isinstance(row, dict)]
    return [id_ for id_ in ids if isinstance(id_, str)]


def _need_parts(offering: JsonObject, reading: Reading) -> None:
    is_bundle = offering.get("isBundle") is True
    name = "bundledProductOffering" if is_bundle else "productSpecification"
    resource = _OFFERING if is_bundle else name
    ids = ids_under(offering, name)
    if not ids:
        raise conflicting("specification-missing", f"an offering is launched with its {name}")
    for id_ in ids:
        part = reading.get(resource, id_)
        if part is None or not is_launched(part.document()):
            raise conflicting("specification-not-launched", f"{name} {id_} is not launched")


def _is_shown(categories: list[str], reading: Reading) -> bool:
    if not categories:
        return False
    listing = AnyOf(tuple(Comparison("category.id", "eq", id_) for id_ in categories))
    launched = Comparison("lifecycleStatus", "regex", "^(?i:launched)$")
    return reading.find("catalog", Query((listing, launched), limit=1)).total > 0
