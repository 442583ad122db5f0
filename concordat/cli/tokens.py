"""``concordat tokens``: the API tokens of a member's gateway."""

import getpass
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from concordat.cli.options import home_option
from concordat.cli.output import emit, json_option
from concordat.home import Home
from ledger.core.limits import INT_MAX
from pubsub.core.tokens import (
    GRANTABLE,
    SECRET_BYTES,
    ApiToken,
    TokenFile,
    token_digest,
    token_text,
    with_token,
    without_token,
)
from pubsub.io.token_file import change_tokens, load_tokens, load_uses

__all__ = ["tokens"]

_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 24 * 3_600_000}
_MS_MAX = 100 * 366 * _UNITS_MS["d"]


@click.group()
def tokens() -> None:
    """Add, list and revoke API tokens of a member's gateway.

    The gateway takes a change within seconds, without a restart. Of a token only a digest is
    stored: the token itself is shown once, when it is made.
    """


def _lifetime(_context: click.Context, _option: click.Parameter, text: str) -> int | None:
    """Read a lifetime such as 90d; give milliseconds, or None for never."""
    if text == "never":
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,8})([mhd])", text)
    life_ms = int(match[1]) * _UNITS_MS[match[2]] if match else INT_MAX
    if life_ms > _MS_MAX:
        raise click.BadParameter("a number with m, h or d behind it, such as 90d, or never")
    return life_ms


@tokens.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in GRANTABLE]),
    multiple=True,
    required=True,
    help="What its holder may do; may be repeated.",
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    help="Pattern of restricted topics that it opens, such as dome.private.>; may be repeated. "
    "Topics that are not restricted need none.",
)
@click.option("--all-topics", is_flag=True, help="Open all restricted topics, later ones too.")
@click.option(
    "--expires",
    "life_ms",
    default="90d",
    show_default=True,
    callback=_lifetime,
    help="How long it is good: a number of m, h or d, or never.",
)
@home_option
@json_option
def add(  # noqa: PLR0913 - one argument for each option
    *,
    name: str,
    scopes: tuple[str, ...],
    topics: tuple[str, ...],
    all_topics: bool,
    life_ms: int | None,
    home: Path,
    as_json: bool,
) -> None:
    """Make a token called NAME and print it. It is not shown again.

    Alone on standard output is the token, so that it can be redirected to where it belongs.
    """
    if all_topics and topics:
        raise click.UsageError("--topic and --all-topics exclude each other")
    text = token_text(secrets.token_bytes(SECRET_BYTES))
    digest = token_digest(text)
    assert digest is not None
    now_ms = _now_ms()
    token = ApiToken(
        name=name,
        digest=digest.hex(),
        scopes=tuple(scope for scope in GRANTABLE if scope.value in scopes),
        topics=None if all_topics else tuple(dict.fromkeys(topics)),
        made_ms=now_ms,
        made_by=getpass.getuser(),
        expires_ms=None if life_ms is None else now_ms + life_ms,
    )
    change_tokens(_paths(home)[0], lambda file: with_token(file, token))
    if as_json:
        emit({**_document(token, None), "token": text}, "", as_json=True)
        return
    click.echo(text)
    click.echo(f"{name}: {_about(token)}. Store it now: it is not shown again.", err=True)


@tokens.command("list")
@click.option("--all", "with_gone", is_flag=True, help="Also those that are revoked or expired.")
@home_option
@json_option
def list_(*, with_gone: bool, home: Path, as_json: bool) -> None:
    """List the tokens, with their rights and when each was last used."""
    path, uses_path = _paths(home)
    file, uses, now_ms = load_tokens(path), load_uses(uses_path), _now_ms()
    shown = [token for token in file.tokens if with_gone or token.is_good(now_ms)]
    documents = [_document(token, uses.get(token.digest)) for token in shown]
    emit(documents, _table(shown, uses, now_ms) if shown else "No tokens.", as_json=as_json)


@tokens.command()
@click.argument("name")
@home_option
@json_option
def revoke(*, name: str, home: Path, as_json: bool) -> None:
    """Revoke the token called NAME; streams that it opened end, too."""

    def change(file: TokenFile) -> TokenFile:
        return without_token(file, name, _now_ms(), getpass.getuser())

    change_tokens(_paths(home)[0], change)
    emit({"name": name, "revoked": True}, f"Revoked {name}.", as_json=as_json)


def _paths(home: Path) -> tuple[Path, Path]:
    opened = Home.open(home)
    access = opened.config.access
    return opened.resolve(access.tokens), opened.resolve(access.token_uses)


def _document(token: ApiToken, used_ms: int | None) -> dict[str, object]:
    return {
        "name": token.name,
        "scopes": list(token.scopes),
        "topics": None if token.topics is None else list(token.topics),
        "made_ms": token.made_ms,
        "made_by": token.made_by,
        "expires_ms": token.expires_ms,
        "revoked_ms": token.revoked_ms,
        "last_used_ms": used_ms,
    }


def _about(token: ApiToken) -> str:
    topics = "all topics" if token.topics is None else ", ".join(token.topics)
    until = "for ever" if token.expires_ms is None else f"until {_moment(token.expires_ms)}"
    opened = f"; opens {topics}" if topics else ""
    return f"{', '.join(token.scopes)}{opened}; good {until}"


def _table(shown: list[ApiToken], uses: dict[str, int], now_ms: int) -> Table:
    table = Table("name", "scopes", "restricted topics", "good until", "last used", box=None)
    for token in shown:
        used_ms = uses.get(token.digest)
        if token.revoked_ms is not None:
            until = f"revoked {_moment(token.revoked_ms)}"
        elif not token.is_good(now_ms):
            until = f"expired {_moment(token.expires_ms or 0)}"
        else:
            until = "for ever" if token.expires_ms is None else _moment(token.expires_ms)
        table.add_row(
            token.name,
            " ".join(token.scopes),
            "all" if token.topics is None else " ".join(token.topics) or "none",
            until,
            "never" if used_ms is None else _moment(used_ms),
        )
    return table


def _moment(time_ms: int) -> str:
    """Write a time for people, in UTC, to the minute: a token's life is not counted in less."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
