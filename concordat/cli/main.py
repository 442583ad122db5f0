"""The ``concordat`` command: the list of commands, and what holds for all of them."""

import importlib
import sys
from importlib.metadata import entry_points, version

import click

from concordat.cli.failure import CommandFailed, ExitCode, failures_explained
from concordat.preflight import require_assertions
from concordat.process import become_child

__all__ = ["cli", "main"]

_COMMANDS = {
    "demo": ("demo", "Show a four-validator network agree, fail, catch up and prove."),
    "keys": ("keys", "Make and show key files."),
    "init": ("init", "Make a member's home, make a genesis file, or join a network."),
    "testnet": ("testnet", "Make a network on this machine for development."),
    "demo-marketplace": (
        "demo_marketplace",
        "Show a product certified, sold and used across marketplaces.",
    ),
    "join": ("join", "Copy the ledger from other members before the first start."),
    "run": ("run", "Run a member: one node and one gateway."),
    "node": ("node", "Run a member's node alone."),
    "gateway": ("gateway", "Run a member's gateway alone."),
    "backup": ("backup", "Copy a member's ledger and settings, while it runs."),
    "restore": ("backup", "Put a backup back; the validator signs when that is safe."),
    "compact": ("compact", "Give the disk the space back that the ledger does not use."),
    "prune": ("prune", "Forget the contents of old events, and keep all proofs."),
    "access-node": ("access_node", "Run a member's TM Forum access node."),
    "tokens": ("tokens", "Add, list and revoke API tokens of a member's gateway."),
    "consumers": ("consumers", "Fetch events through durable consumers."),
    "webhooks": ("webhooks", "Have a gateway post events to URLs."),
    "status": ("status", "Show how a member is doing, and why when it is not."),
    "doctor": ("doctor", "Check a member's set-up, and say what to do."),
    "publish": ("publish", "Sign and publish one event or a file of them."),
    "subscribe": ("subscribe", "Follow events as they become final."),
    "get": ("get", "Get one event, or its proof."),
    "topics": ("topics", "See topics, how many events they have, and their rules."),
    "trust": ("trust", "Read, write and prove the trusted lists."),
    "governance": ("governance", "Propose, approve and see what governors decide together."),
    "identity": ("identity", "See participants; add and revoke one's own keys."),
    "usage": ("usage", "Check usage records and blocks of them."),
    "log": ("log", "Read and verify the ledger as a transparency log."),
    "verify": ("verify", "Check a proof with the genesis file alone, offline."),
    "completion": ("completion", "Print the shell completion script."),
}
"""Each command's module below ``concordat.cli`` and its one-line help."""

_PLUGINS = {"sim": "Simulate whole federations: hunt for faults, replay and draw them."}
"""Commands of packages above this one, found through entry points of the group below."""

_PLUGIN_GROUP = "concordat.commands"


class _LazyGroup(click.Group):
    """Imports a command when it is used: the gateway never loads consensus, help loads nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*_COMMANDS, *_PLUGINS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in _PLUGINS:
            return _plugin(cmd_name)
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"concordat.cli.{_COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            own = [(name, text) for name, (_, text) in _COMMANDS.items()]
            formatter.write_dl([*own, *_PLUGINS.items()])

    def invoke(self, ctx: click.Context) -> object:
        with failures_explained():
            require_assertions()
            try:
                return super().invoke(ctx)
            except (KeyboardInterrupt, click.Abort):
                raise SystemExit(ExitCode.INTERRUPTED) from None


def _plugin(name: str) -> click.Command:
    """Load a command that another package registered.

    Raises:
        CommandFailed: no installed package did.
    """
    for found in entry_points(group=_PLUGIN_GROUP, name=name):
        command = found.load()
        assert isinstance(command, click.Command)
        return command
    raise CommandFailed(
        f"the command {name!r} is not installed",
        ExitCode.USAGE,
        "The simulator belongs to a source checkout: run `make setup` there, "
        f"and `.venv/bin/concordat {name}`.",
    )


def _show_version(context: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001
    """Print the release, and what decides whether it gets on with another one."""
    if not value:
        return
    from ledger.core.limits import PROTOCOL_VERSION  # noqa: PLC0415 - see _LazyGroup
    from ledger.io.environment import format_version  # noqa: PLC0415

    click.echo(f"concordat {version('concordat')}")
    click.echo(f"protocol {PROTOCOL_VERSION}, stores {format_version('chain')}")
    context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the versions of the release, of its protocol and of its stores.",
)
def cli() -> None:
    """Concordat: a publish/subscribe ledger for federations that trust no single operator.

    Exit codes: 0 done; 1 refused or failed; 2 wrong usage, configuration or key; 3 something is
    unavailable, try again; 4 storage or an invariant is broken; 130 interrupted.
    """


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    become_child()
    cli.main(prog_name="concordat", args=sys.argv[1:])
