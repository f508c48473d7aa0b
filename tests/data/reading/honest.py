"""Honest bars, and every way of writing them down that must give the same panel."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

Writer = Callable[[pd.DataFrame, "pd.Series | None", Path], None]
SYMBOLS: Final = ("BTC-USD", "ETH-USD")
_PRICES: Final = (30_000.0, 2_000.0)
_VOLUMES: Final = (20_000.0, 300_000.0)  # coins: as money they would be implausible
FIELDS: Final = ("open", "high", "low", "close", "volume")


def honest_bars(*, bars: int = 40, interval: str = "1d", seed: int = 7) -> pd.DataFrame:
    """Return coins' bars in long form; prices have two decimals and volumes three, so that every text holds them."""
    step = {"1d": "D", "1h": "h", "15m": "15min", "1w": "7D"}[interval]
    rng = np.random.default_rng(seed)
    parts = []
    for symbol, price, size in zip(SYMBOLS, _PRICES, _VOLUMES, strict=True):
        close = np.round(price * np.exp(np.cumsum(rng.normal(0, 0.02, bars))), 2)
        first = np.r_[price, close[:-1]]
        high = np.round(np.maximum(close, first) * (1 + rng.uniform(0.001, 0.01, bars)), 2)
        low = np.round(np.minimum(close, first) * (1 - rng.uniform(0.001, 0.01, bars)), 2)
        volume = np.round(size * rng.uniform(0.5, 2, bars), 3)
        stamps = pd.date_range("2024-01-15", periods=bars, freq=step, tz="UTC")
        columns = {"timestamp": stamps, "symbol": symbol, "open": first, "high": high, "low": low, "close": close}
        parts.append(pd.DataFrame(columns | {"volume": volume}))
    return pd.concat(parts, ignore_index=True)


def _since_1970(stamps: pd.Series) -> pd.Series:
    return stamps.dt.as_unit("ns").astype("int64")


def _iso(stamps: pd.Series) -> pd.Series:
    day = bool((stamps.dt.normalize() == stamps).all())
    return stamps.dt.strftime("%Y-%m-%d" if day else "%Y-%m-%d %H:%M:%S")


def _digits(stamps: pd.Series) -> pd.Series:
    day = bool((stamps.dt.normalize() == stamps).all())
    return stamps.dt.strftime("%Y%m%d" if day else "%Y%m%d %H%M%S")


def _dotted(stamps: pd.Series) -> pd.Series:
    day = bool((stamps.dt.normalize() == stamps).all())
    return stamps.dt.strftime("%d.%m.%Y" if day else "%d.%m.%Y %H:%M")


SPELLINGS: Final[dict[str, Callable[[pd.Series], pd.Series]]] = {
    "plain": _iso,
    "zulu": lambda stamps: stamps.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "offset": lambda stamps: stamps.dt.tz_convert("Asia/Tokyo").dt.strftime("%Y-%m-%d %H:%M:%S%z"),
    "seconds": lambda stamps: _since_1970(stamps) // 10**9,
    "milliseconds": lambda stamps: _since_1970(stamps) // 10**6,
    "digits": _digits,
    "dotted": _dotted,
    "datetimes": lambda stamps: stamps,
    "microseconds": lambda stamps: _since_1970(stamps) // 10**3,
    "american": lambda stamps: stamps.dt.strftime("%m/%d/%Y %I:%M:%S %p"),
}


def _save(frame: pd.DataFrame, path: Path, *, index: bool = False, **options: Any) -> None:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=index or None)
    else:
        frame.to_csv(path, index=index, **options)


def _spelled(frame: pd.DataFrame, stamps: pd.Series | None) -> pd.DataFrame:
    return frame if stamps is None else frame.assign(timestamp=stamps)


def _long(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps), path)


def _other_names(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    names = {"timestamp": "Date", "symbol": "Ticker", "open": " OPEN", "close": "Close*", "volume": "Vol."}
    _save(_spelled(frame, stamps).rename(columns=names), path)


def _row_index(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    numbered = _spelled(frame, stamps)
    numbered.insert(0, "" if path.suffix == ".csv" else "index", range(len(numbered)))
    _save(numbered, path)


def _shuffled(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps).sample(frac=1, random_state=3), path)


def _newest_first(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps).iloc[::-1], path)


def _two_levels(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps).set_index(["symbol", "timestamp"]), path, index=True)


def _two_levels_swapped(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps).set_index(["timestamp", "symbol"]), path, index=True)


def _time_index(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps).set_index("timestamp"), path, index=True)


def _a_file_each(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    path.mkdir()
    for symbol, part in _spelled(frame, stamps).groupby("symbol"):
        _save(part.drop(columns="symbol"), path / f"{symbol}{path.suffix}")
    (path / f"._BTC-USD{path.suffix}").write_bytes(b"\x00\x05\x16\x07Mac OS X")


def _wide(frame: pd.DataFrame, stamps: pd.Series | None) -> pd.DataFrame:
    named = _spelled(frame, stamps).rename(columns=str.capitalize)
    wide = named.pivot(index="Timestamp", columns="Symbol")
    wide.columns.names = ["Price", "Ticker"]
    return wide.rename_axis(index="Date")


def _fields_then_tickers(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_wide(frame, stamps), path, index=True)


def _tickers_then_fields(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_wide(frame, stamps).swaplevel(axis=1).sort_index(axis=1), path, index=True)


def _two_header_rows(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    wide = _wide(frame, stamps)
    if path.suffix == ".parquet":
        return _save(wide.rename_axis(index=None), path, index=True)
    lines = wide.to_csv().splitlines()
    heads = [lines[0].replace("Price", "Date"), lines[1].replace("Ticker", "")]
    path.write_text("\n".join([*heads, *lines[3:]]) + "\n")
    return None


def _alpaca(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps).assign(trade_count=10.0, vwap=frame["close"]), path)


def _finrl(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    named = _spelled(frame, stamps).rename(columns={"timestamp": "date", "symbol": "tic"})
    _save(named.assign(day=frame["timestamp"].dt.day_of_week.to_numpy()), path, index=True)


def _semicolon(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps), path, sep=";", decimal=",")


def _tab(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    _save(_spelled(frame, stamps), path, sep="\t", encoding="utf-8-sig")


def _preamble(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    path.write_text("https://www.example.com\n\n" + _spelled(frame, stamps).to_csv(index=False))


def _utf16(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    path.write_bytes(_spelled(frame, stamps).to_csv(index=False).encode("utf-16"))


def _thousands(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    text = _spelled(frame, stamps).assign(**{name: frame[name].map("{:,.3f}".format) for name in FIELDS})
    text.to_csv(path, index=False)


def _compressed(frame: pd.DataFrame, stamps: pd.Series | None, path: Path) -> None:
    path.write_bytes(gzip.compress(_spelled(frame, stamps).to_csv(index=False).replace("\n", "\r\n").encode()))


ANY: Final[dict[str, Writer]] = {
    "long": _long,
    "other names": _other_names,
    "row index": _row_index,
    "shuffled": _shuffled,
    "newest first": _newest_first,
    "two levels": _two_levels,
    "two levels, swapped": _two_levels_swapped,
    "time index": _time_index,
    "a file each": _a_file_each,
    "fields then tickers": _fields_then_tickers,
    "tickers then fields": _tickers_then_fields,
    "two header rows": _two_header_rows,
    "alpaca": _alpaca,
    "finrl": _finrl,
}  # CSV and Parquet
TEXT: Final[dict[str, Writer]] = {
    "semicolon, decimal comma": _semicolon,
    "tab and byte order mark": _tab,
    "preamble": _preamble,
    "utf-16": _utf16,
    "thousands": _thousands,
    "compressed": _compressed,
}  # CSV alone


def _each(frame: pd.DataFrame, path: Path, name: Callable[[str], str], make: Callable[[pd.DataFrame], str]) -> None:
    path.mkdir()
    for symbol, part in frame.groupby("symbol"):
        (path / name(str(symbol))).write_text(make(part.reset_index(drop=True)))


def _klines(part: pd.DataFrame, *, header: bool) -> str:
    ms = _since_1970(part["timestamp"]) // 10**6
    half = len(ms) // 2
    opened = np.r_[ms[:half], ms[half:] * 1000]  # Binance counts in microseconds since 2025
    money = part["volume"] * part["close"]
    columns: dict[str, Any] = {"open_time": opened} | {name: part[name] for name in FIELDS}
    columns |= {"close_time": opened + 999, "quote_asset_volume": money, "count": 12, "taker_buy_volume": 1.5}
    columns |= {"taker_buy_quote_volume": 3.5, "ignore": 0}
    return pd.DataFrame(columns).to_csv(index=False, header=header)


def binance(frame: pd.DataFrame, path: Path) -> None:
    _each(frame, path, lambda s: f"{s.split('-')[0]}USDT-1d-2024.csv", lambda part: _klines(part, header=True))


def binance_without_header(frame: pd.DataFrame, path: Path) -> None:
    _each(frame, path, lambda s: f"{s.split('-')[0]}USDT-1d-2024.csv", lambda part: _klines(part, header=False))


def kraken(frame: pd.DataFrame, path: Path) -> None:
    def make(part: pd.DataFrame) -> str:
        seconds = _since_1970(part["timestamp"]) // 10**9
        return part.assign(timestamp=seconds, trades=4).drop(columns="symbol").to_csv(index=False, header=False)

    _each(frame, path, lambda s: f"{s.replace('BTC', 'XBT').replace('-', '')}_1440.csv", make)


def ccxt(frame: pd.DataFrame, path: Path) -> None:
    written = frame.assign(timestamp=_since_1970(frame["timestamp"]) // 10**6)
    written["symbol"] = written["symbol"].str.replace("-USD", "/USDT")
    written.to_csv(path.with_suffix(".csv"), index=False)


def crypto_data_download(frame: pd.DataFrame, path: Path) -> None:
    def make(part: pd.DataFrame) -> str:
        coin = part["symbol"].iloc[0].split("-")[0]
        money = part["volume"] * part["close"]
        columns: dict[str, Any] = {"unix": _since_1970(part["timestamp"]) // 10**9}
        columns |= {"date": part["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S"), "symbol": f"{coin}/USD"}
        columns |= {name: part[name] for name in FIELDS[:4]} | {f"Volume {coin}": part["volume"], "Volume USD": money}
        return "https://www.CryptoDataDownload.com\n" + pd.DataFrame(columns).iloc[::-1].to_csv(index=False)

    _each(frame, path, lambda s: f"Bitstamp_{s.replace('-', '')}_d.csv", make)


def metatrader(frame: pd.DataFrame, path: Path) -> None:
    def make(part: pd.DataFrame) -> str:
        clock = {
            "<DATE>": part["timestamp"].dt.strftime("%Y.%m.%d"),
            "<TIME>": part["timestamp"].dt.strftime("%H:%M:%S"),
        }
        prices = {f"<{name.upper()}>": part[name] for name in FIELDS[:4]}
        return pd.DataFrame(clock | prices | {"<TICKVOL>": part["volume"], "<SPREAD>": 1}).to_csv(index=False, sep="\t")

    _each(frame, path, lambda s: f"{s.replace('-', '')}_Daily.csv", make)


def metatrader_without_header(frame: pd.DataFrame, path: Path) -> None:
    def make(part: pd.DataFrame) -> str:
        clock = {"d": part["timestamp"].dt.strftime("%Y.%m.%d"), "t": part["timestamp"].dt.strftime("%H:%M")}
        return pd.DataFrame(clock | {name: part[name] for name in FIELDS}).to_csv(index=False, header=False)

    _each(frame, path, lambda s: f"{s.replace('-', '')}1440.csv".replace("1440", ""), make)


def stooq(frame: pd.DataFrame, path: Path) -> None:
    columns: dict[str, Any] = {"<TICKER>": frame["symbol"], "<PER>": "D"}
    columns |= {"<DATE>": frame["timestamp"].dt.strftime("%Y%m%d"), "<TIME>": frame["timestamp"].dt.strftime("%H%M%S")}
    columns |= {f"<{name.upper()}>": frame[name] for name in FIELDS[:4]} | {"<VOL>": frame["volume"], "<OPENINT>": 0}
    pd.DataFrame(columns).to_csv(path.with_suffix(".csv"), index=False)


def qlib(frame: pd.DataFrame, path: Path) -> None:
    wide = frame.rename(columns={name: f"${name}" for name in FIELDS} | {"timestamp": "datetime"})
    wide["datetime"] = wide["datetime"].dt.tz_localize(None)
    wide.rename(columns={"symbol": "instrument"}).set_index(["instrument", "datetime"]).to_parquet(
        path.with_suffix(".parquet")
    )


OWN: Final[dict[str, Callable[[pd.DataFrame, Path], None]]] = {
    "Binance klines": binance,
    "Binance klines without a header": binance_without_header,
    "Kraken": kraken,
    "ccxt": ccxt,
    "CryptoDataDownload": crypto_data_download,
    "MetaTrader 5": metatrader,
    "MetaTrader 4": metatrader_without_header,
    "Stooq": stooq,
    "qlib": qlib,
}  # exporters with a spelling of their own


def written(path: Path) -> Path:
    """Return what a writer made of `path`: the folder, or the file with the suffix that it chose."""
    endings = (path.suffix, ".csv", ".parquet", ".zip")
    return next(item for item in map(path.with_suffix, endings) if item.exists())
