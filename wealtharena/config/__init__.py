"""Configuration: Hydra composes, `parse` types; nothing behind it sees a DictConfig."""

from __future__ import annotations

from wealtharena.config.hashing import config_hash
from wealtharena.config.parse import compose, parse
from wealtharena.config.specs.experiment import ExperimentSpec

__all__ = ["ExperimentSpec", "compose", "config_hash", "parse"]
