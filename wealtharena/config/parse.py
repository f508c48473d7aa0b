"""From the composed configuration to frozen specs."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from wealtharena.config import plugins
from wealtharena.config.specs.agent import AlgoSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import ConfigError


def parse(cfg: DictConfig, *, overrides: Sequence[str] | None = None) -> ExperimentSpec:
    """Return the typed, complete and frozen form of a composed configuration."""
    tree: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    tree.pop("hydra", None)
    asset = dict(tree["asset"], universe=tree.pop("universe"))
    env = dict(tree["env"], reward=tree.pop("reward"))
    for shared in ("costs", "limits", "instrument"):
        env[shared] = asset[shared]
    algo: Any = tree["algo"]
    try:
        if importlib.util.find_spec(f"wealtharena.agents.{algo['name']}") is not None:
            algo = plugins.load("agents", algo["name"]).AlgorithmSpec.model_validate(algo)
        else:
            algo = AlgoSpec.model_validate(algo)
        return ExperimentSpec.model_validate({**tree, "asset": asset, "env": env, "algo": algo})
    except ValidationError as error:
        raise ConfigError(str(error)) from error
