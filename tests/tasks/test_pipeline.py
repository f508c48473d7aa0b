"""What is said against believing a judgement, from the data alone."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from tests.envs.markets import random_panel
from wealtharena.agents import memory
from wealtharena.config import compose
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import ConfigError, DataError
from wealtharena.evaluation.splits import make_folds
from wealtharena.tasks import dispatch
from wealtharena.tasks.pipeline import (
    describe,
    doubts,
    hindsight,
    looks_back,
    notes,
    prepare,
    short,
    struck_off_and_back,
    too_small,
)
from wealtharena.tasks.train import require_room


@pytest.fixture(scope="module")
def stocks():
    return compose(["asset=stocks"]).asset


def test_members_chosen_after_the_window_began_are_hindsight(stocks):
    members, chosen = stocks.universe.symbols[:3], stocks.universe.universe_as_of
    assert hindsight(stocks, members, "2099-01-01") is None
    assert hindsight(stocks, members, chosen) is None
    assert chosen in str(hindsight(stocks, members, "2019-01-01"))


def test_symbols_of_nobodys_list_are_hindsight_at_any_date(stocks):
    assert "ENRNQ is no member" in str(hindsight(stocks, [*stocks.universe.symbols, "ENRNQ"], "2099-01-01"))


def test_a_symbol_that_a_run_adds_to_a_universe_was_not_chosen_on_its_date(stocks):
    own = compose(["asset=stocks", f"universe.symbols=[{stocks.universe.symbols[0]},ENRNQ]"]).asset
    assert hindsight(own, own.universe.symbols[:1], "2099-01-01") is None
    assert "ENRNQ is no member" in str(hindsight(own, own.universe.symbols, "2099-01-01"))


def test_a_list_is_no_older_than_the_file_of_its_name(stocks):
    """A run may say that it was drawn up later, not earlier."""
    for said, chosen in (("2001-01-01", stocks.universe.universe_as_of), ("2098-01-01", "2098-01-01")):
        own = compose(["asset=stocks", f"universe.universe_as_of={said}"]).asset
        assert f"those of {chosen}," in str(hindsight(own, own.universe.symbols, "2019-01-01"))
    own = compose(["asset=stocks", "universe.name=mine", "universe.universe_as_of=2001-01-01"]).asset
    assert hindsight(own, own.universe.symbols, "2019-01-01") is None


@pytest.mark.parametrize("text", ["soon", "02/01/2025", "2025-13-01", "20250102", "1. 2. 2025"])
def test_the_date_of_a_universe_is_a_day_as_dates_are_written(text):
    with pytest.raises(ConfigError, match="universe_as_of"):
        compose(["asset=stocks", f"universe.universe_as_of='{text}'"])


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        ("01.11.2024", "2024-11-20", r"mine\.0=01\.11\.2024: must be a date, written as"),
        ("2024-11", "2024-12", r"mine\.0=2024-11: must be a date"),
        ("2024-11-31", "2024-12-05", r"mine\.0=2024-11-31: day is out of range"),
        ("2024-12-01", "2024-11-01", "must be a first and a last date, in this order"),
    ],
)
def test_a_window_of_stress_is_of_two_days_in_their_order(first, last, why):
    with pytest.raises(ConfigError, match=why):
        compose([f"+evaluation.stress.windows.mine=['{first}','{last}']"])


def test_a_cost_that_pays_is_no_stress():
    with pytest.raises(ConfigError, match=r"cost_factors\.0=-1 must be at least 0"):
        compose(["evaluation.stress.cost_factors=[-1]"])


@pytest.mark.parametrize("market", ["forex", "commodities"])
def test_currencies_and_futures_are_no_survivors(market):
    assert hindsight(compose([f"asset={market}"]).asset, ["XAUUSD"], "1990-01-01") is None


def test_orders_that_cost_nothing_are_said():
    panel = random_panel(np.random.default_rng(0), bars=60)
    said = [" ".join(notes(compose(words), panel)) for words in ((), ("experiment=frictionless",))]
    assert ["Orders cost next to nothing" in words for words in said] == [False, True]


@pytest.mark.slow
def test_a_market_that_is_kinder_than_it_ships_is_said():
    panel = random_panel(np.random.default_rng(0), bars=60)
    words = (
        "asset=crypto",
        "asset.costs.commission_bps=1",
        "asset.limits.participation=0.5",
        "asset.costs.half_spread_bps=3",
    )
    said = "The market is kinder than it ships: asset.costs.commission_bps 1 (8), asset.limits.participation 0.5 (0.1)."
    assert said in notes(compose(words), panel)
    lent = "The market is kinder than it ships: asset.instrument.margin_futures true (false)."
    assert lent in notes(compose(["asset=etf", "asset.instrument.margin_futures=true"]), panel), "leverage for nothing"
    never = "The market is kinder than it ships: asset.limits.delisting_bars 9999 (30)."
    assert never in notes(compose(["asset=stocks", "asset.limits.delisting_bars=9999"]), panel), (
        "no haircut for anybody"
    )
    for asset in ("stocks", "forex", "crypto", "etf", "commodities"):
        assert not any("kinder" in note for note in notes(compose([f"asset={asset}"]), panel)), asset


@pytest.mark.parametrize(("rolls", "said"), [("adjusted", True), ("none", True), ("unadjusted", False)])
def test_rolls_that_a_person_calls_adjusted_are_said_to_be_unchecked(rolls, said):
    """The rule that holds back unadjusted rolls goes by this word alone."""
    panel = replace(random_panel(np.random.default_rng(0), bars=60), simulated=False)
    found = notes(compose(["asset=commodities", f"asset.instrument.rolls={rolls}"]), panel)
    assert any("nothing has checked it" in note for note in found) is said


@pytest.mark.parametrize(
    ("benchmark", "played", "said"),
    [
        ("XYZ", "[benchmark]", True),
        ("S1", "[benchmark]", False),
        ("null", "[benchmark]", False),
        ("XYZ", "[cash]", False),
    ],
)
def test_a_benchmark_that_is_no_symbol_here_is_said(benchmark, played, said):
    panel = random_panel(np.random.default_rng(0), bars=60)
    found = notes(compose([f"asset.benchmark={benchmark}", f"evaluation.baselines={played}"]), panel)
    assert any("no bars of XYZ are among these symbols" in note for note in found) is said


@pytest.mark.parametrize(
    ("words", "bars", "said"),
    [
        ((), 1000, []),
        (("split.test_share=0.45", "split.validation_share=0.54"), 500, ["Only 3 bars to train on"]),
        ((), 300, ["Only 45 bars to choose a checkpoint by"]),
        (
            ("split=cpcv", "split.folds=6", "split.test_folds=5", "split.embargo_bars=0"),
            300,
            ["Only 24 bars to train on", "Only 23 bars to choose a checkpoint by"],
        ),
    ],
)
def test_next_to_no_bars_to_train_on_or_to_choose_by_are_said(words, bars, said):
    found = short(make_folds(compose(words).split, bars))
    assert [one.partition(":")[0] for one in found] == said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("env.min_trade_weight=0.02",), True),  # of ten symbols a fifth of nine tenths of a tenth is asked for
        (("env.min_trade_weight=0.018",), False),
        (("env.min_trade_weight=0.02", "env.trade_rate=1"), False),
        (("env.min_trade_weight=0.02", "env.action=weights"), False),
    ],
)
def test_a_least_order_that_no_order_of_a_tilt_reaches_is_told(words, told):
    said = too_small(compose(["asset=etf", *words]), 10)
    assert ("more than the 0.018 that" in said) == told == bool(said)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("split=cpcv",), 0),  # 60 bars, as the default features look back
        (("split=cpcv", "features=compact"), 252),
        (("split=cpcv", "features=compact", "split.embargo_bars=250"), 252),
        (("split=cpcv", "features=compact", "split.embargo_bars=251"), 0),  # and one that is purged
        (("split=cpcv", "split.embargo_bars=10"), 60),
        (("split=walk_forward", "features=compact"), 0),  # nothing is trained on behind a test
    ],
)
def test_an_embargo_that_features_look_over_is_told_with_the_bars_that_they_look_back(words, told):
    spec = compose(["asset=etf", *words])
    (said,) = looks_back(spec, spec.features.names) or ("",)
    assert (f"Set split.embargo_bars={told}." in said) if told else not said


def test_the_data_block_tells_the_leaks_and_the_share_that_trades_to_the_end():
    panel = random_panel(np.random.default_rng(0), bars=60, assets=4)
    close = panel.close.copy()
    close[-30:, 0] = np.nan
    close[-5:, 1] = np.nan  # a halt
    about = describe(replace(panel, close=close, leaks=("close of S0 knows the next bar",)), currency="USD")
    assert about["survivors"] == 0.75
    assert about["leaks"] == ["close of S0 knows the next bar"]


@pytest.mark.parametrize(
    ("last", "simulated", "told"),
    [(date(2020, 1, 31), False, False), (date(2020, 2, 1), False, True), (date(2021, 1, 1), True, False)],
)
def test_a_search_that_saw_bars_of_the_test_window_speaks_against_it(last, simulated, told):
    spec = compose([])
    found = spec.zoo.model_copy(update={"study": "zoo_a", "dates": (date(2010, 1, 1), last)})
    about = {"leaks": [], "survivors": 1.0, "simulated": simulated, "symbols": spec.asset.universe.symbols}
    stamps = np.datetime64("2020-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D")
    prepared = SimpleNamespace(
        about=about, sealed=SimpleNamespace(timestamps=stamps), uncharged=None, faults=(), notes=()
    )
    said = doubts(spec.model_copy(update={"zoo": found}), prepared, first_row=31)["searched"]
    assert ("zoo_a" in (said or "")) is told


@pytest.mark.parametrize(
    ("typed", "simulated", "told"),
    [
        ((), False, ()),
        (("data.quality.leak_floor=0.1", "data.quality.leak_ceiling=0.2"), False, ()),
        (("data.quality.leak_floor=0.99",), False, ("they were asked by looser limits than ship, leak_floor 0.99 (0.17)",)),
        (("data.quality.leak_ceiling=0.9", "data.quality.leak_correlation=0.9"), True, ()),
        (("data.macro.series=[UNRATE]", "data.macro.lag_days.UNRATE=120", "data.macro.lag_days.DFF=0"), False, ()),
        (("data.macro.series=[UNRATE]", "data.macro.lag_days.UNRATE=0"), False,
         ("UNRATE may be used before it was published, by data.macro.lag_days.UNRATE 0 (100)",)),
        (("data.macro.series=[MINE]", "data.macro.default_lag_days=20"), False, ()),
        (("data.macro.series=[MINE]", "data.macro.default_lag_days=0"), False,
         ("MINE may be used before it was published, by data.macro.lag_days.MINE 0 (15)",)),
    ],
)  # fmt: skip
def test_a_leak_test_by_looser_limits_than_ship_says_so(typed, simulated, told):
    spec = compose([*typed])
    about = {"leaks": [], "survivors": 1.0, "simulated": simulated, "symbols": spec.asset.universe.symbols}
    stamps = np.datetime64("2020-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D")
    prepared = SimpleNamespace(
        about=about, sealed=SimpleNamespace(timestamps=stamps), uncharged=None, faults=(), notes=()
    )
    assert doubts(spec, prepared, first_row=31)["leaks"] == told


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["task=train", "sweep=ppo", "train.test=false"])
def test_what_is_too_short_to_be_audited_is_refused_before_it_is_trained(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = [asked, "env.window=50", "data=simulated", "data.simulator.bars=120", "universe.max_symbols=2"]
    monkeypatch.setattr("wealtharena.tasks.sweep.job_overrides", lambda: typed)
    with pytest.raises(DataError, match="slowest feature needs; an audit of them for look-ahead needs"):
        dispatch(compose(typed))
    (folder,) = tmp_path.glob("outputs/*/*")
    assert {path.name for path in folder.iterdir()} <= {".lock", "run.json"}


@pytest.mark.slow
def test_a_window_that_no_training_segment_holds_is_refused_and_a_shorter_segment_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = ["asset=crypto", "data=simulated", "universe.max_symbols=2", "features.names=[log_return_1]"]
    with pytest.raises(DataError, match=r"239 bars to train on leave no step for env\.window=260"):
        dispatch(compose([*typed, "data.simulator.bars=372", "env.window=260"]))
    short = ["split=cpcv", "env.window=50", "data.simulator.bars=500", "evaluation.bootstrap_draws=200"]
    quick = [
        "train.env_steps=64",
        "algo.rollout_steps=64",
        "algo.minibatch=64",
        "tracking=quiet",
        "tracking.report=false",
    ]
    assert dispatch(compose([*typed, *short, *quick])) == 0


@pytest.mark.slow
def test_what_has_no_room_in_memory_is_refused_before_a_file_of_training_is_made(tmp_path, monkeypatch):
    """A folder with no more than run.json is removed by whoever started the job."""
    monkeypatch.chdir(tmp_path)
    wide = ["data=simulated", "data.simulator.bars=400", "universe.max_symbols=2", "model.hidden=[9000000,9000000]"]
    with pytest.raises(ConfigError, match="GiB of memory for algo=ppo"):
        dispatch(compose(wide))
    (folder,) = tmp_path.glob("outputs/*/*")
    assert {path.name for path in folder.iterdir()} <= {".lock", "run.json"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "why"),
    [
        (
            ["asset=forex", "evaluation.verdict.beats=[buy_and_hold,benchmark]"],
            r"evaluation.verdict.beats=benchmark: this class has no benchmark \(asset.benchmark=null\)",
        ),
        (
            ["asset=etf", "universe.symbols=[QQQ,TLT]", "evaluation.verdict.beats=[benchmark]"],
            "evaluation.verdict.beats=benchmark: there are no bars of the benchmark SPY",
        ),
        (["asset=forex", "algo=bc", "algo.record=benchmark"], "algo.record=benchmark: this class has no benchmark"),
        (
            ["asset=forex", "task=backtest", "backtest.baseline=benchmark"],
            "backtest.baseline=benchmark: this class has",
        ),
    ],
)
def test_a_benchmark_that_is_not_there_is_refused_before_a_window_is_opened(typed, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=why):
        dispatch(compose([*typed, "data=simulated", "data.simulator.bars=400", "universe.max_symbols=2"]))
    assert not [*tmp_path.rglob("ledger.jsonl")], "the window stayed closed"


def test_a_symbol_that_is_struck_off_while_its_exchange_rests_is_told_of():
    """A holiday of Tokyo's is forty hours of New York's: shares of Tokyo were closed 30 % below their price without a word."""
    panel = random_panel(np.random.default_rng(0), bars=120, assets=3)
    close = panel.close.copy()
    close[40:80, 0] = np.nan  # rests, and comes back
    close[:50, 1] = np.nan  # is listed late
    close[60:, 2] = np.nan  # is delisted
    panel = replace(panel, close=close)
    spec = compose(["asset=stocks"])
    said = struck_off_and_back(spec, panel)
    assert said in notes(spec, panel)
    assert said.startswith(f"{panel.symbols[0]}: struck off once, on {str(panel.timestamps[69])[:10]}, after 30 bars")
    assert "closed 30% below" in said
    assert said.endswith("set asset.limits.delisting_bars=41 or more.")
    assert not struck_off_and_back(compose(["asset=stocks", "asset.limits.delisting_bars=41"]), panel)


@pytest.mark.slow
def test_a_walk_forward_whose_last_fold_does_not_fit_the_machine_is_refused_before_its_first(monkeypatch):
    market = ("asset=crypto", "data=simulated", "data.simulator.bars=600", "data.symbols=[BTC-USD]")
    spec = compose([*market, "features.names=[log_return_1]", "algo=bc", "algo.passes=64", "split=walk_forward"])
    prepared = prepare(spec)
    first, last = (prepared.sealed.training(fold).features for fold in (0, 3))
    layout = ObservationLayout(first.panel.symbols, first.names, spec.env.window)
    small, large = (memory.needed(spec, layout, seen.bars).whole for seen in (first, last))
    monkeypatch.setattr(memory, "free_bytes", lambda: 2.0 * large)
    monkeypatch.setattr(memory, "usable_bytes", lambda: 1.01 * large / memory._LEFT)
    require_room(spec, prepared)
    monkeypatch.setattr(memory, "usable_bytes", lambda: (small + large) / 2.0 / memory._LEFT)
    with pytest.raises(ConfigError, match="observations of 1 symbols, held at once"):
        require_room(spec, prepared)
