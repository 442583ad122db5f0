"""One seeded storm over a federation: loss, holding back, partitions and crashes, then calm.

Safety is judged all the time and at the end; liveness only after everything is healed, within a
bounded virtual time. Every choice is drawn from the seed, swarm-wise: most seeds leave most kinds
of trouble out.
"""

from collections.abc import Callable
from random import Random

from consensus.core.messages import Message, ProposalMessage, TimeoutMessage, VoteMessage
from ledger.core.block import block_id, decode_batch
from ledger.core.ids import NodeIndex
from tests.support.federation import Federation, Tamper

CALM_MS = 60_000  # virtual time within which a healed federation must have ordered everything

Actor = Callable[[Federation, int], Tamper]


class Storm:
    """A federation and its troubles.

    Attributes:
        faulty: indexes that do not count as honest.
        expected: entries that must be ordered in the end.
    """

    def __init__(
        self, count: int, seed: int, actor: Actor | None = None, *, twin: bool = False
    ) -> None:
        self.random = Random(f"storm {count} {seed}")
        self.world = Federation(count, seed)
        self.faulty: set[int] = set()
        self.expected: set[bytes] = set()
        self._wire = WireJudge(self.world.wire, self.faulty)
        self._entries = 0
        self._acted: dict[int, int] = {}
        if actor is not None or twin:
            bad = self.random.randrange(count)
            self.faulty.add(bad)
            if actor is not None:
                self.world.nodes[bad].tamper = actor(self.world, bad)
            if twin:
                self.world.add_twin(bad)
        self._down_max = (count - 1) // 3 - len(self.faulty)

    # --- trouble ----------------------------------------------------------------------------

    def rage(self, steps: int = 12) -> None:
        """Let things happen."""
        draw, world = self.random, self.world
        world.loss_percent = draw.choice((0, 0, 2, 10))
        world.hold_percent = draw.choice((0, 5, 25))
        world.hold_ms = draw.choice((50, 500, 3_000))
        world.execute_us = draw.choice((200, 200, 20_000, 400_000))
        kinds = draw.sample(("crash", "crash later", "partition", "all down"), draw.randint(0, 3))
        for _ in range(steps):
            self._submit()
            if kinds and draw.random() < 0.5:
                self._strike(draw.choice(kinds))
            world.run(draw.choice((1, 10, 100, 700)))
            self.check()

    def _submit(self) -> None:
        node = self.random.randrange(len(self.world.nodes))
        size = self.random.choice((10, 10, 10, 40_000))
        self._entries += 1
        entry = f"{self._entries}|".encode().ljust(size, b".")
        if self.world.nodes[node].core is not None:
            self.world.submit(node, [entry], self._entries)

    def _strike(self, kind: str) -> None:
        draw, world = self.random, self.world
        down = [n.index for n in world.nodes if n.core is None]
        up = [n for n in world.nodes if n.core is not None and n.index not in self.faulty]
        match kind:
            case "crash" | "crash later" if len(down) < self._down_max:
                node = draw.choice(up)
                if kind == "crash":
                    world.crash(node.index)
                elif not any(n.crash_in for n in world.nodes):
                    node.crash_in = draw.randint(1, 60)
            case "partition":
                side = {n.index for n in world.nodes if draw.random() < 0.5}
                whole = draw.random() < 0.5
                world.delivers = lambda a, b, _: whole or (a in side) == (b in side)
            case "all down":
                for node in world.nodes:
                    if node.core is not None:
                        world.crash(node.index)
                self._revive()
            case _ if down:
                world.start(draw.choice(down))
            case _:
                pass

    def _revive(self) -> None:
        for node in self.world.nodes:
            if node.core is None and not node.halted:
                self.world.start(node.index)

    # --- calm -------------------------------------------------------------------------------

    def calm(self) -> None:
        """Heal everything; all that is on a disk or submitted now must be ordered soon."""
        world = self.world
        world.loss_percent = world.hold_percent = 0
        world.execute_us = 200
        world.delivers = lambda _sender, _receiver, _message: True
        for node in world.nodes:
            node.crash_in = 0
        self._revive()
        honest = [n for n in world.nodes if n.index not in self.faulty]
        for node in honest:
            own = (decode_batch(b) for b in node.disk.batches.values())
            self.expected |= {e for b in own if b.origin == node.index for e in b.entries}
            entry = f"calm {node.index}".encode()
            self.expected.add(entry)
            world.submit(node.index, [entry])
        done = world.run(CALM_MS, lambda: all(self.expected <= set(n.disk.log) for n in honest))
        self.check()
        assert done, f"no progress after the storm: {world.heights()}, {self._why()}"

    def _why(self) -> list[object]:
        cores = [n.core for n in self.world.nodes]
        return [core and core.status(self.world.now_ms)["progress"] for core in cores]

    # --- judgement --------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what must hold at every moment."""
        honest = [n for n in self.world.nodes if n.index not in self.faulty]
        longest = max((n.disk.blocks for n in honest), key=len)
        for node in honest:
            blocks = node.disk.blocks
            assert blocks == longest[: len(blocks)], f"node {node.index} disagrees"
            assert not node.halted, node.halted
            assert len(node.disk.log) == len(set(node.disk.log))
            assert {e.offender for e in node.evidence} <= self.faulty
            acted = self.world.record(node.index).acted_round
            assert acted >= self._acted.get(node.index, 0), "the safety record went back"
            self._acted[node.index] = acted
        self._wire.check()


class WireJudge:
    """Asserts that no honest node contradicts itself in what it sends."""

    def __init__(self, wire: list[tuple[NodeIndex, Message]], faulty: set[int]) -> None:
        self._wire = wire
        self._faulty = faulty
        self._seen = 0
        self._said: dict[tuple[str, int, int], object] = {}

    def check(self) -> None:
        """Judge what was sent since the last time."""
        for sender, message in self._wire[self._seen :]:
            if sender not in self._faulty:
                self._judge(sender, message)
        self._seen = len(self._wire)

    def _judge(self, sender: int, message: Message) -> None:
        said = self._said
        match message:
            case VoteMessage(vote) if ("vote", sender, vote.round) not in said:
                assert ("timeout", sender, vote.round) not in said, "a vote after the timeout"
                said["vote", sender, vote.round] = vote
            case VoteMessage(vote):
                assert said["vote", sender, vote.round] == vote, "two votes in a round"
            case TimeoutMessage(timeout):
                first = said.setdefault(("timeout", sender, timeout.round), timeout)
                assert first == timeout, "a timeout was made a second time"
            case ProposalMessage(proposal):
                key = ("proposal", sender, proposal.block.round)
                id_ = block_id(proposal.block)
                assert said.setdefault(key, id_) == id_, "two proposals in a round"
            case _:
                pass
