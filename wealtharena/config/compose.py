"""Composition from the packaged conf, with or without Hydra's command line around it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cache

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from wealtharena.config.parse import parse
from wealtharena.config.paths import conf_dir, sweeps_dir
from wealtharena.config.specs.experiment import ExperimentSpec


def compose(overrides: Sequence[str] = ()) -> ExperimentSpec:
    """Return the spec of `python run.py <overrides>`; works in any process and also inside a Hydra job.

    Raises:
        ConfigError: an override names something unknown or out of range.
    """
    return parse(compose_raw(overrides), overrides=overrides)


def compose_raw(overrides: Sequence[str] = ()) -> DictConfig:
    """Return the composed but untyped configuration."""
    prepare()
    with initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="wealtharena"):
        return hydra_compose("config", overrides=list(overrides))


@cache
def prepare() -> None:
    """Make Hydra ready for conf/: the `run_id` resolver and every file of sweeps/ as a choice of the group `sweep`."""
    OmegaConf.register_new_resolver("run_id", lambda: secrets.token_hex(3), use_cache=True, replace=True)
    store = ConfigStore.instance()
    for path in sorted(sweeps_dir().glob("*.yaml")):
        store.store(group="sweep", name=path.stem, node=OmegaConf.load(path), provider="sweeps")
