"""`python -m benchmarks.arena`: see command.py, which processes of a pool can import, as they cannot a `__main__`."""

from __future__ import annotations

import sys

from benchmarks.arena.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
