"""One order over several agents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

WEIGHTS: Mapping[str, float] = {"annual_return": 0.3, "sharpe": 0.3, "win_rate": 0.2, "profit_factor": 0.2}


@dataclass(frozen=True)
class Ranked:
    """An agent's place; `composite` is higher for the better, `place` is 1 for the best and shared by equals."""

    name: str
    composite: float
    place: int
    ranks: Mapping[str, float]  # by measure; k agents: the best has rank k


def composite(agents: Mapping[str, Mapping[str, float | None]]) -> tuple[Ranked, ...]:
    """Return the agents, best first, by `.3 rank(annual_return) + .3 rank(sharpe) + .2 rank(win_rate) + .2 rank(profit_factor)`.

    The best of k agents gets rank k on a measure; equal values share the mean of their ranks. A measure that any agent
    lacks (missing, None, NaN) is dropped for all and the weights are renormalised; with none left every composite is NaN.
    An agent that has none of the measures is not ranked among the others: its composite is NaN and it stands last.
    Agents with equal composites share a place, the next one's skips as many, and are listed by Sharpe ratio, then by name.
    """
    everyone = sorted(agents)
    names = [name for name in everyone if any(_known(agents[name].get(m)) for m in WEIGHTS)]
    usable = [m for m in WEIGHTS if names and all(_known(agents[name].get(m)) for name in names)]
    total = sum(WEIGHTS[m] for m in usable)
    ranks = {m: dict(zip(names, _ranks([_number(agents[n][m]) for n in names]), strict=True)) for m in usable}
    scores = dict.fromkeys(everyone, math.nan)
    if usable:
        scores |= {n: sum(WEIGHTS[m] * ranks[m][n] for m in usable) / total for n in names}
    level = {n: round(_low(scores[n]), 9) for n in everyone}  # sums of shares in another order differ in the last bit
    order = sorted(everyone, key=lambda n: (level[n], n in names, _low(agents[n].get("sharpe"))), reverse=True)
    return tuple(
        Ranked(
            name,
            scores[name],
            1 + sum((level[other], other in names) > (level[name], name in names) for other in everyone),
            {m: ranks[m][name] for m in usable} if name in names else {},
        )
        for name in order
    )


def _ranks(values: list[float]) -> list[float]:
    """Return ranks from 1 (least) to k; equal values share their mean rank."""
    array = np.array(values)
    return [float((array < v).sum() + ((array == v).sum() + 1) / 2) for v in array]


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _number(value: float | None) -> float:
    assert value is not None
    return float(value)


def _low(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value
