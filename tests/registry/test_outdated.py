"""A verdict is a word of its day: what the ledger learned of the window since is asked for before production."""

from pathlib import Path

import pytest

from tests.evaluation.test_trials import look
from tests.registry.shelf import AGENT, SYMBOLS, save
from wealtharena.errors import FirewallError, PromotionError
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.registry import ModelCheckpoint, promote
from wealtharena.registry.gate import Clearance

OWN = "0123456789abcdef"  # the configuration of the shelf's versions
YEAR = Window("f", (("2022-01-01", "2022-12-31"),), SYMBOLS, "1d", simulated=False)
OTHER = Window("g", (("2021-01-01", "2021-12-31"),), SYMBOLS, "1d", simulated=False)


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return ModelCheckpoint(tmp_path / "checkpoints")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def a_group_of_three(store: ModelCheckpoint, ledger: Ledger, **changes: object) -> None:
    for seed in range(3):
        look(ledger, f"r{seed}", OWN, YEAR, sharpe=1.0 + seed, agent=AGENT, seed=seed)
    runs = [f"r{seed}" for seed in range(3)]
    save(store, "r1-judged", verdict="promotable", evidence={"trials": 1}, judged_with=runs, **changes)


def _another_configuration(ledger: Ledger) -> None:
    look(ledger, "x", "another", YEAR, sharpe=0.1, agent=AGENT, seed=0)


def _a_fourth_seed(ledger: Ledger) -> None:
    look(ledger, "r3", OWN, YEAR, sharpe=-1.0, agent=AGENT, seed=3)


def _a_search(ledger: Ledger) -> None:
    for trial in range(4):
        ledger.record_trial(RunIdentity("s", f"t{trial}", AGENT, "sweep"), window=YEAR, sharpe=0.2)


@pytest.mark.parametrize(
    ("since", "said"),
    [
        (_another_configuration, "2 configurations tried, 2 in all, of which it counted 1;"),
        (_a_fourth_seed, "1 configuration tried and 1 run left out, 2 in all, of which it counted 1;"),
        (_a_search, "5 configurations tried, 5 in all, of which it counted 1;"),
    ],
)
def test_a_verdict_from_before_more_was_tried_is_not_for_production(store, ledger, since, said):
    a_group_of_three(store, ledger)
    (row,) = store.list_checkpoints(AGENT, ledger=ledger)
    assert row["verdict"] == "promotable"
    assert "held" not in row
    since(ledger)
    (row,) = store.list_checkpoints(AGENT, ledger=ledger)
    assert row["verdict"] == "unproven"
    assert said in row["held"]
    with pytest.raises(PromotionError, match=said):
        promote(store, AGENT, "r1-judged", stage="production", ledger=ledger)
    pointer, clearance = promote(store, AGENT, "r1-judged", ledger=ledger)
    assert (clearance.stage, pointer.verdict) == ("paper", "unproven")
    assert "it is promotable" not in clearance.reasons, "what speaks for it is no reason against it"
    _, clearance = promote(store, AGENT, "r1-judged", force_reason="none of them was near", ledger=ledger)
    assert (clearance.stage, clearance.forced) == ("production", True)


def _another_market(ledger: Ledger) -> None:
    look(ledger, "x", "another", OTHER, sharpe=0.1, agent=AGENT, seed=0)


def _the_same_again(ledger: Ledger) -> None:
    look(ledger, "r0 again", OWN, YEAR, sharpe=1.0, agent=AGENT, seed=0)


def _a_backtest_of_its_own(ledger: Ledger) -> None:
    ledger.record_opening(RunIdentity("b", OWN, AGENT, "backtest", 1), window=YEAR, fold=0)


@pytest.mark.parametrize("since", [lambda _: None, _another_market, _the_same_again, _a_backtest_of_its_own])
def test_what_is_no_trial_of_its_window_leaves_a_verdict_as_it_was(store, ledger, since):
    a_group_of_three(store, ledger)
    since(ledger)
    assert promote(store, AGENT, "r1-judged", ledger=ledger)[1] == Clearance("production", ())


def test_a_look_at_several_seeds_in_one_record_is_asked_in_the_same_way(store, ledger):
    who = RunIdentity("s", OWN, AGENT, "sweep", 0)
    ledger.record_opening(who, window=YEAR, fold=0)
    ledger.record_result(who, window=YEAR, sharpe=1.0, shown=[(0, 0.9), (1, 1.0), (2, 1.1)])
    save(store, "s", verdict="promotable", evidence={"trials": 1})
    assert promote(store, AGENT, "s", ledger=ledger)[1].stage == "production"
    look(ledger, "x", "another", YEAR, sharpe=0.1, agent=AGENT, seed=7)
    with pytest.raises(PromotionError, match="2 configurations tried and 1 seed of others that it lacks, 3 in all"):
        promote(store, AGENT, "s", stage="production", ledger=ledger)


@pytest.mark.parametrize("evidence", [{}, {"trials": None}, {"trials": 1}])
def test_of_what_neither_ledger_nor_verdict_knows_nothing_is_said(store, ledger, evidence):
    save(store, "elsewhere", verdict="promotable", evidence=evidence)
    _another_configuration(ledger)
    if "trials" not in evidence or evidence["trials"] is None:
        look(ledger, "elsewhere", OWN, YEAR, sharpe=1.0, agent=AGENT, seed=0)
    assert promote(store, AGENT, "elsewhere", ledger=ledger)[1].stage == "production"


def test_a_ledger_that_cannot_be_read_promotes_nothing(store, ledger):
    a_group_of_three(store, ledger)
    ledger.path.write_text("no line\n" + ledger.path.read_text())
    with pytest.raises(FirewallError, match="line 1"):
        promote(store, AGENT, "r1-judged", ledger=ledger)
