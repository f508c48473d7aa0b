"""The figures of the active part by hand: the agent less its anchor, a year."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.evaluation import worlds
from wealtharena.envs.kernel.rows import BAR, BAR_ROWS
from wealtharena.evaluation import active

OWN, ANCHOR = np.random.default_rng(4).normal(0.001, 0.01, (2, 40))


def accounts():
    """Return an agent and its anchor that trade for 3 % and for 1 % of equity a bar, each 1 % of that being costs."""
    made = []
    for returns, share, lent in ((OWN, 0.03, 0.0002), (ANCHOR, 0.01, 0.0005)):
        path = worlds.trajectory(returns, trades=0)
        equity = path.equity[:-1]
        flows = {"traded_value": share * equity, "costs": share / 100 * equity, "financing": lent * equity}
        made.append(replace(path, **flows))
    return made


def test_the_active_part_is_the_agents_less_the_anchors_a_year():
    found = active.part(*accounts())
    less = OWN - ANCHOR
    assert found == pytest.approx(
        {
            "annual_return": less.mean() * 252,
            "tracking_error": less.std(ddof=1) * math.sqrt(252),
            "information_ratio": less.mean() / less.std(ddof=1) * math.sqrt(252),
            "active_share": 0.0,
            "turnover": 0.02 * 252,
            "costs": 0.0002 * 252,
            "financing": -0.0003 * 252,
        }
    )


def test_a_tilt_is_as_large_as_what_is_held_over_the_bars_and_nan_where_an_account_was_emptied():
    agent, anchor = accounts()
    apart = np.zeros_like(agent.weights)
    apart[0, 0], apart[-1, 1] = 0.4, -0.8  # the last is held over no bar of the record
    agent, anchor = replace(agent, weights=0.5 + apart), replace(anchor, weights=np.full_like(apart, 0.5))
    bars = np.zeros((len(apart), BAR_ROWS, 2))
    bars[:, BAR.mark] = 1.0
    market = SimpleNamespace(timestamps=agent.timestamps, bars=bars)
    found = active.by_symbol(agent, anchor, market)
    assert {name: one["tilt"] for name, one in found.items()} == pytest.approx({"S0": 0.4 / 40, "S1": 0.0})
    empty = replace(anchor, equity=np.linspace(1e6, 1.0, 41))
    for one, other in ((agent, empty), (empty, agent)):
        assert all(
            math.isnan(part[name])
            for part in active.by_symbol(one, other, market).values()
            for name in ("earned", "cost")
        )


def test_parts_of_a_record_count_by_their_bars(monkeypatch):
    told = {"a": {"S0": {"earned": 0.1}}, "b": {"S0": {"earned": 0.4}}}
    monkeypatch.setattr(active, "by_symbol", lambda one, anchor, market: told[one.name])
    parts = [worlds.trajectory(np.zeros(bars), name=name) for name, bars in (("a", 20), ("b", 10))]
    found = active.by_symbol_of(parts, parts, SimpleNamespace())
    assert found["S0"]["earned"] == pytest.approx(0.2)
