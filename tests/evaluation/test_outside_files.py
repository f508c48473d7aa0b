"""A file of returns as people have it: its layout, its marks and its dates are read as a file of bars is, or asked about."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wealtharena.data.reading.settled import Ledger
from wealtharena.errors import ConfigError, DataError
from wealtharena.evaluation import outside
from wealtharena.evaluation.outside import Trajectory

DAYS = pd.bdate_range("2022-01-03", periods=60)
RETURNS = np.random.default_rng(1).normal(0.0003, 0.01, 60).round(6)
EQUITY = 1000.0 * np.cumprod(1 + RETURNS)
ROWS = [f"{at:%Y-%m-%d},{one:.6f}" for at, one in zip(DAYS, RETURNS, strict=True)]
PLAIN = "\n".join(["date,return", *ROWS])


def german(number: float, places: int = 0) -> str:
    return f"{number:,.{places}f}".translate(str.maketrans(",.", ".,"))


def read(folder: Path, content: str, *, encoding: str = "utf-8", unit: str = "share") -> Trajectory:
    (folder / "my.csv").write_bytes(content.encode(encoding))
    return outside.read(folder / "my.csv", unit)


def packed(folder: Path, table: pa.Table | pd.DataFrame) -> Path:
    path = folder / "my.parquet"
    pq.write_table(table, path) if isinstance(table, pa.Table) else table.to_parquet(path)
    return path


def test_blanks_within_names_separate_no_columns(tmp_path: Path) -> None:
    rows = [f"{at:%Y-%m-%d},{one:.6f},{one / 2:.6f}" for at, one in zip(DAYS, RETURNS, strict=True)]
    with pytest.raises(DataError, match=r"figures called my monthly return \(%\), benchmark return \(%\)"):
        read(tmp_path, "\n".join([",my monthly return (%), benchmark return (%)", *rows]))


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8"), ("\t", "utf-16"), ("|", "utf-8"), (",", "utf-8")])
def test_thousands_marks_of_equity_are_asked_about_where_nothing_shows_them(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    rows = [f"{at:%d.%m.%Y}{separator}{german(one)}" for at, one in zip(DAYS, EQUITY, strict=True)]
    assert any("." not in row.split(separator)[1] for row in rows), "998 stands among 1.004"
    with pytest.raises(DataError, match=r"1\.0\d\d may be 10\d\d or 1,0\d\d"):
        read(tmp_path, "\n".join([f"Datum{separator}Equity", *rows]), encoding=encoding, unit="auto")


@pytest.mark.parametrize("beside", ["0,5", "-12,25"])
def test_another_column_shows_the_decimal_mark_of_equity(tmp_path: Path, beside: str) -> None:
    rows = [f"{at:%d.%m.%Y};{german(one)};{beside}" for at, one in zip(DAYS, EQUITY, strict=True)]
    path = read(tmp_path, "\n".join(["Datum;Equity;Quote", *rows]), unit="auto")
    assert path.equity == pytest.approx(np.round(EQUITY))


@pytest.mark.slow
def test_decimals_that_show_themselves_are_read_whatever_stands_beside_them(tmp_path: Path) -> None:
    rows = [f"{at:%Y-%m-%d},{one:.3f}" for at, one in zip(DAYS, EQUITY / 1000, strict=True)]
    assert read(tmp_path, "\n".join(["date,equity", *rows]), unit="auto").equity == pytest.approx(
        EQUITY / 1e3, abs=1e-3
    )
    rows = [f'{at:%Y-%m-%d},{one:.4f},"1,234"' for at, one in zip(DAYS, EQUITY, strict=True)]
    assert read(tmp_path, "\n".join(["date,equity,trades", *rows]), unit="auto").equity == pytest.approx(EQUITY)
    rows = [f"{at:%d.%m.%Y};{german(100 * one, 3)} %" for at, one in zip(DAYS, RETURNS, strict=True)]
    assert read(tmp_path, "\n".join(["Datum;Return", *rows]), unit="auto").returns == pytest.approx(RETURNS, abs=1e-5)


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(["date,return", *(row[:10].replace("-", "") + row[10:] for row in ROWS)]),
        "My fund\nMade on 2024-01-01, by me\n\n" + PLAIN,
        "sep=;\n" + PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN + "\n\n,\n,,\n",
        PLAIN + "\nTotal,0.3\nMean,0.001",
        PLAIN + "\n\nSource: an exchange, a broker, a bank\nAll rights reserved",
        PLAIN + "\nAs of 2024-01-31,",
        PLAIN + "\n" + PLAIN.splitlines()[0],
        PLAIN.replace("\n", ",\n") + ",",
        "\n".join(['"date" "return"', *(f'"{n}" {row.replace(",", " ")}' for n, row in enumerate(ROWS, 1))]),
        "\n".join(["return", *ROWS]),
        "\n".join(["symbol,date,return", *(f"SPY,{row}" for row in ROWS)]),
        "\n".join(["Portfolio Return", "Buchungstag;Portfolio Return", *(row.replace(",", ";") for row in ROWS)]),
        PLAIN.replace(",-", ",\u2212"),
        "\n".join(["date,return,return", *(f"{row},{row.split(',')[1]}" for row in ROWS)]),
        "\n".join(["date,time,return", *(row.replace(",", ",00:00,") for row in ROWS)]),
    ],
    ids=["digits", "preamble", "sep", "tab", "blank", "sums", "source", "as-of", "header-again", "trailing", "r-table", "row-names", "symbol", "title", "minus", "twice-alike", "clock"],
)  # fmt: skip
def test_layouts_that_bars_are_read_in_are_read_of_returns(tmp_path: Path, content: str) -> None:
    path = read(tmp_path, content)
    assert path.returns == pytest.approx(RETURNS, abs=1e-6)
    np.testing.assert_array_equal(path.timestamps[1:], DAYS.to_numpy().astype("datetime64[ns]"))


def test_what_stands_below_the_last_date_is_said_to_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text(PLAIN + "\nTotal,0.3\n")
    ledger = Ledger("my.csv")
    outside.read(tmp_path / "my.csv", "share", ledger)
    assert ledger.close().notes == ("my.csv: 1 of 61 rows left out: no date, below the last one",)


@pytest.mark.parametrize("zone", ["UTC", "Australia/Sydney", "America/New_York", "Europe/London"])
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_epochs_are_dated_as_bars_stamped_so(tmp_path: Path, zone: str, unit: str) -> None:
    days = pd.bdate_range("2022-01-03", periods=300)
    stamps = days.tz_localize(zone).tz_convert("UTC").tz_localize(None).astype(f"datetime64[{unit}]").astype("int64")
    rows = [f"{at},{0.001 * (-1) ** at}" for at in stamps]
    path = read(tmp_path, "\n".join(["time,return", *rows]))
    np.testing.assert_array_equal(path.timestamps[1:], days.to_numpy().astype("datetime64[ns]"))


@pytest.mark.parametrize("written", ["%Y-%m", "%Y%m", "%b %Y", "period"])
def test_a_month_s_return_is_of_the_month_that_is_written(tmp_path: Path, written: str) -> None:
    ends = pd.date_range("2020-01-31", periods=24, freq="ME")
    if written == "period":
        path = outside.read(packed(tmp_path, pd.DataFrame({"return": 0.01}, index=ends.to_period("M"))), "share")
    else:
        path = read(
            tmp_path,
            "\n".join(["month,return" if "b" in written else "date,return", *(f"{at:{written}},0.01" for at in ends)]),
        )
    assert str(path.timestamps[0])[:10] == "2019-12-31"
    np.testing.assert_array_equal(path.timestamps[1:], ends.to_numpy().astype("datetime64[ns]"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("\n".join(["date,return,return", *(f"{row},0.5" for row in ROWS)]), "may mean any of return, return"),
        ("\n".join(["date,equity,equity", *(f"{row[:10]},10.5,11.5" for row in ROWS)]), "any of equity, equity"),
        ("\n".join(["date,date,return", *(f"{row[:7]}-01,{row}" for row in ROWS)]), "any of date, date"),
        ("\n".join(["date,return", *(f"{row[:10]},0,01" for row in ROWS)]), "every row has 3 cells and the header 2"),
        ("\n".join([*(["date,return", *ROWS]), "2023-01-01,0,01"]), "row 61 has 3 cells and the header 2"),
        ("\n".join(ROWS), "has no names above its columns"),
        (PLAIN + "\n2023-02-", "1 of 61 rows have no finite return|cannot be read"),
        (PLAIN.replace(",0.", ',"0.', 1), "a quote in row 1 takes in rows|not a number"),
        ('[{"date": "2022-01-03"}]', "JSON"),
    ],
)  # fmt: skip
def test_what_may_be_two_things_or_is_cut_off_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        read(tmp_path, content)
    assert refused.value.exit_code == 2
    assert refused.value.hint
    assert "\n" not in str(refused.value)


def test_a_unit_is_of_no_use_to_a_level(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="returns_unit=percent, and equity holds a level"):
        read(tmp_path, "date,equity\n2022-01-03,10\n2022-01-04,11\n2022-01-05,12", unit="percent")


def framed(columns: list[tuple[str, ...]], **index: object) -> pd.DataFrame:
    return pd.DataFrame(dict.fromkeys(range(len(columns)), RETURNS), **index).set_axis(
        pd.MultiIndex.from_tuples(columns), axis=1
    )


@pytest.mark.parametrize(
    "table",
    [
        framed([("return", "")], index=DAYS),
        framed([("return", "")], index=DAYS).reset_index(),
        framed([("mine", "return")], index=DAYS.set_names("date")),
        pd.DataFrame({"date": DAYS, "return": RETURNS}, index=DAYS.set_names("date")),
        pd.DataFrame({"return": RETURNS}, index=DAYS),
        pd.DataFrame({"return": RETURNS}, index=DAYS.to_period("D")),
        pd.DataFrame({"date": DAYS.strftime("%Y%m%d").astype(int), "return": RETURNS}),
        pd.DataFrame({"date": [at.date() for at in DAYS], "return": [Decimal(str(one)) for one in RETURNS]}),
        pd.DataFrame({"date": DAYS, "return": pd.Categorical(RETURNS), "tags": [["a"]] * 60, "raw": [b"a"] * 60}),
        pa.table([pa.array(DAYS), pa.array(RETURNS), pa.array(RETURNS)], names=["date", "return", "return"]),
    ],
)  # fmt: skip
def test_a_parquet_file_s_index_and_names_are_read_in_any_shape(tmp_path: Path, table: pa.Table | pd.DataFrame) -> None:
    path = outside.read(packed(tmp_path, table))
    assert path.returns == pytest.approx(RETURNS, abs=1e-9)
    np.testing.assert_array_equal(path.timestamps[1:], DAYS.to_numpy().astype("datetime64[ns]"))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            pa.table(
                [pa.array(DAYS).cast(pa.timestamp("us", "Mars/Phobos")), pa.array(RETURNS)], names=["date", "return"]
            ),
            r"date is of a type that cannot be read \(timestamp\[us, tz=Mars/Phobos\]\)",
        ),
        (pa.table([pa.array(DAYS), pa.array(RETURNS), pa.array(-RETURNS)], names=["date", "return", "return"]), "any of"),
        (framed([("Close", "A"), ("return", "A")], index=DAYS), "may mean any of Close, return"),
        (
            pd.DataFrame(
                {"date": DAYS, "return": RETURNS}, index=(DAYS + dt.timedelta(days=1)).set_names("date")
            ),
            "dates may be any of date, date",
        ),
        (pd.DataFrame({"date": DAYS, "return": [[0.1]] * 60}), "return holds list"),
        (pd.DataFrame({"date": DAYS, "return": [True] * 60}), "not a number"),
        (pd.DataFrame(index=DAYS), "has no column of figures"),
    ],
)  # fmt: skip
def test_a_parquet_file_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, table: pa.Table | pd.DataFrame, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        outside.read(packed(tmp_path, table))
    assert refused.value.exit_code == 2
    assert refused.value.hint
    assert "\n" not in str(refused.value)


def test_returns_are_read_by_what_a_file_is_and_not_by_its_name(tmp_path: Path) -> None:
    table = pd.DataFrame({"date": DAYS, "return": RETURNS})
    asked = outside.read(packed(tmp_path, table), "share").equity
    table.to_feather(tmp_path / "my.csv")
    assert outside.read(tmp_path / "my.csv", "share").equity == pytest.approx(asked)
    table.to_csv(tmp_path / "my.parquet", index=False)
    assert outside.read(tmp_path / "my.parquet", "share").equity == pytest.approx(asked)


def _as_left(folder: Path, **changes: object) -> Path:
    """Write the columns of a run's equity.parquet that are called by a level's or a return's name."""
    told = np.concatenate([[0.0], EQUITY[1:] / EQUITY[:-1] - 1.0])
    table = {"timestamp": pd.DatetimeIndex(DAYS, tz="UTC"), "equity": EQUITY, "return": told, "gross": 1.0}
    return packed(folder, pd.DataFrame({**table, **changes}))


def test_a_level_beside_its_own_returns_is_one_record(tmp_path: Path) -> None:
    """A run's equity.parquet was refused, since it may mean either."""
    np.testing.assert_allclose(outside.read(_as_left(tmp_path)).equity, EQUITY)
    frame = pd.read_parquet(_as_left(tmp_path))
    np.testing.assert_allclose(read(tmp_path, frame.to_csv(index=False), unit="auto").equity, EQUITY)
    earned = frame["return"]
    for other in (earned.where(earned.index != 30, 0.02), earned.where(earned.index > 0, 0.01), 100.0 * earned):
        with pytest.raises(DataError, match="may mean any of equity, return"):
            outside.read(_as_left(tmp_path, **{"return": other}))
    with pytest.raises(
        DataError, match=r"is a folder; name a file in it: of a run directory that is its equity\.parquet"
    ):
        outside.read(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", ["Deposit", "net_deposits", "Cash Flow", "Withdrawals", "contributions"])
def test_money_from_outside_beside_a_level_is_asked_about(tmp_path: Path, name: str, turned: bool) -> None:
    """A deposit of 500 into 1,000 was a gain of a half in a day."""
    paid = np.zeros(60)
    paid[0] = 1000.0  # what the account begins with
    lines = [f"{at:%Y-%m-%d},{one:.4f},{cash}" for at, one, cash in zip(DAYS, EQUITY, paid, strict=True)]
    content = "\n".join([f"date,equity,{name}", *(lines[::-1] if turned else lines)])
    assert read(tmp_path, content, unit="auto").equity == pytest.approx(EQUITY, abs=1e-4)
    later = content.replace(lines[30], lines[30].replace(",0.0", ",500.0"))
    with pytest.raises(DataError, match=f"{name} holds money from outside, which equity would count as earned or lost"):
        read(tmp_path, later, unit="auto")
    always = content.replace(",0.0", ",1000.0")
    assert len(read(tmp_path, always, unit="auto").equity) == 60


@pytest.mark.parametrize("place", ["Australia/Sydney", "Asia/Tokyo", "Europe/London", "America/New_York"])
@pytest.mark.parametrize("written", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"])
def test_dates_that_became_times_in_utc_are_those_of_their_place(tmp_path: Path, place: str, written: str) -> None:
    """A day in Berlin begins at 23:00 UTC of the day before: each return stood beside the prices of that one."""
    days = pd.bdate_range("2022-05-02", periods=250)
    stamps = days.tz_localize(place).tz_convert("UTC").strftime(written)
    rows = [f"{at},{one:.6f}" for at, one in zip(stamps, np.resize(RETURNS, 250), strict=True)]
    assert (read(tmp_path, "\n".join(["date,return", *rows])).timestamps[1:] == days.to_numpy()).all()


@pytest.mark.parametrize(("step", "hour"), [("D", 21), ("D", 0), ("ME", 0), ("ME", 13), ("W-SAT", 9), ("B", 21)])
def test_other_dates_with_times_of_day_are_those_that_are_written(tmp_path: Path, step: str, hour: int) -> None:
    days = pd.date_range("2022-01-03", periods=12, freq=step)
    rows = [f"{at:%Y-%m-%d}T{hour:02}:00:00Z,0.00{number % 7}" for number, at in enumerate(days)]
    assert (read(tmp_path, "\n".join(["date,return", *rows])).timestamps[1:] == days.to_numpy()).all()


@pytest.mark.parametrize("turned", [False, True])
def test_a_price_that_jumps_on_its_splits_is_no_record(tmp_path: Path, turned: bool) -> None:
    """A split of four for one was a loss of three quarters."""

    def content(traded: bool) -> str:
        price = EQUITY * np.where(traded & (np.arange(60) < 30), 4.0, 1.0)
        split = np.where(np.arange(60) == 30, 4.0, 0.0)
        rows = [f"{at:%Y-%m-%d},{one:.4f},0.5,{new}" for at, one, new in zip(DAYS, price, split, strict=True)]
        return "\n".join(["Date,Close,Dividends,Stock Splits", *(rows[::-1] if turned else rows)])

    with pytest.raises(DataError, match="Close jumps on 1 dates of Stock Splits, which is no gain or loss"):
        read(tmp_path, content(traded=True), unit="auto")
    ledger = Ledger("my.csv")
    (tmp_path / "my.csv").write_text(content(traded=False))
    assert outside.read(tmp_path / "my.csv", "auto", ledger).equity == pytest.approx(EQUITY, abs=1e-4)
    assert "my.csv: Close counts as it stands: what Dividends holds is not added to it" in ledger.notes


@pytest.mark.parametrize("error", ["#DIV/0!", "#VALUE!", "#REF!", "#BEZUG!", "#¡VALOR!"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_formula_that_had_no_row_before_it_is_no_return(tmp_path: Path, error: str, newest_first: bool) -> None:
    """It was refused, as an error amid the record still is."""
    rows = [
        f"2022-01-{day:02d},{earned}"
        for day, earned in zip(range(4, 9), (0.01, -0.02, 0.003, 0.004, -0.01), strict=True)
    ]
    for place in (0, 3):
        told = [*rows[:place], f"2022-01-{3 if place == 0 else 9:02d},{error}", *rows[place:]]
        path = tmp_path / "my.csv"
        path.write_text("\n".join(["date,return", *(reversed(told) if newest_first else told)]) + "\n")
        if place:
            with pytest.raises(DataError, match="not a number"):
                outside.read(path)
        else:
            assert sorted(outside.read(path).returns) == pytest.approx([-0.02, -0.01, 0.003, 0.004, 0.01])
