"""The parts of a core that agreement drives."""

import msgspec

from consensus.core.blocktree import BlockTree
from consensus.core.catchup import CatchUp
from consensus.core.context import CoreContext
from consensus.core.dissemination import Dissemination
from consensus.core.execution import ExecutionQueue
from consensus.core.leader import LeaderSchedule
from consensus.core.pacemaker import Pacemaker
from consensus.core.safety import SafetyRules
from consensus.core.stragglers import Stragglers

__all__ = ["Parts"]


class Parts(msgspec.Struct, frozen=True):
    """Every part is made once, by ``NodeCore``, and lives as long as it."""

    context: CoreContext
    rules: SafetyRules
    pacemaker: Pacemaker
    tree: BlockTree
    schedule: LeaderSchedule
    dissemination: Dissemination
    queue: ExecutionQueue
    catch_up: CatchUp
    stragglers: Stragglers
