"""Small files made from honest bars by structural edits, and what reading each of them came to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from tests.data.reading import honest
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, load
from wealtharena.errors import DataError

BARS: Final = 45  # a row is less than 5 % of them
Rng = np.random.Generator


@dataclass(frozen=True)
class Edit:
    """A change of a table of text: `names` is what a note must say where the panel differs because of it.

    Without `names` the panel must be the honest one, or the file refused.
    """

    name: str
    make: Callable[[pd.DataFrame, Rng], pd.DataFrame]
    names: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one file came to: honest, noted, refused, silent (another panel without a word) or crashed."""

    edits: tuple[str, ...]
    layout: str
    kind: str
    words: str


def _rows(frame: pd.DataFrame, rng: Rng, count: int) -> np.ndarray:
    return np.sort(rng.choice(len(frame), size=min(count, len(frame)), replace=False))


def _few(rng: Rng) -> int:
    return int(rng.integers(1, 4))


def _duplicate(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[_rows(frame, rng, _few(rng))]], ignore_index=True)


def _twice(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return pd.concat([frame, frame], ignore_index=True)


def _shuffle(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame.iloc[rng.permutation(len(frame))]


def _reverse(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame.iloc[::-1]


def _cells(column: str, text: str) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    def make(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        edited = frame.copy()
        edited.iloc[_rows(frame, rng, _few(rng)), frame.columns.get_loc(column)] = text
        return edited

    return make


def _whole(column: str, change: Callable[[pd.Series], pd.Series]) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: frame.assign(**{column: change(frame[column])})


def _half(column: str, change: Callable[[pd.Series], pd.Series]) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    def make(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        later = np.arange(len(frame)) >= len(frame) // 2
        return frame.assign(**{column: frame[column].where(~later, change(frame[column]))})

    return make


def _swap(one: str, other: str) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: frame.rename(columns={one: other, other: one})


def _without(column: str) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: frame.drop(columns=column)


def _renamed(column: str, *names: str) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: frame.rename(columns={column: str(rng.choice(names))})


def _added(
    name: str, values: Callable[[pd.DataFrame, Rng], object], *, first: bool = False
) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    def make(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        edited = frame.copy()
        place = 0 if first else int(rng.integers(0, frame.shape[1] + 1))
        edited.insert(place, name, values(frame, rng), allow_duplicates=True)
        return edited

    return make


def _order(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame[list(rng.permutation(frame.columns))]


def _stamps(form: Callable[[pd.Series], pd.Series]) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: frame.assign(timestamp=form(_read(frame)).astype("str"))


def _half_stamps(form: Callable[[pd.Series], pd.Series]) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    def make(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
        later = np.arange(len(frame)) >= len(frame) // 2
        return frame.assign(timestamp=frame["timestamp"].where(~later, form(_read(frame)).astype("str")))

    return make


def _read(frame: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601")


def _mixed_epochs(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    stamps = _read(frame)
    later = np.arange(len(frame)) >= len(frame) // 2
    seconds, milliseconds = (stamps.dt.as_unit(unit).astype("int64").astype("str") for unit in ("s", "ms"))
    return frame.assign(timestamp=seconds.where(~later, milliseconds))


def _hourly_tail(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    last = frame.iloc[[-1]]
    hours = [
        last.assign(timestamp=(_read(last) + pd.Timedelta(hours=h)).dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        for h in range(1, 31)
    ]
    return pd.concat([frame, *hours], ignore_index=True)


def _weekly_head(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    first = frame.iloc[[0]]
    weeks = [
        first.assign(timestamp=(_read(first) - pd.Timedelta(weeks=w)).dt.strftime("%Y-%m-%d")) for w in range(15, 0, -1)
    ]
    return pd.concat([*weeks, frame], ignore_index=True)


def _weekly(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    return frame[np.arange(len(frame)) % 7 == 0]


def _numbers(change: Callable[[float], str]) -> Callable[[pd.Series], pd.Series]:
    return lambda values: values.map(lambda text: change(float(text)) if text else text)


_THOUSANDS = _numbers(lambda value: f"{value:,.3f}")
_HUNDREDTHS = _numbers(lambda value: f"{value * 100:.1f}")
_SWAP = str.maketrans(".,", ",.")
_COLUMNS = ("open", "high", "low", "close")
_LANGUAGES = ("Apertura Máximo Mínimo Cierre", "Ouverture PlusHaut PlusBas Clôture", "始値 高値 安値 終値", "Откр. Макс. Мин. Закрытие")  # fmt: skip


def _commas(values: pd.Series) -> pd.Series:
    return values.str.translate(_SWAP)


def _each(
    change: Callable[[pd.Series], pd.Series], columns: tuple[str, ...] = (*_COLUMNS, "volume")
) -> Callable[[pd.DataFrame, Rng], pd.DataFrame]:
    return lambda frame, rng: frame.assign(**{name: change(frame[name]) for name in columns})


EDITS: Final = (
    # rows
    Edit("some rows twice", _duplicate, "duplicates"),
    Edit("all rows twice", _twice, "duplicates"),
    Edit("rows shuffled", _shuffle),
    Edit("newest first", _reverse),
    Edit("header in the middle", lambda f, r: pd.concat([f.iloc[:20], pd.DataFrame([list(f.columns)], columns=f.columns), f.iloc[20:]]), "header once more"),
    Edit("rows without a symbol", _cells("symbol", ""), "no symbol"),
    Edit("rows without a time", _cells("timestamp", "")),
    Edit("rows without prices", lambda f, r: f.where(~np.isin(np.arange(len(f)), _rows(f, r, 2))[:, None] | ~f.columns.isin(_COLUMNS), ""), "hold no price|missing_values"),
    Edit("total row at the end", lambda f, r: pd.concat([f, pd.DataFrame([["Total", *[""] * (f.shape[1] - 1)]], columns=f.columns)])),
    # columns
    Edit("columns in another order", _order),
    Edit("row numbers first", _added("", lambda f, r: [str(i) for i in range(len(f))], first=True)),
    Edit("row numbers named index", _added("index", lambda f, r: [str(i) for i in range(len(f))], first=True)),
    Edit("day of the week", _added("day", lambda f, r: _read(f).dt.day_of_week.astype("str"))),
    Edit("time of download", _added("time", lambda f, r: ["2026-01-05 12:30:00"] * len(f))),
    Edit("a column of its own", _added("vwap", lambda f, r: f["close"])),
    Edit("number of trades", _added("trades", lambda f, r: [str(int(v)) for v in r.integers(1, 99, len(f))])),
    Edit("an empty column", _added("adj close", lambda f, r: [""] * len(f))),
    Edit("close twice, alike", _added("Close", lambda f, r: f["close"])),
    Edit("close twice, different", _added("Close", lambda f, r: f["open"])),
    Edit("adjusted close beside", _added("Adj Close", lambda f, r: f["close"])),
    Edit("a last price beside", _added("last", lambda f, r: f["close"])),
    Edit("without a close", _without("close")),
    Edit("without volume", _without("volume"), "no column for volume"),
    Edit("without opens", _without("open"), "no column for open"),
    Edit("without symbols", _without("symbol")),
    Edit("without times", _without("timestamp")),
    *(Edit(f"names like {names.split()[0]}", lambda f, r, names=names: f.rename(columns=dict(zip(_COLUMNS, names.split(), strict=False)))) for names in _LANGUAGES),
    Edit("time named otherwise", _renamed("timestamp", "Date", "datetime", "Open time", "unix", "TRADE_DATE", "<DATE>", "")),
    Edit("symbol named otherwise", _renamed("symbol", "Ticker", "tic", "<TICKER>", "ts_code", "Instrument")),
    Edit("close named otherwise", _renamed("close", "Close/Last", "price", "C", "Close (USD)", "$close", "4. close")),
    Edit("volume named otherwise", _renamed("volume", "Vol.", "V", "<VOL>", "base_volume", "Volume (BTC)")),
    Edit("high and low swapped", _swap("high", "low")),
    Edit("open and high swapped", _swap("open", "high")),
    Edit("money volume beside", _added("quote_asset_volume", lambda f, r: (f["close"].astype(float) * f["volume"].astype(float)).astype("str"))),
    Edit("money volume instead", lambda f, r: f.assign(volume=(f["close"].astype(float) * f["volume"].astype(float)).round(2).astype("str")), "money"),
    Edit("money volume later", lambda f, r: f.assign(volume=np.where(_read(f) < _read(f).sort_values().iloc[len(f) // 2], f["volume"], (f["close"].astype(float) * f["volume"].astype(float)).round(2).astype("str"))), "changes? its unit"),
    Edit("another quote volume", _added("quote_volume", lambda f, r: f["open"])),
    Edit("a mean of volumes beside", _added("Volume MA", lambda f, r: f["close"])),
    Edit("a volatility beside", _added("vol_20", lambda f, r: [f"{v:.4f}" for v in r.uniform(0.01, 0.1, len(f))])),
    Edit("volume in thousands", lambda f, r: f.assign(volume=_numbers(lambda v: f"{v / 1000:.6f}")(f["volume"])).rename(columns={"volume": "Volume (000s)"}), "multiplied by 1,000"),
    Edit("a row of units", lambda f, r: pd.concat([pd.DataFrame([["", "", *["USD"] * 4, "coins", *[""] * (f.shape[1] - 7)]], columns=f.columns), f]), "holds units"),
    Edit("symbols in a column of names", _renamed("symbol", "Name", "ric"), "tells its securities apart"),
    Edit("a factor beside", _added("adj_factor", lambda f, r: ["1.0"] * len(f))),
    Edit("a currency beside", _added("currency", lambda f, r: ["USD"] * len(f))),
    Edit("another currency beside", _added("currency", lambda f, r: ["EUR"] * len(f)), "EUR"),
    # stamps
    Edit("dates alone", _stamps(lambda t: t.dt.strftime("%Y-%m-%d"))),
    Edit("day first", _stamps(lambda t: t.dt.strftime("%d/%m/%Y"))),
    Edit("month first", _stamps(lambda t: t.dt.strftime("%m-%d-%Y"))),
    *(Edit(f"two-digit years, {form}", _stamps(lambda t, form=form: t.dt.strftime(form))) for form in ("%d.%m.%y", "%m/%d/%y", "%y-%m-%d", "%d-%b-%y")),
    Edit("signs behind a date", _stamps(lambda t: t.dt.strftime("%Y年%m月%d日"))),
    Edit("month's name", _stamps(lambda t: t.dt.strftime("%d-%b-%Y"))),
    Edit("digits", _stamps(lambda t: t.dt.strftime("%Y%m%d"))),
    Edit("digits with clock", _stamps(lambda t: t.dt.strftime("%Y%m%d%H%M%S"))),
    Edit("seconds", _stamps(lambda t: t.dt.as_unit("s").astype("int64"))),
    Edit("seconds with a point", _stamps(lambda t: t.dt.as_unit("s").astype("int64").astype("str") + ".0")),
    Edit("milliseconds", _stamps(lambda t: t.dt.as_unit("ms").astype("int64"))),
    Edit("seconds, then milliseconds", _mixed_epochs),
    Edit("dates, then seconds", _half_stamps(lambda t: t.dt.as_unit("s").astype("int64"))),
    Edit("dates, then UTC", _half_stamps(lambda t: t.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))),
    Edit("days of a spreadsheet", _stamps(lambda t: (t - pd.Timestamp("1899-12-30", tz="UTC")).dt.days)),
    Edit("offset of Tokyo", _stamps(lambda t: t.dt.tz_convert("Asia/Tokyo").dt.strftime("%Y-%m-%dT%H:%M:%S%z"))),
    Edit("offset of New York", _stamps(lambda t: t.dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d %H:%M:%S%z"))),
    Edit("end of the day", _stamps(lambda t: (t + pd.Timedelta("23:59:59")).dt.strftime("%Y-%m-%d %H:%M:%S"))),
    Edit("end of the day, epochs", _stamps(lambda t: (t + pd.Timedelta("23:59:59.999")).dt.as_unit("ms").astype("int64"))),
    Edit("date and time apart", lambda f, r: f.assign(timestamp=_read(f).dt.strftime("%Y.%m.%d")).rename(columns={"timestamp": "date"}).assign(time="00:00")),
    Edit("every third bar", lambda f, r: f[np.arange(len(f)) % 3 == 0], "missing_sessions"),
    Edit("hours of a zone beside", _added("time", lambda f, r: ["09:30 ET"] * len(f))),
    Edit("bare hours beside", lambda f, r: f.rename(columns={"timestamp": "date"}).assign(time=[str(9 + i % 8) for i in range(len(f))])),
    Edit("one bad date", _cells("timestamp", "2024-02-31")),
    Edit("one date as a word", _cells("timestamp", "yesterday")),
    Edit("an hourly tail", _hourly_tail),
    Edit("a weekly head", _weekly_head),
    Edit("every seventh bar", _weekly, "missing_sessions"),
    # symbols
    Edit("symbols of an exchange", _whole("symbol", lambda s: s.str.replace("-USD", "/USDT"))),
    Edit("symbols without a mark", _whole("symbol", lambda s: s.str.replace("-", ""))),
    Edit("symbols in small letters for half", _half("symbol", lambda s: s.str.lower())),
    Edit("symbols with spaces", _half("symbol", lambda s: s + " ")),
    Edit("another spelling for half", _half("symbol", lambda s: s.str.replace("-", "/"))),
    Edit("symbols NA", _whole("symbol", lambda s: s.str.replace("BTC-USD", "NA")), "no symbol of universe|symbols of universe"),
    Edit("symbols TRUE", _whole("symbol", lambda s: s.str.replace("ETH-USD", "TRUE")), "symbols of universe"),
    # numbers
    Edit("thousands marked", _each(_THOUSANDS)),
    Edit("thousands marked in closes", _each(_THOUSANDS, ("close",))),
    Edit("decimal commas", _each(_commas)),
    Edit("decimal commas in closes", _each(_commas, ("close",))),
    Edit("dollar signs", _each(lambda s: "$" + s, _COLUMNS)),
    Edit("euro signs", _each(lambda s: "\u20ac" + s, _COLUMNS), "EUR"),
    Edit("swiss thousands", _each(_numbers(lambda v: f"{v:,.3f}".replace(",", "'")))),
    Edit("a word for a price", _cells("close", "sold")),
    Edit("NA for closes", _cells("close", "NA"), "missing_values"),
    Edit("empty opens", _cells("open", ""), "missing_values"),
    Edit("zero opens", _cells("open", "0"), "non_positive"),
    Edit("zero closes", _cells("close", "0"), "non_positive"),
    Edit("negative closes", _cells("close", "-1"), "non_positive"),
    Edit("infinite closes", _cells("close", "inf")),
    Edit("zero highs", _cells("high", "0.0"), "non_positive"),
    Edit("closes in hundredths for half", _half("close", _HUNDREDTHS), "unit_errors"),
    Edit("volume of nothing", _whole("volume", lambda s: s.map(lambda _: "0")), "volume"),
    Edit("volume with letters", _whole("volume", _numbers(lambda v: f"{v / 1000:.6f}K"))),
    Edit("in scientific notation", _each(_numbers(lambda v: f"{v:.12e}"))),
)  # fmt: skip


def _comma(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False)


def _semicolon(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, sep=";")


def _tab(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, sep="\t", encoding="utf-16")


def _preamble(frame: pd.DataFrame, path: Path) -> None:
    path.write_text("Exported by a tool, 5 January 2026\n\n" + frame.to_csv(index=False, lineterminator="\r\n"))


def _zip(frame: pd.DataFrame, path: Path) -> None:
    packing = {"method": "zip", "archive_name": "bars.csv"}
    frame.to_csv(path.with_suffix(".zip"), index=False, encoding="gb18030", compression=packing)


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.loc[:, ~frame.columns.duplicated()].to_parquet(path.with_suffix(".parquet"), index=False)


WRITERS: Final = {
    "comma": _comma,
    "semicolon": _semicolon,
    "tab, utf-16": _tab,
    "preamble": _preamble,
    "zip, gb18030": _zip,
    "parquet": _parquet,
}


def honest_panel(folder: Path) -> Panel:
    """Return the panel that the unedited bars give."""
    path = folder / "honest.parquet"
    honest.honest_bars(bars=BARS).to_parquet(path)
    return _load(path)


def play(seed: int, folder: Path, truth: Panel) -> Outcome:
    """Make the file of that seed (one edit, or two of different kinds) and say what reading it came to."""
    rng = np.random.default_rng(seed)
    frame = honest.honest_bars(bars=BARS)
    frame["timestamp"] = frame["timestamp"].dt.strftime("%Y-%m-%d")
    frame = frame.astype("str")
    chosen = [EDITS[seed % len(EDITS)]]
    if rng.random() < 0.4:
        second = EDITS[int(rng.integers(len(EDITS)))]
        chosen += [second] if second.name.partition(",")[0] != chosen[0].name.partition(",")[0] else []
    done = []
    for edit in chosen:
        try:
            frame = edit.make(frame, rng).reset_index(drop=True)
        except (KeyError, ValueError):  # the second edit does not fit what the first has left
            continue
        done.append(edit)
    writer = list(WRITERS)[int(rng.integers(len(WRITERS)))]
    path = folder / f"{seed}.csv"
    WRITERS[writer](frame, path)
    return _judged(honest.written(path), tuple(done), writer, truth)


def _judged(path: Path, edits: tuple[Edit, ...], writer: str, truth: Panel) -> Outcome:
    names = tuple(edit.name for edit in edits)
    try:
        panel = _load(path)
    except DataError as error:
        one_line = "\n" not in str(error) and error.hint
        return Outcome(names, writer, "refused" if one_line else "crashed", str(error))
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return Outcome(names, writer, "crashed", f"{type(error).__name__}: {error}")
    if panel.fingerprint == truth.fingerprint:
        return Outcome(names, writer, "honest", "")
    said = " | ".join(panel.notes)
    needed = [edit.names for edit in edits if edit.names]
    if needed and any(re.search(words, said) for words in needed) and _figures_are_honest(panel, truth):
        return Outcome(names, writer, "noted", said)
    return Outcome(names, writer, "silent", said)


def _figures_are_honest(panel: Panel, truth: Panel) -> bool:
    """Return whether every close that a panel has is one of the honest ones, at its own time and of its symbol."""
    rows = np.searchsorted(truth.timestamps, panel.timestamps)
    if (rows >= truth.bars).any() or (truth.timestamps[rows] != panel.timestamps).any():
        return False
    for column, symbol in enumerate(panel.symbols):
        real = {"NA": "BTC-USD", "TRUE": "ETH-USD"}.get(symbol, symbol)
        if real not in truth.symbols:
            return False
        there = np.isfinite(panel.close[:, column])
        known = truth.close[rows, truth.symbols.index(real)]
        if not np.allclose(panel.close[there, column], known[there], rtol=1e-9):
            return False
    return True


def _load(path: Path) -> Panel:
    spec = with_data(compose(["asset=crypto", "data=files"]), path=str(path))
    return load(spec.asset, spec.data, seed=0)
