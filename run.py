"""The one entry point: `python run.py [task=train] asset=crypto algo=ppo [group=choice] [key=value]`."""

import sys

from omegaconf import DictConfig

from wealtharena.config import parse
from wealtharena.config.launch import launch
from wealtharena.tasks import dispatch


@launch
def main(cfg: DictConfig) -> int:
    """Compose, parse, dispatch."""
    return dispatch(parse(cfg))


if __name__ == "__main__":
    sys.exit(main())
