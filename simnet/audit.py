"""The audit of a run: one digest over everything that every machine wanted done, and when.

Two runs of one plan give the same digest, in any process. Where they do not, something reads the
order of a set, an address or a clock, and no failure can be trusted to replay.
"""

import msgspec
from blake3 import blake3

from consensus.core.effects import Effect
from simnet.machine import Machine
from simnet.observer import Observer
from simnet.world import World

__all__ = ["Audit"]


class Audit(Observer):
    """Digests effects as they come.

    Attributes:
        effects: how many there were.
    """

    def __init__(self) -> None:
        self.effects = 0
        self._hasher = blake3(derive_key_context="concordat simnet audit")
        self._encode = msgspec.msgpack.Encoder().encode
        self._world: World | None = None

    def on_begin(self, world: World) -> None:
        """Learn whose clock counts."""
        self._world = world

    def on_effect(self, machine: Machine, effect: Effect) -> None:
        """Take an effect in."""
        assert self._world is not None, "a run begins before anything happens"
        self.effects += 1
        kind = type(effect).__name__
        line = self._encode((self._world.now_us, machine.name, machine.incarnation, kind, effect))
        self._hasher.update(len(line).to_bytes(4, "big") + line)

    def digest(self) -> str:
        """Give the digest so far, in hexadecimal."""
        return self._hasher.hexdigest()
