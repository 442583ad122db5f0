"""The policies of one node, put together from what its operator chose.

Owns the order in which they judge: first who asks, then the form, then what costs reading. The
profile ``tmf`` demands nothing beyond the definitions, so that the TM Forum's kits pass.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from adapters.tmf.entities.policy import Policy
from adapters.tmf.policy.access import AccessRules
from adapters.tmf.policy.certified import CertifiedRules
from adapters.tmf.policy.compliance import Certificate, Verdict
from adapters.tmf.policy.dome import DomeForm
from adapters.tmf.policy.launching import LaunchRules
from adapters.tmf.policy.references import ReferenceRules

__all__ = ["Profile", "policies_of"]


class Profile(msgspec.Struct, frozen=True):
    """What the operator chose.

    Attributes:
        name: "tmf" or "dome".
        member: DID of this node's member.
        checks_references: references must lead somewhere.
        needs_certificates: offerings are launched and accepted with certified specifications.
    """

    name: Literal["tmf", "dome"]
    member: str
    checks_references: bool = False
    needs_certificates: bool = False


def policies_of(
    profile: Profile,
    now: Callable[[], str],
    verdict_of: Callable[[Certificate], Verdict | None],
) -> tuple[Policy, ...]:
    """Give the policies, in the order in which they judge.

    Args:
        now: gives the time as RFC 3339 text.
        verdict_of: gives what is known about a certificate.
    """
    found: list[Policy] = [AccessRules()]
    if profile.name == "dome":
        found += [DomeForm(profile.member, now), LaunchRules()]
    if profile.checks_references:
        found.append(ReferenceRules())
    if profile.needs_certificates:
        found.append(CertifiedRules(verdict_of))
    return tuple(found)
