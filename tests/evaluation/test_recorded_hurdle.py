"""The hurdle of recorded commodities, by hand: what volume limits let a million dollars buy, day after day, then held.

Filled at one open, as if five markets could take it, the same five futures have a Sharpe ratio of 0.21.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.config import compose
from wealtharena.evaluation import backtest, metrics
from wealtharena.evaluation.splits import Segment, make_folds
from wealtharena.tasks.pipeline import open_features

FILE = Path(__file__).parents[3] / "shared" / "market" / "commodities_daily.parquet"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the folder of real bars is not here")
DOLLARS = {"GC=F": 100, "SI=F": 5000, "PL=F": 50, "HG=F": 25000, "CL=F": 1000}  # a contract gains, a quote of 1
FREE = ("asset.costs.commission_bps=0", "asset.costs.half_spread_bps=0", "asset.costs.impact_coefficient=0")


def by_hand(cash, limit):
    """Return the daily equity of equal parts over the last fifth, each bought at the opens that `limit` of volume allows."""
    table = pd.read_parquet(FILE)
    table["timestamp"] = pd.DatetimeIndex(table["timestamp"]).tz_localize(None)
    names = list(DOLLARS)
    bars = {c: table.pivot(index="timestamp", columns="symbol", values=c)[names] for c in ("open", "close", "volume")}
    bars = {name: frame.loc["2022-01-18":"2024-12-27"] for name, frame in bars.items()}
    worth = np.array([DOLLARS[name] for name in names])
    close = bars["close"].ffill().to_numpy() * worth
    opens, volume = bars["open"].to_numpy() * worth, bars["volume"].to_numpy()
    trades = np.isfinite(bars["close"].to_numpy()) & (volume > 0)  # a day on which nobody traded fills nothing
    units, equity, due = np.zeros(len(names)), [cash], np.ones(len(names), dtype=bool)
    for t in range(len(close) - 1):
        asked = due & trades[t]
        room = 1.0 - (units * close[t])[~asked].sum() / equity[-1]  # what is held already may have risen above its part
        part = min(0.2, room / max(asked.sum(), 1))
        wish = np.where(asked, part * equity[-1] / close[t] - units, 0.0)  # by the last close
        most = limit * volume[t + 1] if limit < 1 else np.full(len(names), np.inf)
        bought = np.where(trades[t + 1], np.minimum(wish, most), 0.0)
        due &= ~(asked & trades[t + 1] & (bought == wish))
        moved = (units * (close[t + 1] - close[t])).sum()
        equity.append(equity[-1] + moved + np.where(bought != 0, bought * (close[t + 1] - opens[t + 1]), 0.0).sum())
        units = units + bought
    return np.array(equity)


@pytest.fixture(scope="module")
def features():
    return open_features(compose(["asset=commodities", "data=files", f"data.path={FILE}"]))


@pytest.mark.slow
@pytest.mark.parametrize(("cash", "limit", "sharpe", "growth"), [(1e6, 0.1, 0.196, 1.0584), (1e3, 1.0, 0.209, 1.0663)])
def test_buy_and_hold_of_five_futures_is_what_a_hand_computes(features, cash, limit, sharpe, growth):
    spec = compose(["asset=commodities", f"env.initial_cash={cash}", f"asset.limits.participation={limit}", *FREE])
    fold = make_folds(spec.split, features.bars)[0]
    window = Segment(fold.test[0].start, fold.test[-1].stop)
    played = backtest.of_baselines(
        features, spec.env, window, evaluation=spec.evaluation, rng=np.random.default_rng(0), names=("buy_and_hold",)
    )["buy_and_hold"]
    truth = by_hand(cash, limit)
    np.testing.assert_allclose(played.equity, truth, rtol=1e-9)
    assert metrics.sharpe(played.returns, bars_per_year=played.bars_per_year) == pytest.approx(sharpe, abs=5e-4)
    assert truth[-1] / cash == pytest.approx(growth, abs=5e-5)
