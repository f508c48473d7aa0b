from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose, with_data
from wealtharena import features
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import align, cache, load, load_panel, loading, provider, repeat_overrides
from wealtharena.data.bars import Bars, RawBars, raw_table
from wealtharena.data.quality.report import Finding, QualityReport, no_changes
from wealtharena.data.store import Store, Window
from wealtharena.errors import ConfigError, DataError, ProviderError, WealthArenaError
from wealtharena.prediction.bars import BarTable


@pytest.fixture
def stored(tmp_path: Path) -> ExperimentSpec:
    spec = with_data(compose(["asset=crypto", "data=store"]), root=str(tmp_path), symbols=("BTC-USD", "ETH-USD"))
    _write(spec, "BTC-USD", 1)
    _write(spec, "ETH-USD", 2)
    return spec


def _write(spec: ExperimentSpec, symbol: str, seed: int, *, bars: int = 300, found: tuple[Finding, ...] = ()) -> None:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, 300)))
    days = pd.date_range("2023-01-01", periods=300, freq="D", tz="UTC")
    table = raw_table(pd.DataFrame({"timestamp": days, "close": close, "volume": 1e6}))
    table = table.iloc[:bars]
    raw = RawBars("yahoo", symbol, "1d", table, "USD", "account", "splits", datetime(2024, 1, 1, tzinfo=UTC))
    report = QualityReport("yahoo", symbol, "1d", bars, bars, found).to_dict()
    Store(spec.data.root).write(spec.asset.name, Bars.from_raw(raw), raw=raw, asked=Window(None, None), quality=report)


def test_an_unchanged_request_is_answered_from_disk_with_the_same_panel(
    stored: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(stored.asset, stored.data, seed=0)
    monkeypatch.setattr(loading, "align", None)  # would fail if it were asked again
    second = load(stored.asset, stored.data, seed=0)
    assert second.fingerprint == first.fingerprint
    assert second.notes == first.notes
    assert second.symbols == first.symbols
    with pytest.raises(ValueError, match="read-only"):
        second.close[0, 0] = 1.0


def test_a_changed_store_or_request_is_never_answered_from_disk(stored: ExperimentSpec) -> None:
    first = load(stored.asset, stored.data, seed=0)
    _write(stored, "ETH-USD", 3)
    changed = load(stored.asset, stored.data, seed=0)
    assert changed.fingerprint != first.fingerprint
    np.testing.assert_array_equal(changed.close[:, 0], first.close[:, 0])
    window = stored.data.model_copy(update={"start": datetime(2023, 3, 1).date()})
    assert load(stored.asset, window, seed=0).bars == first.bars - 59


def test_a_damaged_cache_is_made_again(stored: ExperimentSpec) -> None:
    first = load(stored.asset, stored.data, seed=0)
    place = loading.cache_path("store", stored.asset, stored.data)
    assert place is not None
    place.write_bytes(place.read_bytes()[:1000])
    assert load(stored.asset, stored.data, seed=0).fingerprint == first.fingerprint


def test_a_cache_that_cannot_be_written_stops_nothing(stored: ExperimentSpec) -> None:
    (Path(stored.data.root) / "cache").write_text("a file where the folder should be")
    panel = load(stored.asset, stored.data, seed=0)
    made = features.load(stored.asset, stored.data, stored.features, seed=0)
    assert made.panel.fingerprint == features.compute(panel, stored.features).panel.fingerprint


def test_features_are_kept_under_the_content_that_they_were_made_of(stored: ExperimentSpec, tmp_path: Path) -> None:
    panel = load(stored.asset, stored.data, seed=0)
    folder = tmp_path / "cache"
    first = features.compute(panel, stored.features, folder=folder)
    again = features.compute(panel, stored.features, folder=folder)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.names == again.names
    assert first.panel.fingerprint == again.panel.fingerprint
    assert len(list(folder.glob("*.features.npz"))) == 1
    shorter = stored.features.model_copy(update={"names": ("log_return_1",)})
    assert features.compute(panel, shorter, folder=folder).values.shape[-1] == 1


def test_only_the_newest_entries_of_a_cache_are_kept(tmp_path: Path) -> None:
    for i in range(15):
        cache.save_arrays(tmp_path / f"{i}.panel.npz", {"a": np.arange(i)}, {"i": i})
    assert len(list(tmp_path.iterdir())) <= 12
    assert cache.load_arrays(tmp_path / "14.panel.npz") is not None


def test_bars_of_the_simulator_in_a_store_stay_marked_as_simulated(stored: ExperimentSpec) -> None:
    bars = Store(stored.data.root).read("crypto", "BTC-USD", "1d")
    made = Bars(**{**bars.__dict__, "provider": "simulated"})
    raw = RawBars(
        **{k: v for k, v in made.__dict__.items() if k not in ("notes", "repairs")}
        | {"table": made.table.drop(columns="tradable")}
    )
    Store(stored.data.root).write("crypto", made, raw=raw, asked=Window(None, None), quality={})
    assert load(stored.asset, stored.data, seed=0).simulated


def test_a_symbol_that_the_store_lacks_is_named_with_the_command(stored: ExperimentSpec) -> None:
    data = stored.data.model_copy(update={"symbols": ("BTC-USD", "XRP-USD")})
    with pytest.raises(DataError, match=r"XRP-USD.*task=collect asset=crypto"):
        load(stored.asset, data, seed=0)
    shutil.rmtree(stored.data.root)
    with pytest.raises(DataError, match="lacks 2 of 2"):
        load(stored.asset, stored.data, seed=0)


def test_an_unknown_source_is_a_configuration_error(stored: ExperimentSpec) -> None:
    with pytest.raises(ConfigError, match=r"data\.source=bloomberg"):
        load(stored.asset, stored.data.model_copy(update={"source": "bloomberg"}), seed=0)


def test_the_repeating_command_names_the_file_and_the_dates(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    days = pd.date_range("2023-01-01", periods=50, freq="D")
    pd.DataFrame({"date": days, "symbol": "BTC-USD", "close": np.linspace(1, 2, 50)}).to_csv(path, index=False)
    spec = with_data(compose(["asset=crypto", "data=files"]), path=str(path))
    panel = load(spec.asset, spec.data, seed=0)
    assert repeat_overrides(panel, spec.data) == f"data=files data.path={path} data.end=2023-02-19"


@pytest.mark.slow
def test_the_universe_says_when_it_was_chosen_and_unadjusted_rolls_are_said(forex: ExperimentSpec) -> None:
    assert any("survivors" in note for note in load(forex.asset, forex.data, seed=0).notes)
    assert any("carry" in note and "left out" in note for note in load(forex.asset, forex.data, seed=0).notes)
    flat = compose(["asset=forex", "data=simulated", "asset.costs.carry_bps_per_year=25"])
    assert any("flat 25 bps" in note for note in load(flat.asset, flat.data, seed=0).notes)
    rolls = compose(["asset=commodities"]).asset
    notes = loading.asset_notes(rolls, rolls.universe.symbols, simulated=False)
    assert any("not adjusted for rolls" in note for note in notes)


@pytest.mark.slow
def test_findings_of_the_quality_room_reach_the_panel(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    days = pd.date_range("2023-01-01", periods=80, freq="D")
    frame = pd.DataFrame({"date": days, "symbol": "BTC-USD", "close": np.linspace(1, 2, 80)})
    pd.concat([frame, frame.iloc[[5]]]).to_csv(path, index=False)
    spec = with_data(compose(["asset=crypto", "data=files"]), path=str(path))
    panel = load(spec.asset, spec.data, seed=0)
    assert panel.bars == 80
    assert any("duplicates: 1 rows of 1 symbols (repair)" in note for note in panel.notes)


@pytest.mark.slow
def test_the_room_costs_nothing_to_import() -> None:
    import subprocess
    import sys

    code = "import sys, wealtharena.data, wealtharena.features, wealtharena.data.panel; print('pandas' in sys.modules, 'talib' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["False", "False"]
    assert callable(align.align)


@pytest.mark.slow
def test_the_repeating_command_gives_the_same_panel_from_a_panel_without_its_warm_up(forex: ExperimentSpec) -> None:
    auto = compose(["asset=forex", "data=auto", "data.root=nowhere", "data.end=2010-12-31"])
    made = features.compute(load(auto.asset, auto.data, seed=0), auto.features)
    command = repeat_overrides(made.panel, auto.data)
    assert command == "data=ecb data.end=2010-12-31"
    again = compose(["asset=forex", *command.split()])
    repeated = features.compute(load(again.asset, again.data, seed=0), again.features)
    assert repeated.panel.fingerprint == made.panel.fingerprint


def test_a_refusal_of_the_whole_run_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = compose(["asset=crypto", "data=alpha_vantage"])  # no key is set in tests
    asked: list[str] = []
    real = loading.make_provider

    def watched(source: str, *arguments: Any, **names: Any) -> Any:
        made = real(source, *arguments, **names)
        fetch = made.fetch
        monkeypatch.setattr(made, "fetch", lambda symbol, *rest: (asked.append(symbol), fetch(symbol, *rest))[1])
        return made

    monkeypatch.setattr(loading, "make_provider", watched)
    with pytest.raises(ProviderError, match="key"):
        load(spec.asset, spec.data, seed=0)
    assert asked == ["BTC-USD"]


@pytest.mark.slow
def test_auto_takes_the_manners_of_the_provider_it_chose() -> None:
    spec = compose(["asset=crypto", "data=auto"])
    own = compose(["data=coingecko"]).data.manners
    coingecko = provider.find("coingecko")
    assert provider.with_manners(coingecko, spec.data).manners == own
    assert provider.with_manners(provider.find("ecb"), spec.data) is spec.data


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed", ["base_url=http://127.0.0.1:1", "timeout_seconds=60", "requests_per_run=7", "key_env=MY_KEY", "attempts=1"]
)
def test_manners_that_were_asked_for_hold_whichever_source_auto_takes(typed: str) -> None:
    data = compose(["asset=crypto", "data=auto", f"data.manners.{typed}"]).data
    key = typed.partition("=")[0]
    for name in ("coingecko", "yahoo", "alpha_vantage"):
        taken = provider.with_manners(provider.find(name), data).manners
        own = compose([f"data={name}"]).data.manners
        assert getattr(taken, key) == getattr(data.manners, key)
        assert taken == own.model_copy(update={key: getattr(data.manners, key)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "chosen"),
    [
        (["asset=etf", "data=simulated"], ""),
        (["asset=commodities", "data=simulated"], ""),
        (["asset=forex", "data=ecb", "data.start=2020-01-01"], "universe fx_majors was chosen as of"),
        (
            ["asset=forex", "data=ecb", "data.start=2020-01-01", "data.symbols=[EURUSD,EURSEK]"],
            "universe fx_majors (EURUSD) was chosen as of",
        ),
        (["asset=forex", "data=ecb", "data.start=2020-01-01", "data.symbols=[EURSEK,EURNOK]"], ""),
    ],
)
def test_the_universes_date_is_said_of_its_members_alone(overrides: list[str], chosen: str) -> None:
    spec = compose(overrides)
    notes = load(spec.asset, spec.data, seed=0).notes
    said = [note for note in notes if "was chosen as of" in note]
    assert [note.startswith(chosen) for note in said] == ([True] if chosen else [])
    assert not any("rolls" in note for note in notes)


def test_a_panel_kept_at_other_rates_of_the_ecb_is_not_taken(
    stored: ExperimentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = loading.cache_path("store", stored.asset, stored.data)
    other = tmp_path / "rates.zip"
    other.write_bytes(b"an update")
    monkeypatch.setattr(loading.currency, "_rates_file", lambda: other)
    after = loading.cache_path("store", stored.asset, stored.data)
    assert after != before


def test_bars_that_end_long_before_the_end_asked_for_are_said(stored: ExperimentSpec) -> None:
    last = load(stored.asset, stored.data, seed=0).timestamps[-1].astype("datetime64[D]").item()
    for days, said in ((0, False), (5, False), (100, True)):
        panel = load(stored.asset, stored.data.model_copy(update={"end": last + timedelta(days=days)}), seed=0)
        assert any(f"the bars end on {last}, {days} days before" in note for note in panel.notes) is said


@pytest.mark.parametrize(("bars", "said"), [(288, False), (287, True)])
def test_a_symbol_whose_bars_end_long_before_those_of_others_is_said(
    stored: ExperimentSpec, bars: int, said: bool
) -> None:
    _write(stored, "BTC-USD", 1, bars=bars)
    panel = load(stored.asset, stored.data, seed=0)
    assert any("bars end early: BTC-USD 2023-10-14, while others go on to 2023-10-27" in n for n in panel.notes) is said


def test_what_could_not_be_collected_since_is_said_until_it_is(stored: ExperimentSpec) -> None:
    def notes() -> tuple[str, ...]:
        return load(stored.asset, stored.data, seed=0).notes

    def refuse(at: datetime) -> None:
        Store(stored.data.root).refuse("crypto", "BTC-USD", "1d", provider="yahoo", reason="does not know it", at=at)

    told = "collecting has failed since then of BTC-USD (yahoo: does not know it)"
    for at in (datetime(2023, 12, 31, tzinfo=UTC), datetime(2024, 1, 1, 18, tzinfo=UTC)):
        refuse(at)  # before the bars were fetched, and on the same day
        assert told not in notes()
    refuse(datetime(2024, 1, 9, tzinfo=UTC))
    assert told in notes()
    _write(stored, "BTC-USD", 1)
    assert told not in notes()


def test_findings_of_the_quality_room_are_said_of_stored_bars_too(stored: ExperimentSpec) -> None:
    found = Finding("spikes", "repair", 2, "2023-01-05", "2023-02-05", "", no_changes())
    _write(stored, "BTC-USD", 1, found=(found,))
    _write(stored, "ETH-USD", 2, found=(found, replace(found, kind="missing_sessions", action="warn", rows=1)))
    told = (
        "quality of the stored bars: spikes: 4 rows of 2 symbols (repair); missing_sessions: 1 rows of 1 symbols (warn)"
    )
    assert told in load(stored.asset, stored.data, seed=0).notes


def test_a_store_that_nobody_collects_for_any_more_is_said_by_todays_date(
    stored: ExperimentSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = date(2023, 10, 27)
    for days, end, said in ((12, None, False), (13, None, True), (300, None, True), (300, last, False)):
        monkeypatch.setattr(
            provider, "now", lambda days=days: datetime(2023, 10, 27, tzinfo=UTC) + timedelta(days=days)
        )
        notes = load(stored.asset, stored.data.model_copy(update={"end": end}), seed=0).notes
        assert any(f"the stored bars end on {last}, {days} days ago; " in note for note in notes) is said


def test_a_table_of_another_library_is_called_by_its_library_with_the_way_to_pandas() -> None:
    """It was a DataFrame and no table, and a pandas DataFrame was to be passed."""
    theirs = type("DataFrame", (), {"__module__": "polars.dataframe.frame", "to_pandas": lambda self: None})()
    told = r"are a DataFrame of polars, not a table of pandas; pass a pandas DataFrame, such as bars\.to_pandas\(\)$"
    for take in (lambda bars: load_panel(bars, asset="crypto"), BarTable.from_frame):
        with pytest.raises(WealthArenaError, match=told):
            take(theirs)
        with pytest.raises(WealthArenaError, match=r"are a list, not a table of pandas; pass a pandas DataFrame$"):
            take([1, 2])


def test_tables_by_symbol_and_a_series_are_told_how_to_become_one_table() -> None:
    with pytest.raises(DataError, match=r'a dict, .* such as pd\.concat\(bars, names=\["symbol"\]\)'):
        load_panel({"AAA-USD": pd.DataFrame()}, asset="crypto")
    with pytest.raises(DataError, match=r'a Series of pandas, .* such as bars\.to_frame\("close"\)'):
        load_panel(pd.Series([1.0]), asset="crypto")
