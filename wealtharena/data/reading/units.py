"""What a volume counts where its column does not say: coins or money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from wealtharena.data import intervals
from wealtharena.data.bars import VolumeUnit
from wealtharena.errors import DataError

# What a coin turns over in a day, in dollars: less was never listed widely, more was never seen (Bitcoin in 2021: 3.5e11).
_LEAST, _MOST = 1e6, 1e12
# From so many bars a day and days on, volume that does not fall within nearly all of the days is no bar's own.
_BARS_A_DAY, _ENOUGH_DAYS, _MOST_DAYS, _HALF_A_DAY = 5, 5, 0.95, pd.Timedelta(hours=12)
_FEW_SHARES = 1000  # a bar, of which most are broken numbers
_FEW_THOUSANDS = 1e6  # a bar, of three decimals: more are hardly traded


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

    Raises:
        DataError: a symbol's volume counts on from bar to bar within the day.
    """
    made: dict[str, Answer] = {name: Answer("account", words, note=True) for name, words in mixed.items()}
    tables = {name: table for name, table in tables.items() if name not in mixed}
    coins = _coin_units(tables) if market == "crypto" and setting == "auto" else {}
    for name, table in tables.items():
        volume = table["volume"] if "volume" in table else pd.Series(dtype=np.float64)
        if not (volume > 0).any():
            made[name] = Answer("none", "the file has none")
        elif setting != "none" and market != "forex" and _counts_on(table):
            raise DataError(
                f"{name}: volume falls once a day only, as one that counts what was traded since the day began",
                hint="write what was traded in each bar, or set data.volume_unit=none",
            )
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
            made[name] = coins.get(name) or _shares(table)
    return made


def _counts_on(table: pd.DataFrame) -> bool:
    """Return whether volume falls from one bar to the next but once a day, where it has several bars a day."""
    if len(table) < _BARS_A_DAY * _ENOUGH_DAYS or intervals.is_dated(table["timestamp"]):
        return False  # bars of days: what hardly trades falls from its few volumes to none, days apart
    ordered = table.sort_values("timestamp", kind="stable")
    days = pd.DatetimeIndex(ordered["timestamp"][ordered["volume"].diff() < 0])
    if not _ENOUGH_DAYS <= len(days) <= len(table) / _BARS_A_DAY:
        return False
    return bool((days[1:] - days[:-1] > _HALF_A_DAY).mean() >= _MOST_DAYS)


def _shares(table: pd.DataFrame) -> Answer:
    """Return that a volume counts shares or contracts, with a note where it is mostly less than one, or broken, and few or of three decimals."""
    traded = table.loc[table["volume"] > 0, "volume"]
    usual = float(traded.median())
    thousands = usual < _FEW_THOUSANDS and bool(
        np.isclose(traded * 1e3, np.round(traded * 1e3), rtol=0.0, atol=1e-4).all()
    )
    broken = (usual < _FEW_SHARES or thousands) and float((traded != np.trunc(traded)).mean()) > 0.5
    if usual >= 1.0 and not broken:
        return Answer("units", "shares or contracts")
    words = f"volume is taken as shares or contracts, of which it has {usual:.3g} a bar; if it counts thousands or millions, call its column `Volume (000s)` or `Volume (M)`; if something else, set data.volume_unit=none"
    return Answer("units", words, note=True)


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


def _coin_units(tables: Mapping[str, pd.DataFrame]) -> dict[str, Answer]:
    """Return whether the coins' volumes count coins or money: one answer for all, but for those that it makes impossible."""
    counted = {
        name: _turnover(table) for name, table in tables.items() if "volume" in table and (table["volume"] > 0).any()
    }
    if not counted:
        return {}
    common = _coin_unit(list(counted.values()))
    made = dict.fromkeys(counted, common)
    for name, (as_coins, as_money) in counted.items():
        taken, other = (as_coins, as_money) if common.value == "units" else (as_money, as_coins)
        if plausible(taken) or not plausible(other):
            continue
        as_taken, as_other = ("coins", "money") if common.value == "units" else ("money", "coins")
        what = f"{name}'s volume is {_short(taken)} a day as {as_taken}, {_short(other)} as {as_other}"
        if taken > _MOST:
            unit = "account" if common.value == "units" else "units"
            made[name] = Answer(unit, f"{what}: it is taken as {as_other}, unlike the others'", note=True)
        else:
            way = "name its column by what it counts if that is wrong"
            made[name] = Answer(common.value, f"{common.words}; {what}: {way}", note=True)
    return made


def _coin_unit(counted: Sequence[tuple[float, float]]) -> Answer:
    """Return what most of the volumes count, by their turnovers as coins and as money."""
    as_coins, as_money = [coins for coins, _ in counted], [money for _, money in counted]
    votes = sum(plausible(coins) - plausible(money) for coins, money in zip(as_coins, as_money, strict=True))
    way = "; set data.volume_unit=units (coins) or account (money) to say otherwise"
    typical = f"{_short(np.median(as_coins))} a day as coins, {_short(np.median(as_money))} as money"
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
