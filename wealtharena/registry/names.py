"""Names that reach the file system: agents, versions, and what people call an agent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache

import yaml

from wealtharena.errors import CheckpointError, ConfigError, UnknownCheckpointError

AGENT_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


def is_agent(name: str) -> bool:
    """Return whether `name` can be an agent's id."""
    return re.fullmatch(AGENT_PATTERN[1:-1], name) is not None


def check_agent(agent: str) -> str:
    """Return `agent`, which is safe as a folder name; raise CheckpointError otherwise."""
    if not is_agent(agent):
        raise CheckpointError(f"agent={agent!r} is not an agent id", hint="an id has lower-case letters, digits and _")
    return agent


def check_version(version: str) -> str:
    """Return `version`, which is safe as a folder name; raise UnknownCheckpointError otherwise."""
    if re.fullmatch(VERSION_PATTERN[1:-1], version) is None or ".." in version:
        raise UnknownCheckpointError(
            f"version={version!r} is not a checkpoint version", hint="it is the run id, as list_checkpoints gives it"
        )
    return version


@cache
def agents_by_asset() -> Mapping[str, str]:
    """Return asset class -> agent id, read from `conf/asset/*.yaml` without composing a configuration.

    ConfigError where that folder has no such files.
    """
    from wealtharena.config.paths import conf_dir

    conf = conf_dir()
    found: dict[str, str] = {}
    for path in sorted((conf / "asset").glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if isinstance(content, dict) and isinstance(content.get("agent"), str):
            found[str(content.get("name", path.stem))] = content["agent"]
    if not found:
        raise ConfigError(f"no asset files in {conf.name}/asset", hint="reinstall the package, or run from a checkout")
    return found


def resolve_agent(name: str, *, known: Iterable[str] = ()) -> str:
    """Return the agent id that `name` means: an id, an asset class (`crypto`), or `asset=crypto`.

    `known` are ids that exist besides the configured ones (folders of a registry); UnknownCheckpointError for any other.
    """
    wanted = name.removeprefix("asset=").strip() if isinstance(name, str) else ""
    by_asset = agents_by_asset()
    ids = {*by_asset.values(), *known}
    if wanted in ids:
        return wanted
    if wanted in by_asset:
        return by_asset[wanted]
    close = get_close_matches(wanted, [*sorted(ids), *by_asset], n=1)
    raise UnknownCheckpointError(
        f"agent={name!r} is unknown",
        hint=f"did you mean {close[0]}?" if close else f"agents: {', '.join(sorted(ids))}",
    )
