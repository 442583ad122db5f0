"""How commands speak to a gateway's own operations: one request, and its problem as a failure."""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec

from concordat.cli.failure import CommandFailed, ExitCode
from concordat.cli.options import home_option
from concordat.home import Home
from ledger.core.errors import Unavailable
from pubsub.client.wire import Bearer

__all__ = ["Rest", "gateway_options", "token_option"]

_TIMEOUT_S: Final = 30
_UNAVAILABLE: Final = frozenset({429, 503, 504})
_HINTS: Final = {
    "unauthenticated": "Name a file with a token of the gateway: --token-file.",
    "forbidden": "The operator of the gateway gives rights: see docs/operations/access.md.",
}


def token_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--token-file``; the command gets ``token``, what is in the file, or None."""
    return click.option(
        "--token-file",
        "token",
        envvar="CONCORDAT_TOKEN_FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=lambda _context, _parameter, file: _read_token(file),
        help="File with an API token. Also: CONCORDAT_TOKEN_FILE.",
    )(command)


def _read_token(file: Path | None) -> str | None:
    """Give the token in a file. Raises BadParameter, which never quotes it."""
    if file is None:
        return None
    try:
        token = file.read_text("ascii").strip()
        Bearer(token)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}") from None
    except ValueError:
        raise click.BadParameter(f"{file} holds no token") from None
    return token


def gateway_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--url``, ``--home`` and ``--token-file``; the command gets ``rest``, made of them."""

    @wraps(command)
    def run(*, home: Path, url: str | None, token: str | None, **arguments: object) -> None:
        command(rest=Rest(home, url, token), **arguments)

    decorated: Callable[..., None] = run
    for option in (
        token_option,
        click.option(
            "--url",
            envvar="CONCORDAT_URL",
            help="The gateway's URL. Default: that of the home. Also: CONCORDAT_URL.",
        ),
        home_option,
    ):
        decorated = option(decorated)
    return decorated


class Rest:
    """A gateway that is asked in the name of a token, or of nobody."""

    def __init__(self, home: Path, url: str | None, token: str | None) -> None:
        """Take the gateway of ``url``, else the one that the home configures.

        Raises:
            HomeError: neither is there.
        """
        self._url = (url or f"http://{Home.open(home).config.gateway.listen}").rstrip("/")
        self._headers: dict[str, str] = {}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        parameters: Mapping[str, str | int] | None = None,
    ) -> Any:  # noqa: ANN401 - any JSON document
        """Send a request; give the document of its answer, None when it has none.

        Raises:
            CommandFailed: the gateway refused; the message has the stable code.
            Unavailable: it does not answer.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = {**self._headers, "accept": "application/json"}
        if content is not None:
            headers["content-type"] = "application/json"
        try:
            answer = httpx.request(
                method,
                f"{self._url}{path}",
                content=content,
                params=parameters,
                headers=headers,
                timeout=_TIMEOUT_S,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self._url} does not answer: {error}") from None
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _failure(answer)


def _failure(answer: httpx.Response) -> CommandFailed:
    try:
        problem = answer.json()
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return CommandFailed(f"the gateway answered {answer.status_code}", ExitCode.UNAVAILABLE)
    exit_code = ExitCode.UNAVAILABLE if answer.status_code in _UNAVAILABLE else ExitCode.FAILED
    return CommandFailed(f"{code}: {detail}", exit_code, _HINTS.get(code, ""))
