"""A baseline that is drawn: which of its draws stands for all, and what their figures are together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import metrics

FloatArray = npt.NDArray[np.float64]


def typical(paths: Sequence[Trajectory], *, risk_free: float | FloatArray) -> Trajectory:
    """Return the path whose Sharpe ratio is nearest the mean of those that have one; the first where none has. `risk_free` is a rate a bar.

    A draw that earned the same less than cash in every bar, as one whose orders are all too small, has an infinite one, which has no distance.
    """
    ratios = np.array(
        [metrics.sharpe(path.returns, bars_per_year=path.bars_per_year, risk_free=risk_free) for path in paths]
    )
    ratios[np.isinf(ratios)] = np.nan
    if np.isnan(ratios).all():
        return paths[0]
    return paths[int(np.nanargmin(np.abs(ratios - np.nanmean(ratios))))]


def band(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of the measures of all draws, with `seeds`, how many there are, and a band.

    The band is the 5 % and the 95 % quantile over the draws, as `<measure>_low` and `<measure>_high`.
    """
    found: dict[str, float] = {"seeds": len(rows)}
    for name in rows[0]:
        values = np.array([row[name] for row in rows], dtype=np.float64)
        known = values[~np.isnan(values)]  # an infinite one counts: a mean over the others would be of the lucky draws
        if known.size == 0:
            found[name] = float("nan")
            continue
        with np.errstate(invalid="ignore"):
            found[name] = float(known.mean())
            found[f"{name}_low"], found[f"{name}_high"] = (float(q) for q in np.quantile(known, [0.05, 0.95]))
    return found
