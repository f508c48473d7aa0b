"""Which of the paths that are judged together are one seed's, what each seed showed, and which only repeats another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import active


def ratios(found: Sequence[float], seeds: int | None) -> tuple[float, ...]:
    """Return one Sharpe ratio a seed: where each has several paths, which stand one after another, that of its median one."""
    paths = _paths_of_one(len(found), seeds)
    parts = [found[at : at + paths] for at in range(0, len(found), paths)]
    return tuple(part[median_index(part)] for part in parts)


def _paths_of_one(count: int, seeds: int | None) -> int:
    return count // seeds if seeds and count % seeds == 0 else 1


def repeated(agents: Sequence[Trajectory], stayed: Sequence[bool], seeds: int | None) -> int:
    """Return how many seeds have the paths of one before them, bar by bar; who is its anchor is no copy of another that is."""
    paths = _paths_of_one(len(agents), seeds)
    parts = [agents[at : at + paths] for at in range(0, len(agents), paths) if not all(stayed[at : at + paths])]
    return sum(any(_are_the_same(part, other) for other in parts[:at]) for at, part in enumerate(parts))


def _are_the_same(paths: Sequence[Trajectory], others: Sequence[Trajectory]) -> bool:
    """Return whether each path returned what its counterpart did, but for the rounding of single precision."""
    pairs = zip(paths, others, strict=True)
    return all(float(np.sqrt(np.mean((path.returns - other.returns) ** 2))) <= active.ROUNDING for path, other in pairs)


def worst(
    agents: Sequence[Trajectory], of_agents: Sequence[Mapping[str, float]], apart: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the fields of `Evidence` that are of the worst path, those of records `apart` among them."""

    def least(name: str, found: Sequence[float]) -> float:
        return min([*found, *(float(entry[name]) for entry in apart if entry.get(name) is not None)])

    return {
        "worst_drawdown": least("worst_drawdown", [values["max_drawdown"] for values in of_agents]),
        "fewest_trades": int(least("fewest_trades", [values["trades"] for values in of_agents])),
        "exposure": least("exposure", [values["exposure"] for values in of_agents]),
        "liquidated": any(agent.liquidated for agent in agents) or any(entry.get("liquidated") for entry in apart),
    }


def order(agents: Sequence[Trajectory], ordered: bool) -> list[int]:
    """Return the places of paths in the order in which random numbers are drawn: their own, else that of what they returned."""
    places = range(len(agents))
    return list(places) if ordered else sorted(places, key=lambda at: agents[at].returns.tobytes())


def median_index(values: Sequence[float]) -> int:
    """Return the position of the (lower) median; NaN counts as least."""
    order = sorted(range(len(values)), key=lambda i: values[i] if not math.isnan(values[i]) else -math.inf)
    return order[(len(order) - 1) // 2]


def largest(shares: Sequence[float | None]) -> float | None:
    """Return the largest lambda of any seed and fold, None where one was not shrunk."""
    known = [share for share in shares if share is not None]
    return max(known) if known and len(known) == len(shares) else None
