"""Configuration: Hydra composes, `parse` types; what is behind it never sees a DictConfig."""

from __future__ import annotations

from wealtharena.config.compose import compose
from wealtharena.config.hashing import config_hash
from wealtharena.config.parse import parse
from wealtharena.config.specs.experiment import ExperimentSpec

__all__ = ["ExperimentSpec", "compose", "config_hash", "parse"]
