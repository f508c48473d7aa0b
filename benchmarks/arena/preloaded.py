"""What the process begins with that all of an arena's processes are forks of: what a cell imports, and numba's tables."""

from benchmarks.arena import command, tables

__all__ = ["command"]

tables.fill()
