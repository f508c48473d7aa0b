"""Trained policies on what they are shown elsewhere: other symbols, other features, a single observation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tasks.conftest import SMALL
from wealtharena import Study
from wealtharena.agents.networks import build_network
from wealtharena.agents.playable import reader_of
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy
from wealtharena.config import compose
from wealtharena.errors import CheckpointError, MarketError
from wealtharena.evaluation.backtest import Backtest, Piece
from wealtharena.evaluation.ledger import Ledger
from wealtharena.trading.guarded import GuardedBacktest


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    return Study.of(None, *SMALL, "env.action=weights")


def trained(study: Study, model: str = "shared", **changes: Any) -> NetworkPolicy:
    """Return a network over the study's observations with these changes, as a training of another study leaves one."""
    layout = replace(study.env().layout, **changes)
    spec, limits = compose([*SMALL, f"model={model}"]).model, study.spec.env.limits
    network = build_network(spec, layout, limits, action="weights", seed=3)
    for parameter in network.parameters():  # the last layer is small at first, and says little
        parameter.data.mul_(3.0)
    return NetworkPolicy(network, spec, layout, "weights", limits, study.scaler)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["shared", "attention"])
@pytest.mark.parametrize("symbols", [("AAA", "BBB"), ("AAA", "BBB", "CCC", "DDD")])
def test_a_policy_of_other_symbols_is_played_late_and_under_rules_as_it_is_at_once(
    study: Study, model: str, symbols: tuple[str, ...]
) -> None:
    """Its network cut observations by its own number of symbols: a traceback of torch, or weights of too few.

    Where it was judged, the test window was open by then.
    """
    policy = trained(study, model, symbols=symbols)
    own = policy.for_symbols(study.env().layout.symbols)
    assert (study.backtest(policy).equity == study.backtest(own).equity).all()
    features, env = study.view.features, study.spec.env
    risk = compose([*SMALL, "risk=default"]).risk
    for delay in (0, 1):
        pieces = [(Piece(one, study.scaler, study.view.validation),) for one in (policy, own)]
        late = [Backtest("one", features, env, piece).simulate(delay_bars=delay) for piece in pieces]
        ruled = [GuardedBacktest("one", features, env, piece, risk).simulate(delay_bars=delay) for piece in pieces]
        for first, second in (late, ruled):
            assert (first.equity == second.equity).all()
            assert len(first.trades.bar)


def test_an_ensemble_over_other_symbols_keeps_its_spreads_in_one_list(study: Study) -> None:
    layout = study.env().layout
    members = [trained(study, symbols=("AAA", "BBB")), trained(study, symbols=("AAA", "BBB"))]
    together = EnsemblePolicy(members)
    read = reader_of(together, layout)
    assert read.layout == layout
    read.act(np.zeros((2, layout.size), np.float32))
    assert [len(spread) for spread in together.spreads] == [2]
    assert reader_of(read, layout) is read


def test_a_policy_that_reads_other_observations_opens_no_window(study: Study) -> None:
    """The ledger had the line of a look, and a trial of validation, before the policy was refused."""
    names = tuple(reversed(study.env().layout.feature_names))
    policy = trained(study, feature_names=names)
    for ask in (study.judge, study.backtest):
        with pytest.raises(CheckpointError, match="trained on other features"):
            ask(policy)
    assert not list(Ledger(study.spec.paths.ledger).entries())


@pytest.mark.parametrize("several", [False, True])
def test_an_observation_is_a_row_of_the_policys_own_layout(study: Study, several: bool) -> None:
    """A single one was an IndexError of torch's, and one that lacked its last number was answered."""
    one = trained(study)
    policy = EnsemblePolicy([one, trained(study)]) if several else one
    seen, _ = study.env().reset(seed=0)
    size = policy.layout.size
    assert np.array_equal(policy.act(seen[None].astype(np.float64)), policy.act(seen[None]))
    with pytest.raises(MarketError, match=rf"shape \({size},\), expected \(N, {size}\); .*: observation\[None\]"):
        policy.act(seen)
    with pytest.raises(MarketError, match=rf"shape \(1, {size - 1}\), expected \(N, {size}\); pass what its own"):
        policy.act(seen[None, :-1])
