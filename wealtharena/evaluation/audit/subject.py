"""What is audited, passed in so that a planted leak can be audited too; the state that all checks of one audit share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena import features as features_room
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data.bars import Bars, RawBars
from wealtharena.data.panel import Panel
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.envs.trajectory import Trajectory
from wealtharena.envs.vector_env import PortfolioVectorEnv
from wealtharena.evaluation.audit.findings import Check, Finding
from wealtharena.features.panel import FeaturePanel, Scaler

Played = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # observations [n + 1, D] and rewards [n]

TOLERANCE: Final = 1e-6  # relative; features are float32
COMPARED: Final = 2**20  # numbers compared at a time


def play(market: Market, spec: EnvSpec, actions: npt.NDArray[np.float32]) -> Played:
    """Return observations [n + 1, D] and rewards [n] of one environment over the whole market, in the order seen."""
    whole = spec.model_copy(update={"episode_bars": None, "random_start": False, "action": "weights"})
    env = PortfolioVectorEnv(market, whole, num_envs=1, autoreset_mode="Disabled")
    steps = market.length - spec.window
    seen = np.zeros((steps + 1, 1, market.layout.size), dtype=np.float32)
    rewards = np.zeros((steps, 1), dtype=np.float32)
    ended = np.zeros((2, 1), dtype=np.bool_)
    env.reset_into(seen[0], seed=0)
    for n in range(steps):
        t = n + spec.window - 1
        env.step_into(actions[t : t + 1], obs=seen[n + 1], reward=rewards[n], terminated=ended[0], truncated=ended[1])
        if ended[0, 0]:
            return seen[: n + 2, 0], rewards[: n + 1, 0]
    return seen[:, 0], rewards[:, 0]


@dataclass(frozen=True)
class Subject:
    """The functions under audit; the defaults are the platform's own."""

    features: Callable[[Panel, FeaturesSpec], FeaturePanel] = features_room.compute
    fit: Callable[[FeaturePanel, slice], Scaler] = lambda features, rows: Scaler.fit(features, clip=5.0, rows=rows)
    market: Callable[[FeaturePanel, EnvSpec, Scaler], Market] = Market.build
    play: Callable[[Market, EnvSpec, npt.NDArray[np.float32]], Played] = play
    simulate: Callable[..., Trajectory] = simulate
    repair: Callable[[RawBars], Bars] | None = None


@dataclass
class Asking:
    """One audit under way: what is asked about, where, and what came of it so far."""

    panel: Panel
    features_spec: FeaturesSpec
    env: EnvSpec
    subject: Subject
    points: tuple[int, ...]  # rows of the feature panel
    rng: np.random.Generator
    whole: FeaturePanel
    findings: list[Finding] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    suspicions: list[str] = field(default_factory=list)

    @property
    def offset(self) -> int:
        return self.whole.warmup_bars

    def found(self, check: str, what: str, symbol: str, row: int, detail: str) -> Finding:
        bar = row + self.offset
        return Finding(check, what, symbol, bar, str(self.panel.timestamps[bar]), detail)

    def ask(self, name: str, asked: str, search: Callable[[str], Finding | None]) -> None:
        """Ask one question and note the first finding."""
        self.note(name, asked, search(name))

    def note(self, name: str, asked: str, finding: Finding | None) -> None:
        """Note the answer to a question."""
        if finding is not None:
            self.findings.append(finding)
        self.checks.append(Check(name, finding is None, asked if finding is None else str(finding)))

    def futures(self) -> Iterator[tuple[int, str, Panel]]:
        """Yield (row t, how, panel) for every point: the bars after t cut off, and replaced by noise."""
        for t in self.points:
            bar = t + self.offset
            yield t, "cut off", self.panel.slice(0, bar + 1)
            yield t, "changed", perturbed(self.panel, bar, self.rng)


def perturbed(panel: Panel, bar: int, rng: np.random.Generator) -> Panel:
    """Return the panel with everything after `bar` replaced by noise about it; `bar` and before are untouched."""
    after = slice(bar + 1, None)
    shape = panel.close[after].shape
    level = np.exp(np.cumsum(rng.normal(0, 0.05, shape), axis=0))
    changes: dict[str, Any] = {}
    for name in ("open", "high", "low", "close"):
        changes[name] = _after(getattr(panel, name), bar, lambda old: old * level * np.exp(rng.normal(0, 0.02, shape)))
    changes["volume"] = _after(panel.volume, bar, lambda old: old * np.exp(rng.normal(0, 1, shape)))
    changes["dividends"] = _after(
        panel.dividends, bar, lambda old: old + np.abs(panel.close[after]) * 0.01 * rng.random(shape)
    )
    changes["to_account"] = _after(panel.to_account, bar, lambda old: old * np.exp(rng.normal(0, 0.05, shape)))
    changes["tradable"] = _after(panel.tradable, bar, lambda old: old & (rng.random(shape) > 0.1))
    changes["cash"] = _after(panel.cash, bar, lambda old: old + rng.normal(0, 0.02, old.shape))
    changes["macro"] = _after(panel.macro, bar, lambda old: old + rng.normal(0, 1, old.shape) * (1 + np.abs(old)))
    return replace(panel, **changes)


def _after(values: Any, bar: int, change: Callable[[Any], Any]) -> Any:
    if values is None:
        return None
    changed = values.copy()
    changed[bar + 1 :] = change(values[bar + 1 :])
    return changed


def first_moved(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[int, ...] | None:
    """Return the indices of the first place where two arrays of one shape differ by more than the tolerance, or None.

    NaN equals NaN. They are compared some rows at a time: in double precision, observations of long windows would take
    several times their memory.
    """
    a, b = np.asarray(a), np.asarray(b)
    rows = max(1, COMPARED * len(a) // max(1, a.size))
    for start in range(0, len(a), rows):
        one, other = (part[start : start + rows].astype(np.float64) for part in (a, b))
        same = np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * 1e-3, equal_nan=True)
        if not same.all():
            row, *place = (int(i) for i in np.argwhere(~same)[0])
            return start + row, *place
    return None
