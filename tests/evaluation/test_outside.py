import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import DataError
from wealtharena.evaluation import metrics, outside

DAYS = pd.bdate_range("2022-01-03", periods=300)
RETURNS = np.random.default_rng(1).normal(0.0003, 0.01, 300)


def written(folder: Path, table: pd.DataFrame, name: str = "my.csv") -> Path:
    path = folder / name
    table.to_parquet(path) if name.endswith("parquet") else table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["my.csv", "my.parquet"])
def test_returns_become_a_path_that_compounds_them(tmp_path: Path, name: str) -> None:
    path = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": RETURNS}), name))
    assert path.returns == pytest.approx(RETURNS, rel=1e-9)
    assert str(path.timestamps[1])[:10] == "2022-01-03"
    assert path.bars_per_year == pytest.approx(261, abs=2)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_a_spreadsheet_s_encodings_are_read_as_they_are_of_bars(tmp_path: Path, encoding: str, packed: bool) -> None:
    content = "Datum,Rückblick,return\n2024-01-02,,0.01\n2024-01-03,,0.02\n2024-01-04,,-0.01\n".encode(encoding)
    path = tmp_path / "mine.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert outside.read(path, "share").equity[-1] == pytest.approx(100 * 1.01 * 1.02 * 0.99)


@pytest.mark.parametrize("column", ["return", "equity"])
def test_a_week_of_sessions_is_a_week(tmp_path: Path, column: str) -> None:
    """From its first bar to its last it is four and a half days: a Sharpe ratio was a quarter too high."""
    ends = pd.bdate_range("2024-03-04", periods=5) + pd.Timedelta("9h30min")
    at = np.concatenate([(day + pd.to_timedelta(np.arange(30, 391, 30), unit="min")).to_numpy() for day in ends])
    figures = np.random.default_rng(1).normal(0.0003, 0.002, len(at))
    values = figures if column == "return" else 100 * np.cumprod(1 + figures)
    path = outside.read(
        written(tmp_path, pd.DataFrame({"date": at, column: values})), "share" if column == "return" else "auto"
    )
    assert path.bars_per_year == pytest.approx(65 * 365.25 / 7)


def test_equity_is_taken_as_it_is_and_order_does_not_matter(tmp_path: Path) -> None:
    table = pd.DataFrame({"day": DAYS, "equity": 1000 * np.cumprod(1 + RETURNS)})
    path = outside.read(written(tmp_path, table.sample(frac=1.0, random_state=0)))
    assert path.returns == pytest.approx(RETURNS[1:], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.DataFrame({"date": DAYS, "return": 100 * RETURNS}), "may be per cent"),
        (pd.DataFrame({"date": DAYS, "return": RETURNS, "equity": RETURNS}), "may mean any of return, equity"),
        (pd.DataFrame({"date": DAYS, "a": RETURNS, "b": RETURNS}), "has figures called a, b"),
        *(
            (pd.DataFrame({"date": DAYS, name: RETURNS}), f"has figures called {name}, which may be returns, a level")
            for name in ("pnl_pct", "pct_change", "log_return", "cumulative_return", "drawdown", "0")
        ),
        (pd.DataFrame({"date": DAYS, "exit": DAYS + pd.Timedelta(days=1), "return": RETURNS}), "any of date, exit"),
        (pd.DataFrame({"date": DAYS, "return": np.where(np.arange(300) % 5 < 3, 0.0, 50 * RETURNS)}), "per cent"),
        (pd.DataFrame({"date": DAYS, "return": np.where(np.arange(300) % 5 == 0, 0.9, 0.001)}), "may be per cent"),
        (
            pd.DataFrame({"date": DAYS, "return": np.where(np.arange(300) == 7, np.nan, RETURNS)}),
            "1 of 300 rows have no",
        ),
        (
            pd.DataFrame({"date": DAYS, "return": np.where(np.arange(300) == 7, np.inf, RETURNS)}),
            "1 of 300 rows have no",
        ),
        (pd.DataFrame({"date": DAYS, "equity": np.where(np.arange(300) == 7, np.nan, 5.0)}), "1 of 300 rows have no"),
        (
            pd.DataFrame({"date": ["1020-03-04", *DAYS[1:].strftime("%Y-%m-%d")], "return": RETURNS}),
            "1020|calendar",
        ),
        (pd.DataFrame({"date": DAYS, "note": "x"}), "has no column of figures"),
        (pd.DataFrame({"return": RETURNS}), "has no column of dates"),
        (pd.DataFrame({"date": [*DAYS[:299], DAYS[0]], "return": RETURNS}), "a date stands twice"),
        (pd.DataFrame({"date": DAYS[:1], "return": RETURNS[:1]}), "has 1 returns"),
        (pd.DataFrame({"date": DAYS[:0], "return": RETURNS[:0]}), "has no rows"),
        (
            pd.DataFrame({"date": DAYS, "return": np.where(np.arange(300) == 7, -1.001, 0.0)}),
            "may be per cent|loses all that there was",
        ),
    ],
)
def test_what_leaves_a_question_open_is_refused(tmp_path: Path, table: pd.DataFrame, said: str) -> None:
    with pytest.raises(DataError, match=said):
        outside.read(written(tmp_path, table))


@pytest.mark.slow
def test_a_first_row_without_a_return_begins_the_record_and_one_price_is_a_level(tmp_path: Path) -> None:
    path = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": [np.nan, *RETURNS[1:]]})))
    assert path.returns == pytest.approx(RETURNS[1:], rel=1e-9)
    price = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "Price": 0.0067 * np.cumprod(1 + RETURNS)})))
    assert price.returns == pytest.approx(RETURNS[1:], rel=1e-9)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"empty\.csv"):
        outside.read(tmp_path / "empty.csv")


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Australia/Sydney", "America/New_York", "UTC"])
@pytest.mark.parametrize("hour", [0, 10, 16])
@pytest.mark.parametrize("name", ["my.csv", "my.parquet"])
def test_a_day_is_the_date_that_is_written_whatever_its_offset(tmp_path: Path, zone: str, hour: int, name: str) -> None:
    stamped = (DAYS + pd.Timedelta(hours=hour)).tz_localize(zone)
    path = outside.read(written(tmp_path, pd.DataFrame({"date": stamped, "return": RETURNS}), name))
    np.testing.assert_array_equal(path.timestamps[1:], DAYS.to_numpy().astype("datetime64[ns]"))
    hours = pd.date_range("2022-01-03", periods=300, freq="h", tz=zone)
    path = outside.read(written(tmp_path, pd.DataFrame({"date": hours, "return": RETURNS}), name), "share")
    assert path.timestamps[1] == np.datetime64(hours[0].tz_convert(None))


@pytest.mark.parametrize(("freq", "start", "before"), [
    ("ME", "2018-02-28", "2018-01-31"), ("BME", "2018-03-30", "2018-02-28"), ("QE", "2018-03-31", "2017-12-31"),
    ("YE", "2008-12-31", "2007-12-31"), ("W-FRI", "2018-01-05", "2017-12-29"), ("MS", "2018-03-01", "2018-02-28"),
])  # fmt: skip
def test_the_first_return_began_one_step_before_by_the_calendar(
    tmp_path: Path, freq: str, start: str, before: str
) -> None:
    at = pd.date_range(start, periods=14, freq=freq)
    path = outside.read(written(tmp_path, pd.DataFrame({"date": at, "return": RETURNS[:14]})))
    assert str(path.timestamps[0])[:10] == before


@pytest.mark.parametrize("size", [0.001, 1e-6, 0.05])
def test_the_same_return_in_each_bar_has_no_finite_sharpe(tmp_path: Path, size: float) -> None:
    path = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": size})), "share")
    assert metrics.sharpe(path.returns) == np.inf
    assert metrics.sharpe(-path.returns) == -np.inf


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        outside.read(tmp_path / "none.csv")


def test_paths_stand_at_the_dates_of_the_record_or_are_refused(tmp_path: Path) -> None:
    record = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": RETURNS})))
    weekly = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS[::5], "return": RETURNS[::5]}), "weekly.csv"))
    (found,) = outside.beside([record], weekly)
    assert np.array_equal(found.timestamps, weekly.timestamps)
    at = np.maximum(np.searchsorted(record.timestamps, weekly.timestamps, side="right") - 1, 0)
    assert found.equity[-1] / found.equity[0] == pytest.approx(record.equity[at[-1]] / record.equity[at[0]])
    with pytest.raises(DataError, match="do not cover"):
        outside.beside([weekly], record)


@pytest.mark.parametrize(("freq", "cut", "said"), [
    ("B", slice(None, -20), "do not cover"), ("B", slice(None, -6), "end at"), ("B", slice(None, -1), ""), ("B", slice(None), ""),
    ("ME", slice(26, None), "begin at"), ("ME", slice(40, None), "do not cover"),
])  # fmt: skip
def test_prices_that_begin_later_end_earlier_or_pause_beside_a_record_are_refused_or_said(
    tmp_path: Path, freq: str, cut: slice, said: str
) -> None:
    """Baselines that stand still where nothing is known of them would be compared with returns that were earned."""
    prices = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS[cut], "return": RETURNS[cut]}), "prices.csv"))
    at = pd.date_range("2022-02-28", DAYS[-1], freq=freq) if freq != "B" else DAYS
    record = outside.read(written(tmp_path, pd.DataFrame({"date": at, "return": RETURNS[: len(at)]})))
    ledger = Ledger("my.csv")
    if said == "do not cover":
        with pytest.raises(DataError, match=rf"{said}.*the nearest is of"):
            outside.beside([prices], record, ledger)
        return
    outside.beside([prices, prices], record, ledger)
    assert [said in note for note in ledger.notes] == ([True] if said else [])


def test_prices_with_a_hole_are_refused_beside_a_record_without_one(tmp_path: Path) -> None:
    kept = np.r_[0:150, 170:300]
    prices = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS[kept], "return": RETURNS[kept]}), "prices.csv"))
    record = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": RETURNS})))
    with pytest.raises(DataError, match=f"the nearest is of {DAYS[149]:%Y-%m-%d}"):
        outside.beside([prices], record)


@pytest.mark.parametrize(
    ("firsts", "lasts"),
    [("MS", "ME"), ("BMS", "BME"), ("QS", "QE"), ("YS", "YE"), ("W-MON", "W-FRI")],
)
def test_returns_dated_by_the_first_of_their_period_stand_beside_its_last(
    tmp_path: Path, firsts: str, lasts: str
) -> None:
    """They stood a period early: a record that was a baseline had a correlation of -0.03 with it."""
    ends = pd.date_range("2018-01-01", periods=31, freq=lasts)
    begins = pd.date_range(ends[0] + pd.Timedelta("1D"), periods=30, freq=firsts)
    prices = outside.read(written(tmp_path, pd.DataFrame({"date": ends, "nav": 100 * np.cumprod(1 + RETURNS[:31])})))
    ledger = Ledger("my.csv")
    table = pd.DataFrame({"date": begins, "return": RETURNS[1:31]})
    record = outside.read(written(tmp_path, table), "share", ledger)
    (beside,) = outside.beside([prices], record)
    assert beside.returns == pytest.approx(RETURNS[1:31])
    assert any("dates are the first of" in one for one in ledger.notes)


def test_a_level_is_of_its_date_and_says_so_where_that_is_the_first_of_months(tmp_path: Path) -> None:
    at = pd.date_range("2018-01-01", periods=24, freq="MS")
    ledger = Ledger("my.csv")
    path = outside.read(written(tmp_path, pd.DataFrame({"date": at, "nav": np.arange(1.0, 25.0)})), "auto", ledger)
    assert (path.timestamps == at.to_numpy()).all()
    assert any("each level is taken as that of its date" in one for one in ledger.notes)


def test_monthly_prices_that_are_labelled_by_the_first_day_stand_beside_months_without_a_word(tmp_path: Path) -> None:
    firsts, lasts = (pd.date_range("2020-01-01", periods=36, freq=name) for name in ("MS", "ME"))
    prices = outside.read(written(tmp_path, pd.DataFrame({"date": firsts, "return": RETURNS[:36]}), "prices.csv"))
    record = outside.read(written(tmp_path, pd.DataFrame({"date": lasts[1:], "return": RETURNS[1:36]})))
    ledger = Ledger("my.csv")
    (found,) = outside.beside([prices], record, ledger)
    assert found.returns == pytest.approx(RETURNS[1:36])
    assert ledger.notes == []


@pytest.mark.slow
@pytest.mark.parametrize(("freq", "periods", "volatility", "mean"), [
    ("B", 500, 0.032, 0.02), ("B", 500, 0.1, 0.08), ("ME", 60, 0.15, 0.07), ("QE", 24, 0.2, 0.1), ("YE", 15, 0.25, 0.1), ("h", 3000, 0.5, 0.2),
])  # fmt: skip
def test_per_cents_are_never_taken_for_shares_nor_shares_for_per_cents(
    tmp_path: Path, freq: str, periods: int, volatility: float, mean: float
) -> None:
    """From a calm hedge of 3 % a year to a coin, daily to yearly: shares are read, per cents are asked about."""
    at = pd.date_range("2008-01-01", periods=periods, freq=freq)
    a_year = periods / ((at[-1] - at[0]).days / 365.25)
    drawn = np.random.default_rng(3).normal(size=periods)
    shares = mean / a_year + volatility / a_year**0.5 * (drawn - drawn.mean()) / drawn.std()
    path = outside.read(written(tmp_path, pd.DataFrame({"date": at, "return": shares})))
    assert path.returns == pytest.approx(shares, rel=1e-9)
    cents = written(tmp_path, pd.DataFrame({"date": at, "return": 100.0 * shares}), "cents.csv")
    with pytest.raises(DataError, match="returns_unit=percent"):
        outside.read(cents)
    assert outside.read(cents, "percent").returns == pytest.approx(shares, rel=1e-9)
    if (100.0 * shares <= -1.0).any():
        with pytest.raises(DataError, match="loses all that there was"):
            outside.read(cents, "share")


@pytest.mark.parametrize(
    ("name", "cell"), [("return", "{:.4f}%"), ("Return (%)", "{:.4f}"), ("returns in %", "{:.4f}"), ("ret", "{:.4f} %")]
)
def test_a_per_cent_sign_in_name_or_cells_says_it(tmp_path: Path, name: str, cell: str) -> None:
    table = pd.DataFrame({"date": DAYS, name: [cell.format(100 * one) for one in RETURNS]})
    assert outside.read(written(tmp_path, table)).returns == pytest.approx(RETURNS, abs=1e-6)
    with pytest.raises(DataError, match="bears a %"):
        outside.read(written(tmp_path, table), "share")


def test_decimal_commas_are_read_and_mixed_signs_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"date": DAYS, "return": [f"{one:.6f}".replace(".", ",") for one in RETURNS]})
    table.to_csv(tmp_path / "my.csv", index=False, sep=";")
    assert outside.read(tmp_path / "my.csv").returns == pytest.approx(RETURNS, abs=1e-6)
    mixed = [f"{one:.6f}" + "%" * (i % 2) for i, one in enumerate(RETURNS)]
    with pytest.raises(DataError, match="some cells of return bear a %"):
        outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": mixed})))


@pytest.mark.slow
def test_a_hole_is_said_and_is_no_time_and_steps_of_two_lengths_are_refused(tmp_path: Path) -> None:
    kept = np.r_[0:100, 200:300]
    path = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS[kept], "return": RETURNS[kept]})))
    assert path.bars_per_year == pytest.approx(261, abs=4)
    (note,) = outside.holes(path)
    assert str(DAYS[99])[:10] in note
    assert str(DAYS[200])[:10] in note
    assert not outside.holes(outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": RETURNS}))))
    mixed = DAYS[:150].append(pd.date_range(DAYS[150], periods=40, freq="ME"))
    with pytest.raises(DataError, match="steps of several lengths"):
        outside.read(written(tmp_path, pd.DataFrame({"date": mixed, "return": RETURNS[:190]})))


@pytest.mark.parametrize(("freq", "a_year"), [("ME", 12), ("BME", 12), ("MS", 12), ("QE", 4), ("6ME", 2), ("YE", 1)])
def test_a_month_that_is_left_out_is_said_and_is_no_time(tmp_path: Path, freq: str, a_year: int) -> None:
    dates = pd.date_range("2015-01-01", periods=40, freq=freq)
    whole = pd.DataFrame({"date": dates, "return": RETURNS[:40]})
    assert not outside.holes(outside.read(written(tmp_path, whole)))
    path = outside.read(written(tmp_path, whole.drop(index=whole["return"].iloc[10:30].idxmin())))
    assert len(outside.holes(path)) == 1
    assert path.bars_per_year == pytest.approx(a_year, rel=0.005)


def test_dates_that_have_not_come_are_said_and_the_month_that_runs_is_none(tmp_path: Path) -> None:
    today = pd.Timestamp.now().normalize()
    for last, told in ((today + pd.offsets.MonthEnd(0), 0), (today + pd.DateOffset(years=2), 1)):
        dates = pd.date_range(end=last + pd.offsets.MonthEnd(0), periods=40, freq="ME")
        ledger = Ledger("my.csv")
        outside.read(written(tmp_path, pd.DataFrame({"date": dates, "return": RETURNS[:40]})), "share", ledger)
        assert sum("have not come yet" in note for note in ledger.close().notes) == told


HOLE = np.r_[0:100, 200:300]  # of DAYS: those that are told


@pytest.mark.slow
def test_a_stretch_without_returns_is_no_time_of_cash_and_baselines_either(tmp_path: Path) -> None:
    record = outside.read(written(tmp_path, pd.DataFrame({"date": DAYS[HOLE], "return": RETURNS[HOLE]})))
    earned = metrics.risk_free(outside.in_time(record), 0.05)
    assert earned.sum() == pytest.approx(0.05 * len(earned) / record.bars_per_year)
    assert outside.in_time(record).timestamps[-1] == record.timestamps[-1]
    begun = DAYS[[0]] - pd.offsets.BDay()
    prices = outside.read(written(tmp_path, pd.DataFrame({"date": begun.append(DAYS), "close": 2.0 ** np.arange(301)})))
    (beside,) = outside.beside([prices], record)
    assert beside.returns == pytest.approx(np.ones(200))  # each doubles in the bar before a return, and in no hole
    paused = outside.read(
        written(tmp_path, pd.DataFrame({"date": begun.append(DAYS[HOLE]), "close": 2.0 ** np.r_[0:101, 201:301]}))
    )
    (beside,) = outside.beside([paused], record)
    assert beside.returns == pytest.approx(np.where(np.arange(200) == 100, 0.0, 1.0))


def test_a_level_goes_across_a_stretch_without_rows_and_takes_its_time(tmp_path: Path) -> None:
    table = pd.DataFrame({"date": DAYS, "equity": 100 * 1.001 ** np.arange(300)})
    whole, parted = (outside.read(written(tmp_path, table.iloc[rows])) for rows in (np.arange(300), HOLE))
    grown = (metrics.annual_return(one.returns, bars_per_year=one.bars_per_year) for one in (whole, parted))
    assert next(grown) == pytest.approx(next(grown))
    assert metrics.risk_free(outside.in_time(parted), 0.05).sum() == pytest.approx(metrics.risk_free(whole, 0.05).sum())
    assert "the return of one bar" in outside.holes(parted)[0]
    (beside,) = outside.beside([whole], parted)
    assert beside.equity == pytest.approx(parted.equity)


@pytest.mark.parametrize(("beside", "said"), [({}, False), ({"benchmark": RETURNS}, True)])
def test_of_several_columns_the_one_that_was_taken_is_named(tmp_path: Path, beside: dict, said: bool) -> None:
    ledger = Ledger("my.csv")
    outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, "return": RETURNS, **beside})), ledger=ledger)
    assert ("of its 3 columns the figures are those of return" in " ".join(ledger.notes)) is said


@pytest.mark.parametrize(
    ("column", "values"),
    [("return", np.full(300, 1e90)), ("return", [0.01] * 299 + [1e200]), ("equity", [1.0] * 150 + [1e-300] + [1.0] * 149)],
)  # fmt: skip
def test_what_grows_beyond_every_number_is_refused(tmp_path: Path, column: str, values) -> None:
    """The page of it ended in a traceback, or had a Sharpe ratio of 0 behind a warning."""
    unit = "share" if column == "return" else "auto"
    with pytest.raises(DataError, match="beyond every number"):
        outside.read(written(tmp_path, pd.DataFrame({"date": DAYS, column: values})), unit)
