"""What an answer says beside its weights, and why it says so, by hand: no registry and no graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wealtharena.prediction import bars
from wealtharena.prediction.answers import Origin, Predictions
from wealtharena.prediction.explain import explain
from wealtharena.prediction.inputs import InputError

ORIGIN = Origin("fx", "v1", "paper", "unproven", simulated=True, symbols=("A", "B"))


def test_each_answer_of_a_batch_has_its_own_facts_and_a_short_position_leaves_more_cash() -> None:
    found = Predictions(
        ORIGIN,
        weights=np.array([[0.5, 0.25], [0.5, -0.25]], dtype=np.float32),
        states={"memory": np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)},
        spread=np.array([0.1, 0.2], dtype=np.float32),
        flat_portfolio_assumed=[True, False],
        as_of=["2024-01-02", None],
        notes=[(), ("repaired",)],
    )
    rows = found.to_dict()["predictions"]
    for answer, row, cash, spread, flat, as_of, notes, state in zip(
        found, rows, (0.25, 0.75), (0.1, 0.2), (True, False), ("2024-01-02", None), ([], ["repaired"]),
        ([1.0, 2.0], [3.0, 4.0]), strict=True,
    ):  # fmt: skip
        assert answer.cash == row["cash"] == pytest.approx(cash)
        assert answer.spread == row["spread"] == pytest.approx(spread)
        assert (answer.flat_portfolio_assumed, answer.as_of, list(answer.notes)) == (flat, as_of, notes)
        assert (row["flat_portfolio_assumed"], row["as_of"], row["notes"]) == (flat, as_of, notes)
        assert answer.state["memory"].tolist() == row["state"]["memory"] == state
        assert dict(answer) == row["weights"]
        assert answer.simulated
    assert [one.as_of for one in found[::-1]] == [None, "2024-01-02"]


class Leaning:
    """A policy that holds 0.2 of what its first signal has been in the window, and a tenth less for each of its second."""

    metadata = SimpleNamespace(symbols=("A", "B"), feature_names=("up", "down", "gone"), recorded_at="2024-01-02")
    scaling = SimpleNamespace(mean=np.array([1.0, 2.0, 0.0]), std=np.array([0.5, 4.0, 1.0]))
    feature_shape = (2, 2, 3)

    def __init__(self) -> None:
        old = np.zeros((2, 2, 3), dtype=np.float32)
        now = np.array([[[0.0, 1.0, 0.0], [2.0, 4.0, np.nan]], [[1.0, 5.0, 0.0], [3.0, 8.0, np.nan]]], dtype=np.float32)
        self.probe: Any = SimpleNamespace(
            features=np.stack([old, now]), portfolio=np.zeros((2, 5), np.float32), states={}
        )

    def act(self, features: np.ndarray, portfolio: np.ndarray, states: object) -> Any:
        assert len(features) == len(portfolio)
        weights = 0.2 * features[..., 0].sum(axis=-1) - 0.1 * features[:, :, -1, 1]
        return SimpleNamespace(weights=weights.astype(np.float32))


def test_an_effect_is_the_weight_less_what_it_is_with_the_signal_at_its_average_over_the_window() -> None:
    found = explain(Leaning())
    assert [(one.symbol, one.weight) for one in found.holdings] == [
        ("A", pytest.approx(0.0)),
        ("B", pytest.approx(0.0)),
    ]
    told = [[(one.feature, one.value, one.score, one.effect) for one in each.signals] for each in found.holdings]
    assert told[0] == [("down", 4.0, 0.5, pytest.approx(-0.2)), ("up", 2.0, 2.0, pytest.approx(0.0, abs=1e-6))]
    assert told[1] == [("down", 8.0, 1.5, pytest.approx(-0.6)), ("up", 3.0, 4.0, pytest.approx(0.4))]
    assert found.recorded_at == "2024-01-02"


def test_a_decision_that_is_short_leaves_more_cash_than_equity() -> None:
    policy = Leaning()
    policy.probe.features[-1, 1, :, 0] = 0.0
    found = explain(policy)
    assert [one.weight for one in found.holdings] == [pytest.approx(0.0), pytest.approx(-0.8)]
    assert found.cash == pytest.approx(1.8)


def test_each_symbol_has_the_history_that_is_needed_of_its_own_bars() -> None:
    """Beside a symbol with a long one, the bars that another lacks are rows without a price."""
    needs: Any = SimpleNamespace(symbols=("A", "B"), min_history_bars=5)
    close = np.ones((7, 2))
    close[:2, 1] = np.nan, 0.0
    bars._check_history(needs, close)
    close[2, 1] = np.nan
    with pytest.raises(InputError, match=r"bars\.B: has 4 bars, the agent needs 5"):
        bars._check_history(needs, close)
