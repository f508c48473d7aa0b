"""What a file's figures mean where its columns do not say: volume in coins or money, dividends in the price or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data import intervals
from wealtharena.data.bars import Adjustment, VolumeUnit
from wealtharena.errors import DataError

# What a coin turns over in a day, in dollars: less was never listed widely, more was never seen (Bitcoin in 2021: 3.5e11).
_LEAST, _MOST = 1e6, 1e12
_SURE: Final = 4.0  # log likelihood ratio from which ex-dates decide; even odds at 0, 1 in 55 at 4
_SLIGHT: Final = 0.002  # dividends of less than this share of the price over the whole file change no figure


CONTAINED: Final = "prices contain the dividends, which are not paid again"


@dataclass(frozen=True)
class Answer:
    """What was decided, and the words for it; `note` where a report must carry them."""

    value: str
    words: str
    note: bool = False


def volume_unit(
    tables: Mapping[str, pd.DataFrame],
    market: str,
    *,
    setting: str,
    kinds: Mapping[str, str],
    mixed: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Answer]:
    """Return the unit of each symbol's volume: as configured, as its column says, else by what is plausible.

    Shares and contracts are counted in units. A coin's volume may be coins or money: it is what gives a turnover that a
    market can have; where both do, the unit that allows the smaller orders. `mixed` names those that were brought to
    money because they had both, and the words for it.
    """
    made: dict[str, Answer] = {name: Answer("account", words, note=True) for name, words in mixed.items()}
    tables = {name: table for name, table in tables.items() if name not in mixed}
    coins = _coin_unit(tables) if market == "crypto" and setting == "auto" else None
    for name, table in tables.items():
        volume = table["volume"] if "volume" in table else pd.Series(dtype=np.float64)
        if not (volume > 0).any():
            made[name] = Answer("none", "the file has none")
        elif setting != "auto":
            made[name] = Answer(setting, "as data.volume_unit says")
        elif kinds.get(name) in ("units", "account"):
            made[name] = (
                _doubted(table, kinds[name]) if market == "crypto" else Answer(kinds[name], "as its column says")
            )
        elif market == "forex":
            words = "a currency pair's volume counts ticks and limits nothing; set data.volume_unit=units if it counts money"
            made[name] = Answer("none", words, note=True)
        else:
            made[name] = coins or Answer("units", "shares or contracts")
    return made


def as_unit(answer: Answer) -> VolumeUnit:
    """Return the unit as its type."""
    units: dict[str, VolumeUnit] = {"units": "units", "account": "account", "none": "none"}
    return units[answer.value]


def _doubted(table: pd.DataFrame, kind: str) -> Answer:
    """Return the unit that a coin's column says, with a note where no coin turns over as much."""
    as_coins, as_money = _turnover(table)
    money = as_coins if kind == "units" else as_money
    if money <= _MOST:
        return Answer(kind, "as its column says")
    name, way = (
        ("coins", "account if it counts money") if kind == "units" else ("money", "none to limit no order by it")
    )
    words = f"volume is taken as {name}, as its column says: {_short(money)} a day, more than any coin's; set data.volume_unit={way}"
    return Answer(kind, words, note=True)


def _turnover(table: pd.DataFrame) -> tuple[float, float]:
    """Return the median of a day's volume in dollars, if it counts coins and if it counts money."""
    day = bars_a_day(table)
    traded = table[(table["volume"] > 0) & (table["close"] > 0)]
    return float((traded["volume"] * traded["close"]).median()) * day, float(traded["volume"].median()) * day


def _coin_unit(tables: Mapping[str, pd.DataFrame]) -> Answer:
    """Return whether the coins' volumes count coins or money, one answer for the file."""
    counted = [_turnover(table) for table in tables.values() if "volume" in table and (table["volume"] > 0).any()]
    as_coins, as_money = [coins for coins, _ in counted], [money for _, money in counted]
    votes = sum(plausible(coins) - plausible(money) for coins, money in zip(as_coins, as_money, strict=True))
    way = "; set data.volume_unit=units (coins) or account (money) to say otherwise"
    typical = f"{_short(np.median(as_coins) if as_coins else 0)} a day as coins, {_short(np.median(as_money) if as_money else 0)} as money"
    if votes:
        unit = "units" if votes > 0 else "account"
        name = "coins" if votes > 0 else "money"
        return Answer(
            unit, f"volume is taken as {name}, which alone gives a plausible turnover ({typical}){way}", note=True
        )
    smaller = "units" if sum(np.log(as_coins)) < sum(np.log(as_money)) else "account"
    name = "coins" if smaller == "units" else "money"
    return Answer(
        smaller, f"volume may be coins or money ({typical}) and is taken as {name}, which allows less{way}", note=True
    )


def bars_a_day(table: pd.DataFrame) -> float:
    """Return how many of a table's usual steps make a day; 1 where it has too few bars to tell."""
    shown = intervals.spacing(table["timestamp"])
    return pd.Timedelta(days=1) / shown.typical if shown else 1.0


def plausible(turnover: float) -> bool:
    """Return whether a listed coin can turn over so many dollars in a day."""
    return _LEAST <= turnover <= _MOST


def _short(value: float) -> str:
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f} dollars" if rounded >= 10 else f"{rounded:g} dollars"


def adjustment(tables: Mapping[str, pd.DataFrame], *, setting: str, known: Mapping[str, str]) -> Answer:
    """Return how the file's prices are adjusted: as configured, as its layout says, else by what they do on ex-dates.

    A price that does not fall by the dividend on its ex-date contains it already.

    Raises:
        DataError: there are dividends, and the ex-dates do not tell; or splits are recorded the other way round.
    """
    if setting != "auto":
        return Answer(setting, "as data.adjusted says")
    evidence, dates = _splits_show(tables)
    if dates and _splits_show(tables, turned=True)[0] >= _SURE:
        raise DataError(
            "prices jump on the dates of recorded splits the other way round",
            hint="write splits as new shares for old ones (4 or 4:1 where a price falls to a quarter),"
            " or set data.adjusted=splits if prices have them",
        )
    doubt = ""
    if dates and abs(evidence) < _SURE:
        doubt = f"; the prices of {dates} dates hardly tell: set data.adjusted=none to apply splits, splits where prices have them"
    if evidence > 0.0 or set(known.values()) == {"none"}:
        return Answer("none", f"prices jump on the dates of splits: the splits are applied{doubt}", note=True)
    answer = _by_dividends(tables, known)
    if not doubt:
        return answer
    words = f"{answer.words}; prices are taken to have the recorded splits{doubt}"
    return Answer(answer.value, words, note=True)


def _by_dividends(tables: Mapping[str, pd.DataFrame], known: Mapping[str, str]) -> Answer:
    """Return whether prices contain the dividends, as their layout says, else by what they do on ex-dates."""
    found = sorted({"splits" if kind == "none" else kind for kind in known.values()})
    if len(found) == 1:
        return Answer(found[0], "as its columns say", note=found[0] == "all")
    evidence, dates, size = 0.0, 0, 0.0
    for table in tables.values():
        one, count, paid = _ex_dates(table)
        evidence, dates, size = evidence + one, dates + count, size + paid
    if not dates:
        return Answer("splits", "no dividends in the file")
    if evidence >= _SURE:
        return Answer("splits", f"prices fall on {dates} ex-dates: dividends are paid in cash")
    if evidence <= -_SURE:
        words = f"prices do not fall on {dates} ex-dates"
        return Answer("all", words, note=True)
    if size < _SLIGHT:
        return Answer("splits", f"{dates} small dividends, paid in cash")
    raise DataError(
        f"the file has {dates} dividends, and its prices do not show whether they contain them",
        hint="set data.adjusted=splits if prices fall on ex-dates (as traded), or all if they contain dividends",
    )


def adjusted_as(answer: Answer) -> Adjustment:
    """Return the adjustment as its type."""
    kinds: dict[str, Adjustment] = {"none": "none", "splits": "splits", "all": "all"}
    return kinds[answer.value]


def _ex_dates(table: pd.DataFrame) -> tuple[float, int, float]:
    """Return the log likelihood ratio of `falls on ex-dates` against `does not`, their number and the yields' sum."""
    if "dividend" not in table or not (table["dividend"].fillna(0) > 0).any():
        return 0.0, 0, 0.0
    rows = table.sort_values("timestamp")
    close = rows["close"].to_numpy(dtype=np.float64)
    after = rows["open"].to_numpy(dtype=np.float64) if "open" in rows else close
    after = np.where(np.isfinite(after) & (after > 0), after, close)
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = after[1:] / close[:-1] - 1.0
        yields = rows["dividend"].fillna(0).to_numpy(dtype=np.float64)[1:] / close[:-1]
    usable = np.isfinite(moves) & np.isfinite(yields) & (np.abs(moves) < 0.4)
    paid = usable & (yields > 0) & (yields < 0.5)
    if not paid.any():
        return 0.0, 0, 0.0
    variance = _robust_variance(moves[usable & ~paid])
    ratio = ((moves[paid]) ** 2 - (moves[paid] + yields[paid]) ** 2) / (2.0 * variance)
    return float(ratio.sum()), int(paid.sum()), float(yields[paid].sum())


def _splits_show(tables: Mapping[str, pd.DataFrame], *, turned: bool = False) -> tuple[float, int]:
    """Return the log likelihood ratio of `prices jump on the dates of recorded splits` against `they do not`, and the dates.

    `turned` asks for jumps the other way round, as where 1:4 means four new shares for one. One date counts for no more than sure, so that most of them decide.
    """
    evidence, dates = 0.0, 0
    for table in tables.values():
        if "split" not in table or not (table["split"].fillna(0) > 0).any():
            continue
        rows = table.sort_values("timestamp")
        close, split = rows["close"].to_numpy(dtype=np.float64), rows["split"].fillna(0).to_numpy(dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            moves, ratios = np.log(close[1:] / close[:-1]), np.log(split[1:])
        usable = np.isfinite(moves)
        ratios = -ratios if turned else ratios
        at = usable & np.isfinite(ratios) & (ratios != 0.0)
        nearer = moves[at] ** 2 - (moves[at] + ratios[at]) ** 2
        likely = nearer / (2.0 * _robust_variance(moves[usable & ~at]))
        evidence, dates = evidence + float(np.clip(likely, -_SURE, _SURE).sum()), dates + int(at.sum())
    return evidence, dates


def _robust_variance(moves: npt.NDArray[np.float64]) -> float:
    if len(moves) < 10:
        return 0.02**2
    return max(float(np.median(np.abs(moves - np.median(moves))) / 0.6745) ** 2, 1e-8)
