"""Compiled loops take their arguments by position: the prepared ones must stand where the loop reads them."""

import inspect

import pytest

from wealtharena.envs import kernel
from wealtharena.envs.kernel.arguments import ResetArguments, Scratch, StepArguments, WalkArguments

CALLS = {
    "reset_batch": (ResetArguments, ("mask", "obs")),
    "step_batch": (
        StepArguments, ("actions", "obs", "reward", "terminated", "truncated", "final_obs", "strict"),
    ),
    "walk": (WalkArguments, ("targets", "hold", "offset", "start", "first", "last")),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_the_prepared_arguments_are_the_first_of_the_loops_own_in_order_and_type(name):
    prepared, rest = CALLS[name]
    loop = getattr(kernel, name)
    loop = getattr(loop, "py_func", loop)  # itself where nothing is compiled
    assert (*prepared._fields, *rest) == tuple(inspect.signature(loop).parameters)
    for field in prepared._fields:
        assert prepared.__annotations__[field].__forward_arg__ == loop.__annotations__[field], field


def test_the_scratch_has_the_names_under_which_the_loops_take_it():
    for prepared in (StepArguments, WalkArguments):
        assert set(Scratch._fields) <= set(prepared._fields)
