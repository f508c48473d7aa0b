"""Dividends that are paid in other money than the prices are in, as those of a London share that pays in dollars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config.specs.data import DataSpec
from wealtharena.data import currency, fixings, periods
from wealtharena.data.reading.venues import Quote, quote_in
from wealtharena.errors import DataError

_OUT = "use another source, or leave it out of data.symbols"


@dataclass(frozen=True)
class Payout:
    """Cash a unit as its source states it: `code` is the currency's, that of the prices where it is empty."""

    at: pd.Timestamp  # UTC; of daily bars the ex-date at 00:00
    amount: float
    code: str = ""


def of_yahoo(text: str, *, daily: bool) -> list[Payout]:
    """Return the dividends in an answer of Yahoo's chart service.

    Raises:
        DataError: one has no amount, or no date that there can be.
    """
    answer = json.loads(text)["chart"]["result"][0]
    zone = answer["meta"].get("exchangeTimezoneName") or "UTC"
    events = ((answer.get("events") or {}).get("dividends") or {}).values()
    try:
        return [_payout(event, zone, daily=daily) for event in events]
    except (ValueError, TypeError, KeyError, OverflowError, NotImplementedError):  # the last is pandas' of far years
        raise DataError("its dividends are no amounts on dates", hint=_OUT) from None


def _payout(event: dict[str, Any], zone: str, *, daily: bool) -> Payout:
    at = _moment(event, zone, daily=daily)
    return Payout(at, float(event["amount"]), str(event.get("currency") or ""))


def _moment(event: dict[str, Any], zone: str, *, daily: bool) -> pd.Timestamp:
    """Return when an event is, for daily bars its date in the venue's zone at 00:00 UTC."""
    at = pd.Timestamp(int(event["date"]), unit="s", tz="UTC").as_unit("ns")
    return at.tz_convert(zone).tz_localize(None).normalize().tz_localize("UTC") if daily else at


def in_money_of(
    quote: Quote,
    table: pd.DataFrame,
    payouts: Sequence[Payout],
    *,
    calendar: str,
    hourly: bool,
    data: DataSpec | None = None,
) -> tuple[pd.DataFrame, str]:
    """Return the table with every dividend in the quote's currency, and in words what was converted, if anything was.

    `table` has rows in order of time, prices in `quote.currency`, and its dividends as if each payout were quoted as
    prices are and fell on the last row that does not begin after it; one before the first row is left out, and so is
    one after the last row, unless it stands there. One in other money is converted at the ECB's fixing that is known
    when the bar of its ex-date closes, as the panel converts that bar; `data` says how later ones than those at hand are had.

    Raises:
        DataError: a payout does not stand in the table, or the ECB has no rate for it.
    """
    payouts = _within(table, payouts, quote.scale, hourly=hourly)
    own = Quote(quote.currency, quote.scale)
    moneys = [quote_in(one.code) if one.code else own for one in payouts]
    other = np.array([money != own for money in moneys], dtype=np.bool_)
    if not other.any():
        return table, ""
    stamps = pd.DatetimeIndex(table["timestamp"])
    rows = stamps.searchsorted(pd.DatetimeIndex([one.at for one in payouts]).as_unit("ns"), side="right") - 1
    touched = np.unique(rows[other])
    dividends = table["dividend"].to_numpy(dtype=np.float64, copy=True)
    as_read = _summed(rows, [one.amount * quote.scale for one in payouts], len(table))
    if not np.allclose(as_read[touched], dividends[touched]):
        lost = ", ".join(sorted({one.code for one, moved in zip(payouts, other, strict=True) if moved}))
        raise DataError(f"its dividends in {lost} do not stand in the bars as they were sent", hint=_OUT)
    if data is not None:
        end = max(one.at for one in payouts) + pd.Timedelta(days=1)
        fixings.reach({one.currency for one in moneys}, quote.currency, end, data)
    worth = [
        one.amount * money.scale * _rate(one.at, money.currency, quote.currency, calendar=calendar, hourly=hourly)
        for one, money in zip(payouts, moneys, strict=True)
    ]
    dividends[touched] = _summed(rows, worth, len(table))[touched]
    foreign = sorted({money.currency for money in moneys} - {quote.currency})
    words = (
        f"dividends in {', '.join(foreign)} are converted to {quote.currency} at the ECB's fixings of their ex-dates"
    )
    return table.assign(dividend=dividends), words if foreign else ""


def carried(text: str, table: pd.DataFrame, *, daily: bool) -> pd.DataFrame:
    """Return a table with the dividends and splits of an answer of Yahoo's on the first bar that ends after them.

    Where a source has no bar on an ex-date, or none yet at the hour of the event, yfinance puts it on the bar before: the
    cash would come to who sells at its close, and the price fall behind it. What lies behind the last bar stays.
    """
    answer = json.loads(text)["chart"]["result"][0]
    zone, events = answer["meta"].get("exchangeTimezoneName") or "UTC", answer.get("events") or {}
    stamps = pd.DatetimeIndex(table["timestamp"])
    moved: dict[str, npt.NDArray[np.float64]] = {}
    for column, kind in (("dividend", "dividends"), ("split", "splits")):
        values = table[column].to_numpy(dtype=np.float64, copy=True)
        sizes: dict[int, list[tuple[bool, float]]] = {}
        for event in (events.get(kind) or {}).values():
            at = _moment(event, zone, daily=daily)
            row = int(stamps.searchsorted(at, side="right")) - 1
            if 0 <= row < len(stamps) - 1:
                late = bool(at >= stamps[row] + pd.Timedelta(hours=24 if daily else 1))
                sizes.setdefault(row, []).append((late, _size(event)))
        for row, found in sorted(sizes.items(), reverse=True):
            _hand_on(values, row, found, product=column == "split")
        moved[column] = values
    return table.assign(**moved)


def _size(event: dict[str, Any]) -> float:
    """Return a dividend's amount, or new shares per old one; NaN for a split that is none."""
    if "numerator" not in event:
        return float(event["amount"])
    return float(event["numerator"]) / float(event["denominator"]) if event["denominator"] else np.nan


def _hand_on(values: npt.NDArray[np.float64], row: int, found: list[tuple[bool, float]], *, product: bool) -> None:
    """Move what is late of a row's events to the next row: the share of its value that their sizes have of all."""
    late = [size for is_late, size in found if is_late]
    if not late:
        return
    if len(late) == len(found):
        part, rest = values[row], 0.0
    elif product:
        part = float(np.prod(late))
        rest = values[row] / part
    else:
        part = values[row] * sum(late) / sum(size for _, size in found)
        rest = values[row] - part
    values[row] = rest
    if product:
        values[row + 1] = part * (values[row + 1] or 1.0) if part else values[row + 1]
    else:
        values[row + 1] += part


def _within(table: pd.DataFrame, payouts: Sequence[Payout], scale: float, *, hourly: bool) -> Sequence[Payout]:
    """Return the payouts without those before the first row, and without those after the last unless it holds them."""
    if table.empty:
        return ()
    first, last = table["timestamp"].iloc[0], table["timestamp"].iloc[-1]
    begun = [one for one in payouts if one.at >= first]
    within = [one for one in begun if one.at < last + pd.Timedelta(hours=1 if hourly else 24)]
    on_last = scale * sum(one.amount for one in within if one.at >= last)
    return within if np.isclose(on_last, table["dividend"].iloc[-1]) else begun


def _summed(rows: npt.NDArray[np.intp], amounts: Sequence[float], count: int) -> npt.NDArray[np.float64]:
    """Return the sum of the amounts by row."""
    made = np.zeros(count)
    np.add.at(made, rows, np.asarray(amounts))
    return made


def _rate(at: pd.Timestamp, money: str, own: str, *, calendar: str, hourly: bool) -> float:
    """Return what one unit of the money was worth in the prices' own when the bar closed."""
    if money == own:
        return 1.0
    label = pd.DatetimeIndex([at]).as_unit("ns").asi8
    try:
        closes = periods.closes(label, "1h" if hourly else "1d", calendar=calendar, begins=False)
        rates = currency.from_ecb(money, own, closes=closes)
    except DataError as error:
        raise DataError(
            f"its dividend of {at:%Y-%m-%d} is paid in {money}, prices are in {own}, and {error.message}",
            hint=f"keep that date out of data.start and data.end, {_OUT}",
        ) from error
    return float(rates[0])
