"""The one entry point: `python run.py [task=train] asset=crypto algo=ppo [group=choice] [key=value]`."""

import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while all is imported nothing has begun; `launch` hears it again

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
