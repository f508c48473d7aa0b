"""Numba's tables of what it knows: filled at the first call of anything compiled, which takes each process half a second."""

from numba.core.registry import cpu_target


def fill() -> None:
    """Fill them now, so that the forks of this process find them."""
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
