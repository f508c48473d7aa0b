"""How a value is written so that Hydra, and a shell, read it back as it was meant."""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from wealtharena.config import speech
from wealtharena.config.paths import own_config_dirs
from wealtharena.files import relative
from wealtharena.shown import without_places

PATHS = (  # keys whose value is one path, which may hold any letter
    "data.path",
    "returns",
    "data.root",
    "paper.root",
    "paths.checkpoints",
    "paths.results",
    "paths.ledger",
    "serve.keys_file",
    "serve.audit_file",
    "hydra.run.dir",
    "hydra.sweep.dir",
)
READ_AS_TYPED = ("log", "seed", "train.test", "compute.torch_threads")  # keys that are looked for among the words
OF_NOTHING = ("resume", "hydra.mode")  # such keys too, null in conf/: Hydra takes a + before them
_PLAIN = re.compile(r"[A-Za-z0-9_./@%+-]+")  # what Hydra reads as it stands
_BEFORE_QUOTE = re.compile(r"(\\*)('|$)")  # backslashes count only before a quote, where they are doubled
_PLAIN_KEY = re.compile(r"(?!(?:true|false|null|nan|inf)$)[A-Za-z](?:[\w./@$+*|?-]|\\[:=])*", re.IGNORECASE | re.ASCII)
_KEY_LETTERS = frozenset(
    f"{string.ascii_letters}{string.digits}_./@$+*|?-"
)  # what may stand in a key of a mapping as it is
_IN_QUOTES = re.compile(r"""(?P<mark>["'])(?P<text>(?:\\.|(?!(?P=mark)).)*)(?P=mark)(?P<key>\s*:)?""")
_WRITTEN_OUT = re.compile(r"%[0-9A-F]{2}")
_HOME = re.compile(r"(?<=[=\[,:])~(?:/[^,\]}'\"]*)?")  # a path below the home folder that no quotes surround


def quoted(value: str | Path) -> str:
    """Return a value in quotes of Hydra's, which survives `=`, commas and spaces."""
    return "'" + _BEFORE_QUOTE.sub(lambda found: found[1] * 2 + found[2].replace("'", r"\'"), str(value)) + "'"


def override(key: str, value: str | Path) -> str:
    """Return `key=value`, quoted for Hydra where the value needs it."""
    text = str(value)
    return f"{key}={text if _PLAIN.fullmatch(text) else quoted(text)}"


def list_of(places: Sequence[str]) -> str:
    """Return paths as one list of Hydra's, each quoted that is not plainly a path: `2` would be a number, `null` nothing."""
    return f"[{','.join(one if '/' in one and _PLAIN.fullmatch(one) else quoted(one) for one in places)}]"


def plain(argv: Sequence[str]) -> list[str]:
    """Return the arguments without the `+` and `++` of keys that are looked for among the words: they are there, so that it adds nothing."""
    return [_plain_word(item) for item in argv]


def _plain_word(item: str) -> str:
    bare = item.lstrip("+")
    key = key_of(item)
    known = key in OF_NOTHING or (key in READ_AS_TYPED and item.startswith("++"))
    return bare if known and not item.startswith("~") else item


def as_key(symbol: str) -> str:
    """Return a symbol as an override in a shell's single quotes writes it before the colon of a mapping in braces."""
    plainly = re.sub(r"[:=]", r"\\\g<0>", symbol)
    if _PLAIN_KEY.fullmatch(plainly):
        return plainly
    text = re.sub(r"[\"\\]", r"\\\g<0>", symbol).replace("'", "'\"'\"'")
    return f'"{text}"'


def key_of(override: str) -> str:
    """Return the key or group that an override sets, adds or removes."""
    return override.partition("=")[0].lstrip("+~")


def with_quoted_paths(argv: Sequence[str], *, grid: bool) -> list[str]:
    """Return the arguments with paths that Hydra would not read as they stand quoted for it, and quoted keys of mappings written out.

    In a grid a comma parts several paths, unless a file of the whole name is there. Hydra knows no quotes around a key, as in
    `{"^N225": JPY}`; `expanded` brings back what is written out.
    """
    return [_with_quoted_path(_with_keys(item), grid=grid) for item in argv]


def _with_keys(item: str) -> str:
    key, _, value = item.partition("=")
    return f"{key}={_IN_QUOTES.sub(_written_out, value)}" if value.startswith("{") else item


def _written_out(found: re.Match[str]) -> str:
    text = re.sub(r"\\(.)", r"\1", found["text"])
    if not found["key"] or not text:
        return found[0]  # a value
    letters = [one if one in _KEY_LETTERS else _in_bytes(one) for one in text]
    if not _PLAIN_KEY.match("".join(letters)):
        letters[0] = _in_bytes(text[0])  # a number, or a word of Hydra's
    return "".join(letters) + found["key"]


def _in_bytes(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode())


def _with_quoted_path(item: str, *, grid: bool) -> str:
    key, equals, value = item.partition("=")
    if not equals or key.lstrip("+") not in PATHS or value in ("", "null") or "${" in value or value[0] in "'\"":
        return item
    if grid and "," in value and not Path(value).expanduser().exists():
        return item
    return override(key, value)


def expanded(value: Any) -> Any:
    """Return a composed value with `~` at the start of its texts written out, as a shell does for unquoted words, and keys as they were meant."""
    if isinstance(value, str) and (value == "~" or value.startswith("~/")):
        return str(Path(value).expanduser())
    if isinstance(value, dict):
        return {_as_meant(key): expanded(item) for key, item in value.items()}
    return [expanded(item) for item in value] if isinstance(value, list) else value


def _as_meant(key: Any) -> Any:
    return unquote(key) if isinstance(key, str) and _WRITTEN_OUT.search(key) else key


def command_line(overrides: Sequence[str]) -> str:
    """Return the command of these overrides, to be pasted into a shell of the same folder; it names no home folder."""
    words = [_HOME.sub(lambda found: quoted(found[0]), without_places(item)) for item in overrides]
    own = [without_places(f"{folder}/").rstrip("/") or "." for folder in own_config_dirs()]
    beside = [word for folder in own for word in ("--config-dir", folder)]
    return shlex.join([*speech.COMMAND.split(), *beside, *words])


def going_on(folder: Path, *more: str) -> str:
    """Return the command that goes on with the run in a folder."""
    return command_line([override("resume", relative(folder)), *more])
