"""By which rules a job is judged, and where its results go: what compares it with others goes by the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from omegaconf import OmegaConf

from wealtharena.config import compose
from wealtharena.config.composition import flatten, literal
from wealtharena.config.spelling import override

_SHARED: Final = ("evaluation", "paths")
_OWN: Final = "evaluation.stress"  # is played run by run


def shared_overrides(job: Path) -> list[str]:
    """Return the overrides that give another command the rules and the places of the job in a folder.

    They were typed for it, or stand in a preset of its own; its record has both.
    """
    try:
        kept = OmegaConf.load(job / ".hydra" / "config.yaml")
    except OSError:
        return []
    own, shipped = _told(kept), _told(OmegaConf.create(compose().model_dump(mode="json", include=set(_SHARED))))
    differing = {key: own[key] for key in shipped if key in own and own[key] != shipped[key]}
    return [
        override(key, value) if isinstance(value, str) else f"{key}={literal(value)}"
        for key, value in differing.items()
        if not isinstance(value, dict) and not key.startswith(_OWN)
    ]


def _told(config: Any) -> dict[str, Any]:
    """Return the values of what is shared by dotted key."""
    blocks = {name: config[name] for name in _SHARED if name in config}
    return flatten(
        {name: cast("dict[str, Any]", OmegaConf.to_container(block, resolve=True)) for name, block in blocks.items()}
    )
