"""What the process begins with that all of an arena's processes are forks of: what a cell imports, and numba's tables of what it knows.

Numba fills these at the first call of anything compiled, which takes each process half a second.
"""

from numba.core.registry import cpu_target

from benchmarks.arena import command

__all__ = ["command"]

cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()
