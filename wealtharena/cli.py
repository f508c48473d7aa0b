"""The command `wealtharena`: the same as run.py in a checkout."""

from __future__ import annotations

from omegaconf import DictConfig

from wealtharena.config import parse
from wealtharena.config.launch import launch
from wealtharena.tasks import dispatch


@launch
def main(cfg: DictConfig) -> int:
    """Run the task that the configuration names and return its exit code."""
    return dispatch(parse(cfg))
