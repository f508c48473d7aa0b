"""Tables as websites hand them out, in their language, order, marks and dates: the honest bars."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load

pytestmark = pytest.mark.slow  # dozens of files are written and read

BARS = shares("AAA", bars=60).drop(columns="symbol").round(2)
BARS["high"] = BARS[["open", "high", "low", "close"]].max(axis=1)
BARS["low"] = BARS[["open", "high", "low", "close"]].min(axis=1)
DAYS, OPEN, HIGH, LOW, CLOSE, VOLUME = (BARS.iloc[:, place] for place in range(6))
DAYS = pd.to_datetime(DAYS)
CHANGE = CLOSE.pct_change().fillna(0).map("{:.2%}".format)


def _dollars(prices: pd.Series) -> pd.Series:
    return prices.map("${:,.2f}".format)


def _commas(prices: pd.Series) -> pd.Series:
    return prices.map("{:,.2f}".format).str.translate(str.maketrans(",.", ".,"))


def _millions(volumes: pd.Series) -> pd.Series:
    return volumes.map(lambda volume: f"{volume / 1e6:.2f}M")


def _investing(names: str, dates: str, *, commas: bool = True) -> str:
    """Return a table as Investing.com writes it, newest first, every cell in quotes."""
    price: Callable[[pd.Series], pd.Series] = _commas if commas else lambda prices: prices.map("{:.2f}".format)
    marks = {",": ".", ".": ","} if commas else {}
    cells = [
        DAYS.dt.strftime(dates),
        *(price(prices) for prices in (CLOSE, OPEN, HIGH, LOW)),
        *(text.str.translate(str.maketrans(marks)) for text in (_millions(VOLUME), CHANGE)),
    ]
    table = pd.concat(cells, axis=1).set_axis(names.split(";"), axis=1)
    return table[::-1].to_csv(index=False, quoting=1)


def _table(names: str, *cells: pd.Series | int, separator: str = ",", turned: bool = False) -> str:
    columns = dict(zip(names.split(";"), cells, strict=True))
    table = pd.DataFrame(columns)
    return (table[::-1] if turned else table).to_csv(index=False, sep=separator)


WEBSITES = {
    "Investing.com": _investing("Date;Price;Open;High;Low;Vol.;Change %", "%m/%d/%Y", commas=False),
    "Investing.com, de": _investing("Datum;Zuletzt;Eröffn.;Hoch;Tief;Vol.;+/- %", "%d.%m.%Y"),
    "Investing.com, es": _investing("Fecha;Último;Apertura;Máximo;Mínimo;Vol.;% var.", "%d.%m.%Y"),
    "Investing.com, fr": _investing("Date;Dernier;Ouv.; Plus Haut;Plus Bas;Vol.;Variation %", "%d/%m/%Y"),
    "Investing.com, it": _investing("Data;Ultimo;Apertura;Massimo;Minimo;Vol.;Var. %", "%d.%m.%Y"),
    "Investing.com, pt": _investing("Data;Último;Abertura;Máxima;Mínima;Vol.;Var%", "%d.%m.%Y"),
    "Investing.com, tr": _investing("Tarih;Şimdi;Açılış;Yüksek;Düşük;Hac.;Fark %", "%d.%m.%Y"),
    "Nasdaq": _table(
        "Date;Close/Last;Volume;Open;High;Low",
        DAYS.dt.strftime("%m/%d/%Y"), _dollars(CLOSE), VOLUME, _dollars(OPEN), _dollars(HIGH), _dollars(LOW), turned=True,
    ),
    "WSJ": _table("Date; Open; High; Low; Close; Volume", DAYS.dt.strftime("%m/%d/%y"), OPEN, HIGH, LOW, CLOSE, VOLUME, turned=True),
    "thinkorswim": _table("Time;Open;High;Low;Last;Volume", DAYS.dt.strftime("%-m/%-d/%y"), OPEN, HIGH, LOW, CLOSE, VOLUME),
    "Barchart": _table("Time;Open;High;Low;Last;%Chg;Volume", DAYS.dt.strftime("%m/%d/%Y"), OPEN, HIGH, LOW, CLOSE, CHANGE, VOLUME)
    + '"Downloaded from Barchart.com as of 03-20-2024 04:05pm CDT"\n',
    "Google": _table("Date;Open;High;Low;Close;Volume", DAYS.dt.strftime("%-m/%-d/%Y 16:00:00"), OPEN, HIGH, LOW, CLOSE, VOLUME),
    "Euronext": "Historical Data\nFrom 2020-01-01 to 2020-04-01\nFR0000000001\n" + _table(
        "Date;Open;High;Low;Last;Close;Number of Shares;Number of Trades;Turnover",
        DAYS.dt.strftime("%d/%m/%Y"), OPEN, HIGH, LOW, CLOSE, CLOSE, VOLUME, 12, (CLOSE * VOLUME).round(2), separator=";",
    ),
    "Nasdaq Nordic": "sep=;\n" + _table(
        "Date;Bid;Ask;Opening price;High price;Low price;Closing price;Average price;Total volume;Turnover;Trades",
        DAYS.dt.strftime("%Y-%m-%d"), *map(_commas, (LOW, HIGH, OPEN, HIGH, LOW, CLOSE, CLOSE)), VOLUME, _commas(CLOSE * VOLUME), 10,
        separator=";", turned=True,
    ),
    "Frankfurt": _table(
        "Datum;Eröffnung;Schluss;Tageshoch;Tagestief;Umsatz (€);Umsatz Stück",
        DAYS.dt.strftime("%d.%m.%y"), *map(_commas, (OPEN, CLOSE, HIGH, LOW, CLOSE * VOLUME)), VOLUME, separator=";",
    ),
    "Refinitiv": "AAA.N,,,,,,,\nInterval: Daily,,,,,,,\n\n" + _table(
        "Exchange Date;Close;Net;%Chg;Open;Low;High;Volume", DAYS.dt.strftime("%d-%b-%Y"), CLOSE, 0, CHANGE, OPEN, LOW, HIGH, VOLUME, turned=True,
    ),
    "Refinitiv, in accounts' signs": _table(
        "Exchange Date;Exchange Time;Net;Open;Low;High;Close;Volume",
        DAYS.dt.strftime("%d-%b-%Y"), DAYS.dt.strftime("%H:%M:%S"), CHANGE.str.replace(r"-(.*)", r"(\1)", regex=True), OPEN, LOW, HIGH, CLOSE, VOLUME,
    ),
}  # fmt: skip


@pytest.mark.parametrize("website", WEBSITES)
def test_a_website_s_table_is_the_bars_that_it_shows(tmp_path: Path, website: str) -> None:
    panel = _load(WEBSITES[website], tmp_path / "AAA.csv")
    assert panel.symbols == ("AAA",)
    np.testing.assert_array_equal(panel.timestamps.astype("datetime64[D]"), DAYS.to_numpy().astype("datetime64[D]"))
    for name, prices in (("open", OPEN), ("high", HIGH), ("low", LOW), ("close", CLOSE)):
        np.testing.assert_allclose(getattr(panel, name)[:, 0], prices, rtol=1e-12, err_msg=name)
    assert panel.volume is not None
    assert panel.volume_unit == "units"
    np.testing.assert_allclose(panel.volume[:, 0], VOLUME, rtol=0.006)  # `1.94M`
