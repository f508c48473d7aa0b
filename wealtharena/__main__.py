"""`python -m wealtharena` is `wealtharena` is `python run.py`."""

import sys

from wealtharena.cli import main

sys.exit(main())
