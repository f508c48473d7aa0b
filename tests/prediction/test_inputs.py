"""What an agent is shown of an account and of features, as its environment showed it, and which numbers are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wealtharena.prediction import inputs, observations
from wealtharena.prediction.inputs import InputError, Portfolio
from wealtharena.prediction.observations import Question, from_array, from_questions

POLICY: Any = SimpleNamespace(
    metadata=SimpleNamespace(symbols=("A", "B")),
    feature_shape=(2, 2, 1),
    scaling=SimpleNamespace(mean=np.array([10.0]), std=np.array([2.0])),
    start_states=lambda rows: {},
)


def test_an_account_that_holds_nothing_is_all_cash() -> None:
    assert inputs.flat_portfolio(POLICY, 2).tolist() == [[0.0, 0.0, 1.0, 0.0, 0.0]] * 2


@pytest.mark.parametrize(
    ("portfolio", "row"),
    [
        ({"A": 0.5, "B": -0.25}, [0.5, -0.25, 0.75, 0.0, 0.75]),  # weights, cash, drawdown, the sum of their sizes
        (Portfolio({"B": -0.25}, drawdown=-0.5), [0.0, -0.25, 1.25, -0.5, 0.25]),
        (Portfolio({"A": 0.5}, cash=0.125, leverage=0.75), [0.5, 0.0, 0.125, 0.0, 0.75]),
        (Portfolio({}, cash=0.0, leverage=0.0), [0.0] * 5),
    ],
)
def test_what_a_portfolio_does_not_say_follows_from_its_weights(portfolio: object, row: list[float]) -> None:
    assert inputs.portfolio_rows(POLICY, portfolio, 2).tolist() == [row, row]


@pytest.mark.parametrize("number", [100.5, -100.5])
def test_a_portfolio_in_another_unit_is_refused_on_either_side(number: float) -> None:
    row = np.array([0.5, number, 0.5, 0.0, 0.5], dtype=np.float32)
    with pytest.raises(InputError, match="portfolio: holds a number beyond 100"):
        inputs.portfolio_rows(POLICY, row, 1)
    with pytest.raises(InputError, match=r"portfolio\.weights\.B"):
        inputs.portfolio_rows(POLICY, {"B": number}, 1)


@pytest.mark.parametrize("number", [2e30, -2e30])
def test_a_feature_or_a_state_beyond_all_bounds_is_refused_on_either_side(number: float) -> None:
    with pytest.raises(InputError, match="features: holds a number beyond 1e30"):
        inputs.features_row(POLICY, [[[0.0], [number]], [[0.0], [0.0]]], field="features")
    carrying = SimpleNamespace(start_states=lambda rows: {"memory": np.zeros((rows, 2), np.float32)})
    with pytest.raises(InputError, match=r"state\.memory: holds a number beyond 1e30"):
        inputs.states_of(carrying, [{"memory": [0.0, number]}], ["state"])


def test_the_environments_observation_is_put_back_to_raw_features_and_its_portfolio_judged() -> None:
    scaled, held = [-1.0, 0.0, 1.0, 2.0], [0.5, 0.25, 0.75, 0.0, 0.75]
    found = from_array(POLICY, np.array(scaled + held, dtype=np.float32), None)
    assert found.features.reshape(-1).tolist() == [8.0, 10.0, 12.0, 14.0]
    assert found.portfolio.tolist() == [held]
    assert found.flat_portfolio_assumed == [False]
    assert "add up to 1.5 of equity" in found.notes[0][0]
    raw = from_array(POLICY, np.zeros((3, 2, 2, 1), dtype=np.float32), None)
    assert (raw.flat_portfolio_assumed, raw.notes) == ([True] * 3, [()] * 3)


def test_each_question_of_several_is_asked_with_its_own_portfolio_and_the_limit_of_all(monkeypatch: Any) -> None:
    def observe(metadata: object, table: object, *, max_stale_bars: int | None) -> Any:
        return np.full((1, 2, 2, 1), 7.0, dtype=np.float32), f"{table} {max_stale_bars}", ("repaired",)

    monkeypatch.setattr(observations, "observe", observe)
    zeros = np.zeros((2, 2, 1)).tolist()
    asked = [
        Question(features=zeros),
        Question(bars="bars", portfolio={"A": 0.5}),
        Question(features=zeros, portfolio={}),
    ]
    found = from_questions(POLICY, asked, fields=("0.", "1.", "2."), max_stale_bars=3)
    assert found.flat_portfolio_assumed == [True, False, False]
    assert found.portfolio[:, :3].tolist() == [[0.0, 0.0, 1.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]
    assert found.features[:, 0, 0, 0].tolist() == [0.0, 7.0, 0.0]
    assert (found.as_of, found.notes) == ([None, "bars 3", None], [(), ("repaired",), ()])
    with pytest.raises(InputError, match=r"^1\.portfolio\.weights\.C: unknown symbol"):
        from_questions(POLICY, [asked[0], Question(features=zeros, portfolio={"C": 1.0})], fields=("0.", "1."))


@pytest.mark.parametrize("count", [1, 3])
def test_a_state_has_as_many_numbers_and_a_batch_as_many_states_as_there_are(count: int) -> None:
    carrying: Any = SimpleNamespace(start_states=lambda rows: {"memory": np.zeros((rows, 2), np.float32)})
    with pytest.raises(InputError, match=rf"state\.memory: has {count} numbers, expected 2"):
        inputs.states_of(carrying, [{"memory": [0.0] * count}], ["state"])
    with pytest.raises(InputError, match=r"state\.memory: is not one of each of 2 decisions"):
        observations._by_row({"memory": np.zeros((count, 2))}, 2)
    assert observations._by_row({"memory": [1.0, 2.0]}, 2) == [{"memory": 1.0}, {"memory": 2.0}]
