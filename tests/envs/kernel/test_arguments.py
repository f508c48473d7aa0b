"""Compiled loops take their arguments by position: the prepared ones must stand where the loop reads them."""

import inspect

import numba
import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, market_of, random_panel, random_targets, spec_of
from wealtharena.envs import execution, kernel, paths
from wealtharena.envs.kernel.arguments import ResetArguments, Scratch, StepArguments, WalkArguments
from wealtharena.envs.rules import rules_of
from wealtharena.envs.simulate import equity_paths, simulate
from wealtharena.envs.walker import Walker

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


def test_the_walk_is_called_with_arrays_of_one_kind_whoever_calls_it(monkeypatch):
    """Each mixture of arrays that may and may not be written through would be compiled anew, some eight seconds each."""
    kinds = {}

    def walk(*given):
        kinds.setdefault(tuple(map(str, map(numba.typeof, given))), caller[-1])
        kernel.walk(*given)

    rng, spec, caller = np.random.default_rng(5), spec_of(costs=EVERY_COST), ["simulate"]
    panel = random_panel(rng, bars=40, assets=2)
    market = market_of(panel, spec)
    weights = random_targets(rng, 40, 2)
    weights.flags.writeable = False
    monkeypatch.setattr(paths, "_WALK", walk)
    still = np.zeros(40, dtype=np.bool_)
    still.flags.writeable = False
    simulate(market, weights, spec=spec, hold=still)
    simulate(market, lambda seen: weights[:1], spec=spec)
    caller.append("equity_paths")
    equity_paths(market, weights[None], spec=spec)
    caller.append("execute")
    desk = execution._Desk(market, rules_of(spec, market.symbols, delisting=market.delisting), 1.0, 0, 40)
    desk.rest(0, 5)
    desk.ask(execution.Order(weights[5], np.array([True, False])), 5)
    for shown in (market, market.part(3, 30)):
        walker = Walker(shown, spec, bar=2)
        for step in (walker.step, walker.deal, walker.orders):
            caller.append(f"Walker.{step.__name__}")
            step(weights[0])
    assert len(kinds) == 1, list(kinds.values())
