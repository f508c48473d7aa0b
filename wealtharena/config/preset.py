"""A configuration as a preset: a file that composes to it again, whatever was typed to come to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from wealtharena.config.composition import PRIMARY, compose_raw, composing, groups

_NOT_CONFIGURATION = ("task", "seed", "resume", "returns", "returns_unit", "log", "paths", "tracking", "sweep", "hydra")
_LATER = (
    "debug",
    "experiment",
    "zoo",
    "tracking",
    "task",
    "sweep",
    "risk",
)  # stand below a preset, or are no part of it


def preset(overrides: Sequence[str]) -> str:
    """Return the YAML of an `experiment` file that composes to what `overrides` compose to.

    It names the choice of every group and, beside those, each value that differs from the choices' own; where a job
    writes its files, its seed and its tracking are left out.
    """
    chosen = _choices(overrides)
    plain = _tree([f"{group}={choice}" for group, choice in chosen.items()])
    values = _different(_tree(overrides), plain)
    defaults = [*({f"override /{group}": choice} for group, choice in chosen.items()), "_self_"]
    return OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults, **values}))


def read_override(override: str) -> tuple[str, Any]:
    """Return key and value of one override as Hydra reads them, which is not YAML: ON is text, 1e-5 a number."""
    parsed = OverridesParser.create().parse_override(override)
    return parsed.get_key_element().lstrip("+~"), parsed.value()


def _choices(overrides: Sequence[str]) -> dict[str, str]:
    with composing(overrides) as prepared:
        cfg = hydra.compose(PRIMARY, overrides=prepared, return_hydra_config=True)
    found = cast("dict[str, str]", OmegaConf.to_container(cfg.hydra.runtime.choices))
    known = groups()
    return {group: choice for group, choice in found.items() if group in known and group not in _LATER}


def _tree(overrides: Sequence[str]) -> dict[str, Any]:
    tree = cast("dict[Any, Any]", OmegaConf.to_container(compose_raw(overrides), resolve=True))
    return {str(key): value for key, value in tree.items() if key not in _NOT_CONFIGURATION}


def _different(wanted: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nodes of `wanted` that `plain` has not, or has with another value."""
    found: dict[str, Any] = {}
    for key, value in wanted.items():
        other = plain.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            if inner := _different(value, other):
                found[key] = inner
        elif key not in plain or value != other:
            found[key] = value
    return found
