"""Specs that differ from conf in a few values, without composing anew for each."""

from functools import cache

from omegaconf import DictConfig, OmegaConf

from wealtharena.config import ExperimentSpec, parse
from wealtharena.config.composition import compose_raw


@cache
def _composed() -> DictConfig:
    return compose_raw(["asset=forex"])


def variant(*values: str) -> ExperimentSpec:
    """Return the spec of asset=forex with these values set."""
    return parse(OmegaConf.merge(_composed(), OmegaConf.from_dotlist(list(values))), overrides=())
