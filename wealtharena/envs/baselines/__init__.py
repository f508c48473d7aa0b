"""Baselines by name: one small rule a file, found by the file's name. What an agent has to beat, or tilts around.

A new baseline is `<name>.py` here, and its name in `evaluation.baselines`. The file holds

    def weights(panel: Panel, row: int, spec: BaselineSpec) -> FloatArray

which returns the target weights [A] at the close of bar `row`. It may look at bars up to `row` only, and at no more of
them than `history_bars(spec)`: so it answers alike in a backtest and in a server that is given recent bars. It keeps no
state, and knows neither a window's start nor what is held: when to rebalance, what waits and what is made up belongs to
who executes it (`envs/execution.py`). What is no part of the portfolio has weight 0, what is listed but does not trade
at `row` has its weight. A file with `HOLDS = True` is bought once and left alone; one with `DRAWN = True` draws by
`spec.seed`, and is judged by many seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from wealtharena.config import plugins
from wealtharena.config.paths import baseline_names
from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.runs import EvaluationSpec
from wealtharena.config.suggest import did_you_mean
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines import _history
from wealtharena.envs.baselines._answers import named, numbers_of
from wealtharena.errors import ConfigError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """One rule with its numbers: `weights(panel, row)`, the same for the same recent bars."""

    spec: BaselineSpec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def holds(self) -> bool:
        """Return whether the portfolio is bought once and then left alone."""
        return bool(getattr(self._rule, "HOLDS", False))

    @property
    def drawn(self) -> bool:
        """Return whether the weights are drawn by the seed."""
        return bool(getattr(self._rule, "DRAWN", False))

    @property
    def history_bars(self) -> int:
        """Return how many bars up to and including `row` the rule looks at; fewer make it know less, never wrong."""
        return _history.history_bars(self.spec)

    def weights(self, panel: Panel, row: int) -> FloatArray:
        """Return target weights [A] at the close of bar `row`, from bars up to `row` and none before a seam."""
        if first := panel.begin_of(row):
            panel, row = panel.slice(first, row + 1), row - first
        answer = self._rule.weights(panel, row, self.spec)
        found = numbers_of(answer, panel.symbols)
        if found is None or found.shape != (len(panel.symbols),):
            told = f"weights returned {named(answer)}, not one of {len(panel.symbols)} symbols"
            raise plugins.misused("envs.baselines", self.spec.name, f"{told}, numbers in their order")
        return found

    @property
    def _rule(self) -> ModuleType:
        return plugins.load("envs.baselines", self.spec.name)


def spec_of(
    name: str, *, evaluation: EvaluationSpec, env: EnvSpec, benchmark: str | None = None, seed: int = 0
) -> BaselineSpec:
    """Return what the rule `name` needs under these settings; raises ConfigError on a name unknown."""
    known = baseline_names()
    if name not in known:
        raise ConfigError(
            f"{name!r} is not a baseline: there is no such file in wealtharena/envs/baselines/",
            hint=did_you_mean(name, known, fallback=f"choose from {', '.join(known)}"),
        )
    return BaselineSpec(
        name=name,
        momentum_bars=evaluation.momentum_bars,
        lookback_bars=evaluation.lookback_bars,
        listed_bars=env.limits.delisting_bars,
        gross=min(1.0, env.limits.max_gross),
        max_weight=env.limits.max_weight,
        long_only=env.limits.long_only,
        margined=env.instrument.margin_futures,
        benchmark=benchmark,
        seed=seed,
    )


def available(name: str, panel: Panel, *, benchmark: str | None) -> bool:
    """Return whether the panel has what the rule needs: only `benchmark` wants a symbol of its own."""
    return name != "benchmark" or (benchmark is not None and benchmark in panel.symbols)


def require(name: str, panel: Panel, *, benchmark: str | None, asked: str) -> None:
    """Raise ConfigError where the panel lacks what the rule `name` needs; `asked` is the setting that names it."""
    if available(name, panel, benchmark=benchmark):
        return
    other = "choose another baseline, such as buy_and_hold"
    if benchmark is None:
        raise ConfigError(
            f"{asked}: this class has no benchmark (asset.benchmark=null)", hint=f"{other}, or set asset.benchmark"
        )
    raise ConfigError(
        f"{asked}: there are no bars of the benchmark {benchmark}", hint=f"add it to the universe's symbols, or {other}"
    )
