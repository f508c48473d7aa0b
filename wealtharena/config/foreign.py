"""Configuration that others wrote: values, never instructions."""

from __future__ import annotations

from collections.abc import Iterable

from wealtharena.errors import ConfigError

MAX_PARTS = 100_000
_TARGET = "_target_"


def check_foreign(content: object, *, where: str, references: bool = False) -> None:
    """Raise ConfigError where a configuration holds what would act here: a resolver, `_target_`, or Hydra's own keys.

    With `references` it may refer to keys of its own, `${asset.name}`. It also ends where names of parts are used over and over, so that a small file would become a large one.
    """
    waiting: list[object] = [content]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        if isinstance(part, dict):
            for key in part:
                if str(key) == _TARGET or (part is content and _is_hydra(str(key))):
                    raise _refused(where, f"has the key {key}, which runs code")
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, str) and ("${oc." if references else "${") in part:
            raise _refused(where, "holds ${...}, which would be filled in from this machine")
    raise _refused(where, f"has more than {MAX_PARTS} parts")


def check_overrides(overrides: Iterable[object], *, where: str) -> list[str]:
    """Return overrides that set this package's own keys; ConfigError for those that would act here."""
    checked = []
    for item in overrides:
        key = item.partition("=")[0].lstrip("+~") if isinstance(item, str) else "-"
        if not isinstance(item, str) or item.startswith("-") or _is_hydra(key):
            raise _refused(where, f"says {str(item)[:100]!r}, which is about how a run is made")
        if _TARGET in item or "${oc." in item:
            raise _refused(where, f"says {item[:100]!r}, which runs code or reads this machine's environment")
        checked.append(item)
    return checked


def check_preset(content: object, *, where: str) -> None:
    """Raise ConfigError for a preset file that would run code: Hydra's own keys and groups, `_target_`, resolvers."""
    defaults = content.get("defaults") if isinstance(content, dict) else None
    named = [key for entry in defaults or () for key in (entry if isinstance(entry, dict) else (entry,))]
    if any(_is_hydra(str(key).removeprefix("override ").strip().lstrip("/")) for key in named):
        raise _refused(where, "chooses a part of Hydra, which runs code")
    plain = (
        {key: value for key, value in content.items() if key != "defaults"} if isinstance(content, dict) else content
    )
    check_foreign(plain, where=where, references=True)


def _is_hydra(key: str) -> bool:
    return key.partition(".")[0].partition("/")[0].partition("@")[0] == "hydra"


def _refused(where: str, cause: str) -> ConfigError:
    return ConfigError(f"{where}: {cause}", hint="take nothing over that others wrote before you have read it")
