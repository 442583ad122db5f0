"""What a run is: the federation, its world's weather and its workload, and the plan of its faults.

A plan is JSON, holds everything that a run depends on, and repeats it as long as the code's
behaviour is the same; a seed alone would mean something else after every change of the drawing.
"""

from pathlib import Path

import msgspec

from simnet.choices import Value

__all__ = ["Plan", "Scenario", "Tier", "Weather", "read_plan", "write_plan"]

Tier = str
"""``core``: real cores over a stand-in ledger, cheap signatures. ``full``: everything real."""


class Weather(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How bad the world is. Times in microseconds, probabilities per million.

    Attributes:
        latency_us, jitter_us: of every message, always.
        drop, copy, hold: of messages lost, delivered once more later, held back.
        hold_us: longest time that a message is held back; most are held much shorter.
        execute_us, commit_us: what a block and a transaction cost.
        crash: of one incarnation that ends at some later emit.
        crash_emits: at most so many emits after its start.
        down_us: longest time that it then stays down.
        partition_us: mean time between partitions, 0 for none.
        partition_hold: of partitions that hold messages back instead of losing them.
        bytes_per_ms: bandwidth of each link and lane, 0 for no limit.
        clog_us, reset_us: mean time between links that let nothing through for a while, and
            between connections that are lost and dialled again; 0 for none.
        silent_crash: of crashes that peers do not notice before the machine is back.
        slow_disk: of writes that take up to slow_disk_us longer; the loop stands still for a
            safety record.
        write_fail: of writes that fail, which ends the process; half of them are on the disk.
        disk_full: of machines whose disk is full for a while.
        drift_ppm: how much faster or slower than the truth clocks may run, per million.
        clock_us: largest jump of a wall clock, 0 for none.
        subscriber_crash: of reads of a subscriber that end before it has saved its cursor.
        safety_loss: of restarts with an old or a lost safety record, or without the chain; each
            makes a member impaired, and faulty when the record is old.
    """

    latency_us: int = 1_000
    jitter_us: int = 1_000
    drop: int = 0
    copy: int = 0
    hold: int = 0
    hold_us: int = 500_000
    execute_us: int = 200
    commit_us: int = 700
    crash: int = 0
    crash_emits: int = 60
    down_us: int = 1_000_000
    partition_us: int = 0
    partition_hold: int = 500_000
    bytes_per_ms: int = 0
    clog_us: int = 0
    reset_us: int = 0
    silent_crash: int = 0
    slow_disk: int = 0
    slow_disk_us: int = 100_000
    write_fail: int = 0
    disk_full: int = 0
    drift_ppm: int = 0
    clock_us: int = 0
    safety_loss: int = 0
    subscriber_crash: int = 0


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run, but for its faults.

    Attributes:
        validators: number of members.
        chaos_ms: virtual time during which faults happen.
        calm_ms: virtual time after it within which everything must be final.
        lasts_ms: the run goes on until so much virtual time passed, even when all is final.
        submissions: entries handed in during the chaos.
        entry_bytes: size of the largest of them.
        sets: the validator sets that follow the first, each by the numbers of its members in
            the order of their indexes; the first is 0 to ``validators`` - 1.
        renewed: (number, number of the member whose name it bears) of each new key of a member.
        actors: (index, actor) of each Byzantine member; ``twin`` is one of them.
        mutant: the rule that is broken on purpose, "" for none.
        expect: the promise that this run must break, "" for none.
    """

    seed: int
    tier: Tier = "core"
    validators: int = 4
    chaos_ms: int = 1_500
    calm_ms: int = 60_000
    lasts_ms: int = 0
    submissions: int = 10
    entry_bytes: int = 200
    weather: Weather = Weather()
    sets: tuple[tuple[int, ...], ...] = ()
    renewed: tuple[tuple[int, int], ...] = ()
    actors: tuple[tuple[int, str], ...] = ()
    mutant: str = ""
    expect: str = ""

    @property
    def members(self) -> int:
        """Number of all who are members at some time; a new key counts as another one."""
        return max([self.validators - 1, *(number for set_ in self.sets for number in set_)]) + 1


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run that can be repeated: its scenario and each fault that happened.

    Attributes:
        faults: key -> value, as ``Choices.made`` gave them.
        failure: what the run ended with, "" when all was well.
        note: why it is kept.
    """

    scenario: Scenario
    faults: dict[str, Value]
    failure: str = ""
    note: str = ""


_decoder = msgspec.json.Decoder(Plan)


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no plan.
    """
    try:
        return _decoder.decode(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path} is no plan: {error}") from None


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan file, readable and with its faults in order of their keys."""
    faults = dict(sorted(plan.faults.items()))
    encoded = msgspec.json.encode(msgspec.structs.replace(plan, faults=faults))
    path.write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")
