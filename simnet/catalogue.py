"""The Byzantine members that there are, by name."""

from typing import Final

from simnet.actor import Actor
from simnet.actors.batches import BadBatchOrigin, FalseAcknowledger
from simnet.actors.equivocation import EquivocatingLeader, EquivocatingVoter, Spoiler
from simnet.actors.excess import Flooder, TimeRatchet
from simnet.actors.forgery import CertificateForger, SignatureForger
from simnet.actors.low import LowLeader
from simnet.actors.masks import LateVoter, Miser, SilentLeader, Twin, VoteWithholder, Withholder
from simnet.actors.mutation import Mutator
from simnet.actors.serving import LyingServer

__all__ = ["ACTORS", "TWIN"]

TWIN: Final = "twin"

ACTORS: Final[dict[str, type[Actor]]] = {
    TWIN: Twin,
    "equivocating leader": EquivocatingLeader,
    "equivocating voter": EquivocatingVoter,
    "spoiler": Spoiler,
    "withholder": Withholder,
    "vote withholder": VoteWithholder,
    "silent leader": SilentLeader,
    "late voter": LateVoter,
    "miser": Miser,
    "certificate forger": CertificateForger,
    "signature forger": SignatureForger,
    "lying server": LyingServer,
    "bad batch origin": BadBatchOrigin,
    "false acknowledger": FalseAcknowledger,
    "flooder": Flooder,
    "time ratchet": TimeRatchet,
    "mutator": Mutator,
    "low leader": LowLeader,
}
