"""The kernel beside a second account, which was written from docs/envs.md alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.envs.markets import EVERY_COST, market_of, random_panel, random_targets, spec_of
from tests.envs.plain import PlainAccount
from wealtharena.data.panel import Panel
from wealtharena.envs.simulate import simulate

CASES: dict[str, dict[str, Any]] = {
    "small orders": {},
    "at the limits": {"limits": {"max_gross": 1.5, "max_weight": 0.8}},
    "long only": {"limits": {"long_only": True}},
    "cut by volume": {"initial_cash": 1e8, "limits": {"participation": 0.05}},
    "whole lots": {"initial_cash": 1e7, "instrument": {"lot_size": 100.0}, "limits": {"participation": 0.05}},
    "small changes left": {"min_trade_weight": 0.05},
    "margined": {"instrument": {"margin_futures": True}, "limits": {"max_gross": 3.0, "max_weight": 2.0}},
}


def _with_a_hole(panel: Panel) -> Panel:
    close = panel.close.copy()
    close[8:11, 0] = np.nan
    return replace(panel, close=close, tradable=panel.tradable & np.isfinite(close))


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_does_what_its_page_says(case: str, opens: bool) -> None:
    spec = spec_of(costs=EVERY_COST, **CASES[case])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        panel = _with_a_hole(random_panel(rng, opens=opens))
        targets = random_targets(rng, panel.bars, len(panel.symbols)) * (0.1 if case == "small orders" else 0.6)
        market = market_of(panel, spec)
        path = simulate(market, targets, spec=spec)
        account = PlainAccount(panel, spec, fill=market.fill)
        equity = [account.equity, *(account.step(t, targets[t]) for t in range(panel.bars - 1))]
        assert not path.liquidated
        assert path.equity == pytest.approx(np.array(equity), rel=1e-11)
