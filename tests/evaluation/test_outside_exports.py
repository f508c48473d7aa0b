"""Records of returns and levels as tools export them: each is what it was made of, or refused with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wealtharena.data.reading.settled import Ledger
from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import DataError
from wealtharena.evaluation import outside
from wealtharena.evaluation.naming import is_level, is_named, is_return

DAYS = pd.bdate_range("2022-01-03", periods=60)
RETURNS = np.random.default_rng(1).normal(0.0003, 0.01, 60).round(4)
EQUITY = np.round(10_000.0 * np.cumprod(1 + RETURNS), 2)
EARNED = EQUITY[1:] / EQUITY[:-1] - 1.0
MONTHS = pd.date_range("2018-01-31", periods=60, freq="ME")
GERMAN = ["Jan", "Feb", "Mrz", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez"]


def read(folder: Path, rows: list[str], unit: str = "auto") -> tuple[Trajectory, tuple[str, ...]]:
    (folder / "my.csv").write_text("\n".join(rows), encoding="utf-8")
    ledger = Ledger("my.csv")
    path = outside.read(folder / "my.csv", unit, ledger)
    return path, ledger.close().notes


def table(head: str, row: str, at: pd.DatetimeIndex = MONTHS) -> list[str]:
    filled = (
        row.format(d=day, m=day.month, w=GERMAN[day.month - 1], p=100 * one, e=level)
        for day, one, level in zip(at, RETURNS, EQUITY, strict=True)
    )
    return [head, *filled]


@pytest.mark.parametrize(("head", "row"), [
    ("Year,Month,Inflation,Portfolio 1 Return,Portfolio 1 Balance", '{d:%Y},{m},0.30%,{p:.2f}%,"${e:,.0f}"'),
    ("Year,Month,Return", "{d:%Y},{m},{p:.2f}%"),
    ("Year,Month,Day,Return", "{d:%Y},{m},{d.day},{p:.2f}%"),
    ("Month,Year,Monthly Return (%)", "{d:%B},{d:%Y},{p:.2f}"),
    ("Jahr;Monat;Return", "{d:%Y};{w};{p:.2f}%"),
    (",Monthly Return (%)", "{d:%Y%m},{p:.2f}"),
    ("Date,Return", "{d:%b-%y},\u2013{p:.2f}%"),
    ("AsOf,Net Return", "{d:%Y%m%d},{p:.2f}%"),
])  # fmt: skip
def test_months_are_of_their_last_days_whatever_columns_tell_them(tmp_path: Path, head: str, row: str) -> None:
    rows = [line.replace("\u2013-", "\u2014").replace("\u2013", "") for line in table(head, row)]
    path, _ = read(tmp_path, [*rows, "Total,,1%" if "Month," in head else "Total,1%"])
    assert path.returns == pytest.approx(RETURNS)
    np.testing.assert_array_equal(path.timestamps[1:], MONTHS.to_numpy().astype("datetime64[ns]"))


@pytest.mark.slow
def test_years_are_of_their_last_days_and_that_is_said(tmp_path: Path) -> None:
    for head, name in (("Year", "Return"), ("Date", "Return"), ("Jahr", "Return")):
        path, notes = read(
            tmp_path, [f"{head},{name}", *(f"{2000 + n},{100 * one:.2f}%" for n, one in enumerate(RETURNS[:20]))]
        )
        assert path.returns == pytest.approx(RETURNS[:20])
        assert [str(at)[:10] for at in path.timestamps[:3]] == ["1999-12-31", "2000-12-31", "2001-12-31"]
        assert any("each year is taken as of its last day" in note for note in notes)


@pytest.mark.parametrize("row", [
    "{d:%d.%m.%Y};{e:.2f} \u20ac", "{d:%d.%m.%Y};{e:.2f} EUR", "{d:%d.%m.%Y};\u20ac{e:,.2f}", "{d:%d.%m.%Y};EUR {e:.2f}", "{d:%d.%m.%Y};${e:.2f}",
])  # fmt: skip
@pytest.mark.parametrize(
    "head", ["Datum;NAV", "Datum;Schlusskurs", "Date;Valeur liquidative", "Datum;NAV (EUR)", "Datum;Close/Last"]
)
def test_a_level_in_money_is_read_by_its_usual_names(tmp_path: Path, head: str, row: str) -> None:
    path, _ = read(tmp_path, table(head, row, DAYS))
    assert path.returns == pytest.approx(EARNED)


def test_a_level_in_two_currencies_is_no_record(tmp_path: Path) -> None:
    rows = table("Datum;NAV", "{d:%d.%m.%Y};{e:.2f} \u20ac", DAYS)
    with pytest.raises(DataError, match="states two currencies, EUR and USD or AUD"):
        read(tmp_path, [*rows[:30], *(f"{row.removesuffix(chr(0x20AC))}$" for row in rows[30:])])


@pytest.mark.parametrize(("name", "returns", "level"), [
    ("Monthly Returns (%)", True, False), ("net_return", True, False), ("Portfolio 2 Return", True, False), ("<EQUITY>", False, True),
    ("Close USD", False, True), ("PX_LAST", False, True), ("Growth of 10K", False, True), ("R\u00fccknahmepreis", False, True),
    ("Cumulative Return", False, False), ("annual_return", False, False), ("log_return", False, False), ("Return (USD)", False, False),
    ("Rendite", False, False), ("drawdown", False, False), ("Performance", False, False),
])  # fmt: skip
def test_names_say_what_they_say_and_no_more(name: str, returns: bool, level: bool) -> None:
    """A yield is called Rendite too, and a performance may be one since the beginning."""
    assert (is_return(name), is_level(name), is_named(name)) == (returns, level, returns or level)


@pytest.mark.slow
def test_a_sure_name_goes_before_a_likely_one(tmp_path: Path) -> None:
    rows = table("Date,Last,Return", "{d:%Y-%m-%d},{e:.2f},{p:.2f}%", DAYS)
    assert read(tmp_path, rows)[0].returns == pytest.approx(RETURNS)
    for other in ("pnl_pct", "Rendite", "log_return", "Profit %"):
        with pytest.raises(
            DataError, match=f"has figures called Last, {other}, which may be returns, a level or another thing"
        ):
            read(tmp_path, table(f"Date,Last,{other}", "{d:%Y-%m-%d},{e:.2f},{p:.2f}", DAYS))
    with pytest.raises(DataError, match="may mean any of Last, Unit price"):
        read(tmp_path, table("Date,Last,Unit price", "{d:%Y-%m-%d},{e:.2f},{p:.2f}", DAYS))


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True])
def test_a_level_beside_its_returns_in_per_cents_is_one_record(tmp_path: Path, turned: bool) -> None:
    level = np.round(10_000.0 * np.cumprod(1 + np.random.default_rng(9).normal(0.0, 0.01, 60)), 2)
    earned = level[1:] / level[:-1] - 1.0
    told = ["0.00%", *(f"{100 * one:.2f}%" for one in earned)]
    rows = [f'{at:%Y-%m-%d},"{one:,.2f}",{cell}' for at, one, cell in zip(DAYS, level, told, strict=True)]
    path, _ = read(tmp_path, ["date,equity,return", *(rows[::-1] if turned else rows)])
    assert path.returns == pytest.approx(earned)
    rows[30] = rows[30][: rows[30].rindex(",")] + ",7.00%"
    with pytest.raises(DataError, match="may mean any of equity, return"):
        read(tmp_path, ["date,equity,return", *rows])


@pytest.mark.parametrize(
    "head", [["Price,Close,Volume", "Ticker,SPY,SPY", "Date,,"], ["Date,Close,Volume", ",SPY,SPY"]]
)
def test_two_rows_of_names_as_pandas_writes_them_are_one(tmp_path: Path, head: list[str]) -> None:
    path, _ = read(tmp_path, [*head, *table("", "{d:%Y-%m-%d},{e:.2f},5", DAYS)[1:]])
    assert path.returns == pytest.approx(EARNED)


@pytest.mark.parametrize("unit", ["share", "percent", "auto"])
def test_cumulative_and_rolling_returns_are_no_returns(tmp_path: Path, unit: str) -> None:
    """0.5 %, 0.8 %, 1.2 % since the beginning were taken as what each day earned."""
    year = np.random.default_rng(4).normal(0.0005, 0.01, 700)
    rolling = np.array([np.prod(1 + year[at : at + 250]) - 1 for at in range(400)])
    days = pd.bdate_range("2020-01-01", periods=400)
    for values in (np.cumprod(1 + year[:400]) - 1, rolling):
        scale, sign = (1.0, "") if unit == "share" else (100.0, "%" if unit == "auto" else "")
        rows = [f"{at:%Y-%m-%d},{scale * one:.6f}{sign}" for at, one in zip(days, values, strict=True)]
        with pytest.raises(
            DataError, match=r"each return is much like the one before \(a correlation of (0\.9|1)"
        ) as refused:
            read(tmp_path, ["date,return", *rows], unit)
        assert "1 + each is a level" in refused.value.hint


def test_what_bills_earned_in_years_are_returns_though_each_is_like_the_last(tmp_path: Path) -> None:
    rates = np.concatenate([np.linspace(0.03, 0.15, 12), np.linspace(0.13, 0.01, 14), np.full(6, 0.002)])
    rates += np.random.default_rng(2).normal(0, 0.012, 32)
    rows = [f"{1970 + year}-12-31,{rate:.4f}" for year, rate in enumerate(rates)]
    assert np.corrcoef(rates[1:], rates[:-1])[0, 1] > outside.ALIKE
    assert read(tmp_path, ["date,return", *rows], "share")[0].returns == pytest.approx(rates, abs=1e-4)
    grown = np.cumprod(1 + rates) - 1
    rows = [f"{1970 + year}-12-31,{one:.4f}" for year, one in enumerate(grown)]
    with pytest.raises(DataError, match="much like the one before"):
        read(tmp_path, ["date,return", *rows], "share")


@pytest.mark.parametrize(("mean", "spread"), [(0.0001, 0.0), (0.0002, 1e-7), (0.0, 0.02)])
def test_cash_whose_returns_hardly_move_and_wild_ones_are_returns(tmp_path: Path, mean: float, spread: float) -> None:
    values = mean + np.cumsum(np.full(60, spread if mean else 0.0)) + (spread * RETURNS / 0.01 if not mean else 0.0)
    rows = [f"{at:%Y-%m-%d},{one:.9f}" for at, one in zip(DAYS, values, strict=True)]
    assert read(tmp_path, ["date,return", *rows], "share")[0].returns == pytest.approx(values, abs=1e-9)


def test_the_name_of_a_strategy_is_no_figure(tmp_path: Path) -> None:
    rows = table("Date,Strategy,Return", "{d:%Y-%m-%d},Momentum,{p:.2f}%", DAYS)
    assert read(tmp_path, rows)[0].returns == pytest.approx(RETURNS)


@pytest.mark.parametrize("name", ["Symbol", "ISIN", "Currency", "Fund", "Strategy"])
def test_rows_of_two_one_behind_the_other_are_no_record(tmp_path: Path, name: str) -> None:
    """A fund's returns went on as another's, and a level in euros as one in dollars."""
    rows = table(f"Date,{name},Return", "{d:%Y-%m-%d},EUR,{p:.2f}%", DAYS)
    assert read(tmp_path, rows)[0].returns == pytest.approx(RETURNS)
    with pytest.raises(DataError, match=rf"{name} holds 2 \(EUR, USD\), and a record is of one"):
        read(tmp_path, [*rows[:30], *(row.replace("EUR", "USD") for row in rows[30:])])
    years = [
        f"Year,{name},Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec",
        *(f"{year},{year}A{',1.5%' * 12}" for year in (2020, 2021)),
    ]
    with pytest.raises(DataError, match=rf"{name} holds 2 \(2020A, 2021A\)"):
        read(tmp_path, years)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["Deposit", "Cash deposit", "WITHDRAWAL by wire", "Einzahlung", "Net cash flow"])
def test_a_row_that_is_called_a_deposit_is_asked_about(tmp_path: Path, word: str) -> None:
    """A broker's statement tells a deposit in words beside the balance, which counted as a gain."""
    rows = table("Date,Type,Balance", "{d:%Y-%m-%d},trade of deposited shares,{e:.2f}", DAYS)
    first = [rows[0], rows[1].replace("trade", word, 1), *rows[2:]]
    assert read(tmp_path, first)[0].returns == pytest.approx(EARNED)
    with pytest.raises(DataError, match=rf"Type tells of money from outside \({word}.*Balance would count"):
        read(tmp_path, [*rows[:30], rows[30].replace("trade of deposited shares", word), *rows[31:]])


def test_a_level_that_no_level_moves_like_is_said(tmp_path: Path) -> None:
    _, notes = read(tmp_path, [*table("Date,Total", "{d:%Y-%m-%d},{p:.2f}", DAYS)[:1], *(
        f"{at:%Y-%m-%d},{0.2 + 10 * abs(one):.4f}" for at, one in zip(DAYS, RETURNS, strict=True))])  # fmt: skip
    assert any("Total is taken as a level, which varies by" in note for note in notes)
    _, notes = read(tmp_path, table("Date,Total", "{d:%Y-%m-%d},{e:.2f}", DAYS))
    assert not notes


def test_an_hour_that_looks_like_a_year_is_none(tmp_path: Path) -> None:
    path, _ = read(tmp_path, table("date,time,return", "{d:%Y-%m-%d},2000,{p:.2f}%", DAYS))
    assert path.returns == pytest.approx(RETURNS)
    assert (path.timestamps[1:] == DAYS.to_numpy()).all()


@pytest.mark.parametrize(("cell", "unit"), [("{:.6f}", "share"), ("{:.2%}", "auto"), ("{:.4%}", "percent")])
def test_factors_of_growth_are_no_returns(tmp_path: Path, cell: str, unit: str) -> None:
    """1.0207 was a gain of 102 %."""
    rows = [f"{at:%Y-%m-%d},{cell.format(1 + one)}" for at, one in zip(DAYS, RETURNS, strict=True)]
    with pytest.raises(DataError, match="return lies around 1") as refused:
        read(tmp_path, ["date,return", *rows], unit)
    assert "subtract 1" in refused.value.hint


def test_whoever_is_asked_for_the_unit_of_factors_is_told_that_they_may_be_none(tmp_path: Path) -> None:
    """Of the two answers that were offered one took 1.0017 for a gain of one per cent, without a word."""
    rows = ["date,return", *(f"{at:%Y-%m-%d},{1 + one:.6f}" for at, one in zip(DAYS, RETURNS, strict=True))]
    with pytest.raises(DataError, match="may be per cents or shares") as asked:
        read(tmp_path, rows)
    assert "factors by which a value grows" in asked.value.hint
    path, notes = read(tmp_path, rows, "percent")
    assert path.returns == pytest.approx((1 + RETURNS) / 100, abs=1e-8)
    assert any("lies around 1" in note for note in notes)


@pytest.mark.parametrize("head", ["Date,Inception Date,NAV", "Date,As Of,NAV", "Inception Date,Date,NAV"])
def test_a_date_that_never_moves_is_not_that_of_rows(tmp_path: Path, head: str) -> None:
    row = "2010-01-01,{d:%Y-%m-%d},{e:.2f}" if head.startswith("Inc") else "{d:%Y-%m-%d},2010-01-01,{e:.2f}"
    assert read(tmp_path, table(head, row, DAYS))[0].returns == pytest.approx(EARNED)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Africa/Johannesburg", "Europe/Athens"])
def test_ends_of_months_that_became_times_in_utc_are_those_of_their_place(tmp_path: Path, zone: str) -> None:
    """The end of January in Berlin was the 30th, and the first of February the end of January."""
    for at in (MONTHS, MONTHS + pd.Timedelta(days=1)):
        stamps = at.tz_localize(zone).tz_convert("UTC")
        rows = [f"{one:%Y-%m-%dT%H:%M:%SZ},{100 * told:.2f}%" for one, told in zip(stamps, RETURNS, strict=True)]
        if zone == "Africa/Johannesburg" and at is not MONTHS:
            continue  # without a summer time nothing tells which of the two it is
        path, notes = read(tmp_path, ["date,return", *rows])
        ends = at + pd.offsets.MonthEnd(0)  # of firsts of months, the month that begins there
        assert (path.timestamps[1:] == ends.to_numpy().astype("datetime64[ns]")).all()
        assert any("midnights further east" in note for note in notes)


def test_years_without_a_name_stand_beside_months_in_parquet(tmp_path: Path) -> None:
    made = pd.DataFrame(RETURNS[:36].reshape(3, 12), index=[2020, 2021, 2022], columns=list(map(str, range(1, 13))))
    made.to_parquet(tmp_path / "my.parquet")
    assert outside.read(tmp_path / "my.parquet", "share").returns == pytest.approx(RETURNS[:36])


@pytest.mark.slow
@pytest.mark.parametrize("head", ["FromDate,ToDate", "start,end", "Period Begin,Period End"])
def test_a_return_is_known_where_its_period_ends(tmp_path: Path, head: str) -> None:
    weeks = pd.date_range("2022-01-07", periods=60, freq="W-FRI")
    rows = [
        f"{at - pd.Timedelta(days=6):%Y-%m-%d},{at:%Y-%m-%d},{100 * one:.2f}%"
        for at, one in zip(weeks, RETURNS, strict=True)
    ]
    assert (read(tmp_path, [f"{head},return", *rows])[0].timestamps[1:] == weeks.to_numpy()).all()
    for other in ("Trade Date,Settle Date", ",".join(head.split(",")[::-1])):
        with pytest.raises(DataError, match="dates may be any of"):
            read(tmp_path, [f"{other},return", *rows])


@pytest.mark.parametrize(("rows", "said"), [
    (["Date,Return,time", "Sum,,x", "Mean,,y"], "no row has a date"), (["date,NAV", "2022-01-03,5"], "has 1 levels"),
    (["date,equity,return", "2022-01-03,5,x", "2022-01-04,6,0"], "may mean any of equity, return"),
    (["date,return", "2022-01-03,0.01"], "has 1 returns"), (["date,equity,return", "2022-01-03,5,(", "2022-01-04,6,)"], "has 2 levels"),
])  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_a_table_of_next_to_nothing_is_refused_in_one_line(tmp_path: Path, rows: list[str], said: str) -> None:
    """Rows of words alone ended in a traceback, and a lone level in NumPy's warnings."""
    with pytest.raises(DataError, match=said) as refused:
        read(tmp_path, rows)
    assert refused.value.hint
