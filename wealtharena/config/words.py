"""What was meant by a word of the command line that is neither a flag nor an override."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from wealtharena.config.composition import defaults_for, groups
from wealtharena.config.spelling import key_of
from wealtharena.config.suggest import by_another_name, nearest
from wealtharena.errors import ConfigError

ALONE: Final = re.compile(r"[^\s,'\"()\[\]{}\\]+")  # what quotes may stand around
# as word processors and pages write them
_QUOTES: Final = str.maketrans(
    {**dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'), **dict.fromkeys("\u2018\u2019\u201a\u201b", "'")}
)
_AROUND: Final = re.compile("[\u201c\u201d\u201e\u00ab\u2018\u2019\u201a](.*=.*)[\u201c\u201d\u00bb\u2018\u2019]")
_DASHES: Final = re.compile(r"[-\u2010-\u2015\u2212]*[\u2010-\u2015\u2212][-\u2010-\u2015\u2212]*(?=[a-z])")


def unknown_flag(flag: str, argv: Sequence[str], options: Sequence[str]) -> ConfigError:
    """Return what to say of a flag that is none: a key or a group that was typed as other programs take them, or one that is near."""
    typed, _, value = flag.partition("=")
    name, words = typed.lstrip("-").replace("-", "_"), [*argv]
    following = words[words.index(flag) + 1 :] if flag in words else []
    if not value and following and not following[0].startswith("-") and "=" not in following[0]:
        value = following[0]
    known = [*defaults_for(()), *groups()]
    if name in known:
        hint = f"keys and groups have no dashes: write {name}={value or '<value>'}"
    elif meant := by_another_name(name, known):  # its value may be in another unit
        hint = f"did you mean {meant if '=' in meant else f'{meant}=<value>'}, without dashes?"
    elif near := nearest(typed, options):
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = "--help lists keys and flags"
    return ConfigError(f"unknown flag {flag}", hint=hint)


def unread_word(word: str) -> ConfigError:
    """Return what to say of an override that cannot be parsed."""
    if (meant := _straight(word)) != word and (meant.startswith("-") or _is_read(meant)):
        return ConfigError(f"{word!r} has quotes or dashes of a typesetter's", hint=f"write {shlex.quote(meant)}")
    if "=" not in word:
        chosen = [f"{group}={word}" for group, choices in groups().items() if word in choices and "/" not in group][:3]
        hint = (
            f"did you mean {' or '.join(chosen)}?" if chosen else "write key=value or group=choice; --help lists them"
        )
        return ConfigError(f"{word!r} sets no key", hint=hint)
    if _are_several(word):
        return ConfigError(f"{word!r} are several overrides in one", hint="leave out the quotes around them all")
    quoted = _quoted(word)
    forms = (
        "write key=value or group=choice; quote a value with spaces, commas or letters such as ä twice: 'key=\"a, b\"'"
    )
    return ConfigError(f"cannot read the override {word!r}", hint=f"write '{quoted}'" if quoted else forms)


def _quoted(word: str) -> str:
    """Return an override as it can be read, where letters of its values ask for quotes, as of the symbols GC=F, ^GSPC and M&M.NS."""
    key, _, value = word.partition("=")
    listed = re.fullmatch(r"\[(.*)\]", value)
    values = [one.strip() for one in listed[1].split(",")] if listed else [value]
    inner = ",".join(one if re.fullmatch(r"[\w.:/-]+", one, re.ASCII) else f'"{one}"' for one in values)
    again = f"{key}=[{inner}]" if listed else f"{key}={inner}"
    if value.startswith("{"):  # a mapping, in which a key takes no quotes
        again = f"{key}=" + re.sub(r"(?<!\\)=", r"\\=", value)
    elif not all(map(ALONE.fullmatch, values)):
        return ""
    return again if _is_read(again) else ""


def _is_read(word: str) -> bool:
    """Return whether Hydra reads an override."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def _are_several(text: str) -> bool:
    """Return whether what was given as one override is several, each of something that there is."""
    words, known = text.split(), defaults_for(())
    keys = [key_of(word) for word in words if "=" in word]
    return len(words) > 1 and len(keys) == len(words) and all(key in known or key in groups() for key in keys)


def _straight(word: str) -> str:
    """Return a word with the quotes and dashes of a keyboard."""
    word = _AROUND.sub(r"\1", word) if _AROUND.fullmatch(word) else word
    dashes = _DASHES.match(word)
    if dashes:
        rest = word[dashes.end() :]
        word = f"{'--' if len(rest) > 1 else '-'}{rest}"
    return word.translate(_QUOTES)
