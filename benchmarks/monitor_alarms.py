"""How often the monitors of a paper account cry wolf, and how soon they find a loss of one annual Sharpe unit.

    python benchmarks/monitor_alarms.py

An agent's training window is made up: returns whose size clusters, features that move slowly, weights that follow them.
Years are drawn from it in blocks of random length (stationary bootstrap, Politis and Romano 1994), returns, features and
weights of a session together, and told to all monitors. Printed are the share of years in which any of them alarms while the
promise is kept (5 % at most, two standard errors allowed for chance), and the years until `record` alarms where the Sharpe
ratio is lower by one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from wealtharena.trading.monitor.watch import FALSE_ALARMS, Baseline, Monitors

BARS, SYMBOLS, FEATURES, TRAINING = 252, 5, 6, 1500
PROMISED = 0.4
MEAN_BLOCK = 40


def training_window(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return excess returns [T], features [T, A, F] and weights [T, A]."""
    slow = np.zeros((TRAINING, SYMBOLS, FEATURES))
    for t in range(1, TRAINING):
        slow[t] = 0.95 * slow[t - 1] + rng.normal(0, np.sqrt(1 - 0.95**2), (SYMBOLS, FEATURES))
    size = np.exp(0.5 * slow[:, 0, 0])
    returns = 0.01 * size * rng.standard_t(5, TRAINING) * np.sqrt(3 / 5)
    weights = 1 / (1 + np.exp(-slow[:, :, 1])) / SYMBOLS
    return returns, slow, weights


def drawn(rng: np.random.Generator, bars: int) -> np.ndarray:
    """Return rows of the training window, in blocks of random length that wrap around."""
    rows, at = np.empty(bars, dtype=np.int64), 0
    for n in range(bars):
        at = rng.integers(TRAINING) if n == 0 or rng.random() < 1 / MEAN_BLOCK else (at + 1) % TRAINING
        rows[n] = at
    return rows


def first_alarms(
    baseline: Baseline, window: tuple[np.ndarray, ...], *, sharpe: float, years: int, rng: np.random.Generator
) -> dict[str, int]:
    """Return the bar of each monitor's alarm over a path of so many years."""
    returns, features, weights = window
    centred = returns - returns.mean() + sharpe / np.sqrt(BARS) * returns.std(ddof=1)
    monitors, found = Monitors(baseline, agent="a", folder=Path()), {}
    for bar, row in enumerate(drawn(rng, years * BARS)):
        for alarm in monitors.tell(excess=float(centred[row]), features=features[row], weights=weights[row]):
            found[alarm.monitor] = bar
    return found


def main() -> None:
    """Print false alarms a year by monitor and in all, and the median time to find a loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=150, help="paths of four years while the promise is kept")
    parser.add_argument("--losses", type=int, default=60, help="paths with a loss")
    parser.add_argument("--seed", type=int, default=20261126, help="of the agent's training window and of all paths")
    given = parser.parse_args()
    rng, began = np.random.default_rng(given.seed), time.perf_counter()
    window = training_window(rng)
    names = tuple(f"feature_{n}" for n in range(FEATURES))
    baseline = Baseline.of(
        excess=window[0], promised_sharpe=PROMISED, features=window[1], names=names, actions=window[2],
        bars_per_year=float(BARS), rng=rng,
    )  # fmt: skip
    years = 4
    kept = [first_alarms(baseline, window, sharpe=PROMISED, years=years, rng=rng) for _ in range(given.paths)]
    for name in ("record", "features", "actions"):
        share = sum(name in one for one in kept) / (years * len(kept))
        print(f"{name:9} false alarms {100 * share:5.2f} % of years")
    every = sum(len(one) for one in kept) / (years * len(kept))
    error = np.sqrt(every * (1 - every) / (years * len(kept)))
    print(
        f"together  false alarms {100 * every:5.2f} % of years (+- {200 * error:.2f}), allowed {100 * FALSE_ALARMS:g} %"
    )
    assert baseline.record is not None
    stated = baseline.record[1].median_years
    longest = 20
    lost = [
        first_alarms(Baseline(baseline.record, None, None), window, sharpe=PROMISED - 1, years=longest, rng=rng).get(
            "record"
        )
        for _ in range(given.losses)
    ]
    times = [longest if one is None else one / BARS for one in lost]
    print(
        f"a loss of one Sharpe unit is found after {np.median(times):.1f} years (median), stated {stated and round(stated, 1)}"
    )
    print(f"{time.perf_counter() - began:.0f} s")
    if every > FALSE_ALARMS + 2 * error:
        raise SystemExit("more false alarms than allowed")


if __name__ == "__main__":
    main()
