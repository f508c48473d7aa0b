"""What stands between an agent and somebody's money: keys, and three locks that no shipped configuration opens."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wealtharena.errors import ConfigError
from wealtharena.trading.broker import RefusedError


@dataclass(frozen=True)
class Reported:
    """What the server itself says of the account."""

    number: str
    live: bool


class Asked(Protocol):
    """What the configuration says of it."""

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    @property
    def account(self) -> str | None: ...


def check_currency(wanted: str, told: str) -> None:
    """Raise RefusedError where the broker keeps its account in another currency than the money here is counted in."""
    if wanted and told != wanted:
        raise RefusedError(
            f"the account is kept in {told or 'no currency'}, money here is counted in {wanted}",
            hint=f"set asset.account_currency={told}, or use an account in {wanted}" if told else "use another account",
        )


def check_account(asked: Asked, reported: Reported, *, allow_live: bool) -> None:
    """Raise RefusedError unless the server's account is the one that was asked for; what the server reports decides.

    Live money takes all three: `broker.live=true` with the account's number in `broker.account`, `risk.allow_live=true`,
    and a server that reports that number.
    """
    seen = f"...{reported.number[-4:]}"
    if asked.account is not None and asked.account != reported.number:
        raise RefusedError(
            f"the server reports the account {seen}, broker.account names another", hint="look whose keys these are"
        )
    if not reported.live:
        if asked.live:
            raise RefusedError(
                f"broker.live=true, and the server reports the paper account {seen}", hint="broker.live=false"
            )
        return
    shut = [
        name
        for name, is_open in (
            ("broker.live=true", asked.live),
            ("broker.account=<its number>", asked.account is not None),
            ("risk.allow_live=true", allow_live),
        )
        if not is_open
    ]
    if shut:
        raise RefusedError(
            f"the server reports {seen}, an account with real money, and {', '.join(shut)} is not set",
            hint="use the keys of a paper account",
        )


@dataclass(frozen=True)
class Keys:
    """A key and its secret; no output of this object shows either."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(***)"


def read_keys(names: Sequence[str], file: str | None) -> Keys:
    """Return the two keys of these names, from a file of lines NAME=VALUE, as an .env has them, or of JSON, else from the environment.

    ConfigError names what is missing, never a value.
    """
    found = dict(os.environ) if file is None else _of_file(Path(file))
    missing = [name for name in names if not found.get(name)]
    if missing:
        where = "the environment" if file is None else "broker.keys_file"
        raise ConfigError(f"{where} lacks {', '.join(missing)}", hint="set them there; they are written nowhere else")
    return Keys(found[names[0]].strip(), found[names[1]].strip())


def _pair(line: str) -> tuple[str, str]:
    """Return the name and the value of a line, as a shell would take it: without `export` before it and quotes around it."""
    name, _, value = line.strip().removeprefix("export ").partition("=")
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return name.strip(), value[1:-1] if quoted else value


def _of_file(path: Path) -> dict[str, str]:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigError(f"broker.keys_file cannot be read: {why}", hint="name a file that you can read") from None
    if not text.lstrip().startswith("{"):
        return dict(map(_pair, text.splitlines()))
    try:
        content = json.loads(text)
    except ValueError:
        raise ConfigError("broker.keys_file is not JSON", hint="write lines NAME=VALUE") from None  # it quotes the text
    return {str(name): str(value) for name, value in content.items()}
