"""Whether a newcomer beats an incumbent on bars that neither has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.agents.policy import Policy
from wealtharena.config.specs.env import EnvSpec
from wealtharena.errors import PromotionError
from wealtharena.evaluation import backtest, metrics
from wealtharena.evaluation.comparison import MIN_BARS, compare
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel, Scaler


@dataclass(frozen=True)
class Challenge:
    """A newcomer against the incumbent: `beats` where the lower bound of the Sharpe difference is above 0."""

    incumbent: str
    beats: bool
    bars: int
    start: str | None
    end: str | None
    sharpe_difference: float | None
    ci95: tuple[float, float] | None
    why_not: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the block `challenge` of metadata.json, which the promotion gate reads."""
        return {**vars(self), "ci95": list(self.ci95) if self.ci95 is not None else None}


def unseen(timestamps: npt.NDArray[np.datetime64], test: Segment, *, last: str | None, incumbent: str) -> Segment:
    """Return the rows of `test` that are later than `last`, the last date of the data of `incumbent`.

    PromotionError where fewer than 8 bars are left: there is nothing to compare on yet.
    """
    if last is None:
        raise PromotionError(f"{incumbent} does not say where its data ended", hint="promote by hand")
    later = int(np.searchsorted(timestamps, np.datetime64(last[:10], "D") + 1))
    start = max(test.start, later)
    if test.stop - start <= MIN_BARS:
        raise PromotionError(
            f"only {max(0, test.stop - start)} bars are later than {last[:10]}, where the incumbent's data ended",
            hint="wait for newer data and collect them, or set data.end later",
        )
    return Segment(start, test.stop)


def challenge(
    newcomer: tuple[Policy, Scaler],
    incumbent: tuple[Policy, Scaler],
    *,
    name: str,
    features: FeaturePanel,
    env: EnvSpec,
    segment: Segment,
    rng: np.random.Generator,
    draws: int,
    risk_free_per_year: float,
) -> Challenge:
    """Return how the newcomer fares against the incumbent `name` over rows that neither has seen, both from cash.

    Paired stationary bootstrap (Ledoit and Wolf 2008), 95 % interval of the difference of Sharpe ratios over what cash
    earned. `risk_free_per_year` is the hurdle of the asset, a share; of a dated rate the least that a bar counts with.
    """
    ours, theirs = (
        backtest.of_policy(policy, features, scaler, env, segment, name=who)
        for who, (policy, scaler) in (("newcomer", newcomer), ("incumbent", incumbent))
    )
    cash = metrics.risk_free(ours, risk_free_per_year)
    found = compare(ours, theirs, rng=rng, draws=draws, risk_free=cash)
    days = features.panel.timestamps[[segment.start, segment.stop - 1]].astype("datetime64[D]").astype(str)
    sharpe = found.difference.sharpe if found.difference is not None else None
    return Challenge(
        incumbent=name,
        beats=sharpe is not None and sharpe.low > 0.0,
        bars=segment.stop - segment.start,
        start=str(days[0]),
        end=str(days[1]),
        sharpe_difference=sharpe.value if sharpe is not None else None,
        ci95=(sharpe.low, sharpe.high) if sharpe is not None else None,
        why_not=found.why_not,
    )
