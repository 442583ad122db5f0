"""The Byzantine members that there are, by name."""

from typing import Final

from simnet.actor import Actor
from simnet.actors.batches import BadBatcher, FalseAcknowledger
from simnet.actors.equivocation import EquivocatingLeader, EquivocatingVoter, Usurper
from simnet.actors.excess import Flooder, TimeRatchet
from simnet.actors.forgery import Forger, SignatureForger
from simnet.actors.headers import FalseHeader
from simnet.actors.masks import LateVoter, Miser, SilentLeader, Twin, VoteWithholder, Withholder
from simnet.actors.mutation import Mutator
from simnet.actors.serving import LyingServer
from simnet.actors.stale import StaleLeader

__all__ = ["ACTORS", "TWIN"]

TWIN: Final = "twin"

ACTORS: Final[dict[str, type[Actor]]] = {
    TWIN: Twin,
    "equivocating_leader": EquivocatingLeader,
    "equivocating_voter": EquivocatingVoter,
    "usurper": Usurper,
    "withholder": Withholder,
    "vote_withholder": VoteWithholder,
    "silent_leader": SilentLeader,
    "late_voter": LateVoter,
    "miser": Miser,
    "forger": Forger,
    "signature_forger": SignatureForger,
    "lying_server": LyingServer,
    "bad_batcher": BadBatcher,
    "false_acknowledger": FalseAcknowledger,
    "flooder": Flooder,
    "time_ratchet": TimeRatchet,
    "mutator": Mutator,
    "stale_leader": StaleLeader,
    "false_header": FalseHeader,
}
