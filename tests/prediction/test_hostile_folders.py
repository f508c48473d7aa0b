"""Sixty folders that are no checkpoints: each is refused by the name of its file, and the agent in production answers on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.attacks.folders import MUTATIONS, hand_over, spoil
from tests.registry.shelf import AGENT, save, stocked
from wealtharena.errors import CheckpointError
from wealtharena.prediction.agent import AnswerLimits, UnfitAnswerError
from wealtharena.prediction.inputs import InputError
from wealtharena.prediction.manager import ProductionModelManager

ZEROS = np.zeros((3, 2, 2), dtype=np.float32)


def test_there_are_sixty() -> None:
    assert len(MUTATIONS) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_hostile_folder_is_refused_by_its_file_and_the_old_version_answers(tmp_path: Path, name: str) -> None:
    store = stocked(tmp_path)
    manager = ProductionModelManager(store.root)
    manager.refresh()
    folder = save(store, "v2", verdict="promotable", weights=(0.0, 0.0, 0.9))
    named = spoil(folder, name)
    hand_over(store.root, AGENT, "v2")
    assert manager.refresh() == [AGENT]
    answer = manager.get_model_prediction(AGENT, ZEROS)
    assert (answer.version, answer["BTC-USD"]) == ("v1", 0.5)
    if named == "weights":
        assert "answers differ" in manager.problems[AGENT]
    else:
        assert named in manager.problems[AGENT]
    assert manager.get_model_prediction("etf", ZEROS)
    assert manager.refresh() == []


@pytest.mark.slow
def test_an_agent_that_answers_beyond_its_limits_is_set_aside_until_its_stage_changes(tmp_path: Path) -> None:
    limits = {
        "max_gross": 1.0, "max_weight": 0.6, "long_only": True, "maintenance_margin": 0.0, "liquidation_penalty_bps": 0.0,
        "participation": 1.0, "delisting_haircut": 0.0, "delisting_bars": 5,
    }  # fmt: skip
    store = stocked(tmp_path)
    from wealtharena.registry import promote, rollback

    described = {"recipe": {"env": {"limits": limits}}}
    save(store, "v2", verdict="promotable", weights=(0.5, 0.2, 0.1), slope=0.05, described=described)
    promote(store, AGENT, "v2")
    manager = ProductionModelManager(store.root)
    manager.refresh()
    assert manager.get_model_prediction(AGENT, ZEROS)["BTC-USD"] == pytest.approx(0.5)
    large = ZEROS.copy()
    large[0, -1, 0] = 4.0
    with pytest.raises(UnfitAnswerError, match="no portfolio within its limits"):
        manager.get_model_prediction(AGENT, large)
    with pytest.raises(CheckpointError, match="set aside"):
        manager.get_model_prediction(AGENT, ZEROS)
    assert manager.refresh() == []
    save(store, "s2", agent="etf")  # the history goes on, and nothing on this agent's stages
    assert manager.refresh() == []
    assert manager.serving(AGENT) is None
    assert manager.get_model_prediction("etf", ZEROS)
    rollback(store, AGENT)
    manager.refresh()
    assert manager.get_model_prediction(AGENT, large)["BTC-USD"] == pytest.approx(0.7)


@pytest.mark.slow
@given(
    rows=st.lists(
        st.lists(st.sampled_from([0.0, 0.25, -0.25, 0.5, 0.75, 1.0, np.nan, np.inf, -np.inf]), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    ),
    low=st.sampled_from([0.0, -1.0]),
)
def test_the_limits_hold_of_a_batch_what_they_hold_of_each_answer(rows: list[list[float]], low: float) -> None:
    limits = AnswerLimits(low=low, high=0.75, gross=1.0)
    weights = np.array(rows, dtype=np.float32)
    expected = [
        bool(np.isfinite(row).all() and np.abs(row).sum() <= 1.0 and row.min() >= low and row.max() <= 0.75)
        for row in weights
    ]
    assert [limits.hold(row[np.newaxis]) for row in weights] == expected
    assert limits.hold(weights) is all(expected)


@pytest.mark.parametrize("row", [[0.75, 0.75, 0.0], [0.5, -0.25, 0.0], [0.8, 0.0, 0.0], [np.nan, 0.0, 0.0]])
def test_one_answer_beyond_the_limits_makes_its_whole_batch_unfit(row: list[float]) -> None:
    limits, fit = AnswerLimits(low=0.0, high=0.75, gross=1.0), [0.5, 0.5, 0.0]
    assert limits.hold(np.array([fit, fit], dtype=np.float32))
    for batch in ([row, fit], [fit, row], [row]):
        assert not limits.hold(np.array(batch, dtype=np.float32))


@pytest.mark.parametrize("portfolio", [np.full(6, 1e6), np.full(6, np.inf)])
def test_a_portfolio_that_is_none_sets_no_agent_aside(tmp_path: Path, portfolio: np.ndarray) -> None:
    manager = ProductionModelManager(stocked(tmp_path).root)
    with pytest.raises(InputError, match="portfolio"):
        manager.get_model_prediction(AGENT, ZEROS, portfolio=portfolio)
    assert manager.get_model_prediction(AGENT, ZEROS)


def test_a_portfolio_in_per_cents_is_named_and_one_that_has_drifted_is_not() -> None:
    limits = AnswerLimits(low=0.0, high=1.0, gross=1.0001)
    held = np.array([[30.0, 20.0, -49.0, 0.0, 50.0], [0.7, -0.5, 0.8, 0.0, 1.2], [0.0, 0.0, 1.0, 0.0, 0.0]], np.float32)
    per_cents, *others = limits.strained(held)
    assert "add up to 50 times equity, of which the agent holds at most 1: weights are shares" in per_cents[0]
    assert others == [(), ()]
