"""From raw bars to clean ones: every check in turn, each finding treated as the configuration says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import Action, QualitySpec
from wealtharena.data import intervals
from wealtharena.data.bars import BAR_COLUMNS, Bars, RawBars
from wealtharena.data.calendars import ALWAYS, WEEKDAYS
from wealtharena.data.quality import leaks, levels, payouts, ranges, rows, sessions
from wealtharena.data.quality.report import Context, Detection, Finding, QualityReport, differences
from wealtharena.data.reading import venues
from wealtharena.errors import ProviderError

Check = Callable[[pd.DataFrame, Context], Detection | None]

# The order matters: a level is judged on sorted rows, a shape on repaired prices.
CHECKS: Final[dict[str, Check]] = {
    "missing_values": rows.missing_values,
    "out_of_order": rows.out_of_order,
    "duplicates": rows.duplicates,
    "end_stamps": sessions.end_stamps,
    "off_grid": sessions.off_grid,
    "invented_bars": sessions.invented_bars,
    "unfinished_bar": rows.unfinished_bar,
    "ticker_reuse": levels.ticker_reuse,
    "non_positive": rows.non_positive,
    "bad_volume": rows.bad_volume,
    "unit_errors": levels.unit_errors,
    "splits": levels.splits,
    "ohlc_breaks": ranges.ohlc_breaks,
    "spikes": levels.spikes,
    "bad_dividends": payouts.bad_dividends,
    "stale": rows.stale,
    "leaking_bars": leaks.leaking_bars,
    "missing_sessions": sessions.missing_sessions,
    "outside_sessions": sessions.outside_sessions,
}

_KEEPS_CASH: Final = ("ticker_reuse", "bad_dividends", "end_stamps")  # another company's, what is none, and all of it
_OTHER_SOURCE: Final = {
    "forex": "use data=ecb, or data.quality.leaking_bars=repair, which takes the next open as the close",
}


@np.errstate(over="ignore", under="ignore")  # a corrupt price may be any number, and is said below
def inspect(
    raw: RawBars, asset: AssetSpec, spec: QualitySpec, *, most_repaired: float = 0.0
) -> tuple[Bars, QualityReport]:
    """Return the bars that may be believed, and the account of what was wrong with the others.

    `most_repaired` is `data.max_repaired_share`: at 1 nothing that has a repair is beyond it.
    `raw` is not changed. Splits are applied; a bar without volume, in a series that has volume, is not tradable.

    Raises:
        ProviderError: a finding whose action is `refuse`, bars of another interval, or no bar is left.
    """
    check_apart(raw)
    context = Context(
        raw=raw, market=asset.market, calendar=calendar_of(raw.symbol, asset, currency=raw.currency), spec=spec
    )
    table = raw.table.assign(tradable=True).reset_index(drop=True)
    findings, notes = [], []
    for kind, check in CHECKS.items():
        detection = check(table, context)
        if detection is None:
            continue
        action: Action = "warn" if detection.named else getattr(spec, kind)
        beyond = detection.beyond_repair and (detection.repaired is None or most_repaired < 1.0)
        if action == "refuse" or (beyond and action != "warn"):
            raise refusal(context, kind, detection)
        treated = _treat(table, detection, action)
        if treated is not table and kind not in _KEEPS_CASH:
            treated, unpaid = _with_cash(table, treated)
            notes += [f"{raw.symbol}: {words}" for words in unpaid]
        findings.append(_finding(kind, action, table, treated, detection))
        if detection.note and (action == "repair" or detection.repaired is None):
            notes.append(detection.note)
        table = treated
    if not len(table):
        first = raw.table["timestamp"].min()
        if len(raw.table) and first > pd.Timestamp(raw.fetched_at):
            raise ProviderError(
                raw.provider, raw.symbol, f"its bars begin on {first:%Y-%m-%d}, after today",
                hint="correct their times; SAS and Stata count from 1960, spreadsheets from 1900 or 1904",
            )  # fmt: skip
        reason = findings[-1].detail if findings else "the provider sent no rows"
        raise ProviderError(raw.provider, raw.symbol, f"no usable bar is left ({reason})", hint="check the symbol")
    table = _idle(table, context).reset_index(drop=True)
    adjusted = "splits" if raw.adjusted == "none" and spec.splits == "repair" else raw.adjusted
    bars = Bars.from_raw(replace(raw, table=table[list(BAR_COLUMNS)]), tradable=table["tradable"], notes=tuple(notes))
    report = QualityReport(raw.provider, raw.symbol, raw.interval, len(raw.table), len(table), tuple(findings))
    return replace(bars, adjusted=adjusted, repairs=report.repairs), report


def check_apart(raw: RawBars) -> None:
    """Raise ProviderError where bars are those of another interval than they are said to be, as of a month for a day."""
    stamps = pd.DatetimeIndex(raw.table["timestamp"])
    if intervals.are_apart(stamps, raw.interval):
        return
    typical = pd.Timedelta(int(np.median(np.diff(np.unique(stamps.as_unit("ns").asi8)))))
    raise ProviderError(
        raw.provider,
        raw.symbol,
        f"bars of {raw.interval} are typically {intervals.in_words(typical)} apart, from {stamps.min():%Y-%m-%d} to {stamps.max():%Y-%m-%d}",
        hint="use another source, or set data.interval to what they are",
    )


def check_repaired(bars: Bars, limit: float) -> None:
    """Raise ProviderError where more than the share `limit` of a source's rows was left out or given another price."""
    if bars.repairs.rows > limit * bars.repairs.received:
        way = "correct the file" if bars.provider == "files" else f"use another source, leave {bars.symbol} out"
        raise ProviderError(
            bars.provider, bars.symbol, str(bars.repairs), hint=f"{way}, or raise data.max_repaired_share"
        )


def calendar_of(symbol: str, asset: AssetSpec, *, currency: str | None = None) -> str:
    """Return the calendar of one symbol: its venue's where the symbol names one, else the universe's.

    `currency` is what its prices are in, where that is known: a name without a venue that is quoted in dollars, in a
    universe that is not, is an American share.
    """
    if symbol.endswith("=F"):
        return "CMES"
    if symbol.endswith("=X") or asset.market == "forex":
        return WEEKDAYS
    if asset.market == "crypto":
        return ALWAYS
    return venues.share_calendar_of(symbol, asset, currency=currency)


def refusal(context: Context, kind: str, detection: Detection) -> ProviderError:
    """Return the error that names provider, symbol, cause and remedy."""
    way = "correct the file" if context.raw.provider == "files" else "use another source"
    hint = f"{way}, or set data.quality.{kind} to repair, drop or warn"
    if detection.beyond_repair:
        hint = detection.way_out or f"{way}, or set data.quality.{kind}=warn to look into it"
    if kind == "leaking_bars":
        hint = _OTHER_SOURCE.get(
            context.market,
            f"use another source or other dates (data.start, data.end), or set data.quality.{kind} to repair, drop or warn",
        )
    return ProviderError(
        context.raw.provider, context.raw.symbol, f"refused by data.quality.{kind}: {detection.detail}", hint=hint
    )


def _treat(table: pd.DataFrame, detection: Detection, action: Action) -> pd.DataFrame:
    if action == "warn":
        return table
    if action == "drop":
        return table[~detection.mask]
    if detection.repaired is not None:
        return detection.repaired
    return table.assign(tradable=table["tradable"] & ~detection.mask)


def _with_cash(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table `after` with the cash of dates that it has lost on the next date that it has; and of which there is none, in words."""
    lost = before[(before["dividend"] > 0) & ~before["timestamp"].isin(after["timestamp"])]
    unpaid = []
    for stamp, cash in zip(lost["timestamp"], lost["dividend"], strict=True):
        later = after["timestamp"][after["timestamp"] > stamp]
        if len(later):
            paid = after["dividend"].copy()
            paid[later.idxmin()] += cash
            after = after.assign(dividend=paid)
        else:
            unpaid.append(f"the dividend of {cash:g} on {stamp:%Y-%m-%d} is not paid, since no bar follows")
    return after, unpaid


def _finding(kind: str, action: Action, before: pd.DataFrame, after: pd.DataFrame, detection: Detection) -> Finding:
    touched = before["timestamp"][detection.mask]
    return Finding(
        kind=kind,
        action=action,
        rows=int(detection.mask.sum()) if detection.count is None else detection.count,
        first=touched.min().isoformat() if len(touched) else "",
        last=touched.max().isoformat() if len(touched) else "",
        detail=detection.detail,
        changes=differences(before, after, kind),
    )


def _idle(table: pd.DataFrame, context: Context) -> pd.DataFrame:
    """Mark bars without volume, where the series has volume at all, and bars without a positive price.

    A coin whose price moved within the bar was traded, whatever the volume says: feeds leave out that of many hours.
    """
    volume, high, low, close = (table[name].to_numpy(dtype=np.float64) for name in ("volume", "high", "low", "close"))
    tradable = table["tradable"].to_numpy(dtype=bool) & (close > 0)
    if context.raw.volume_unit != "none" and bool((volume > 0).any()):
        moved = (high > low) if context.market == "crypto" else np.zeros(len(table), dtype=bool)
        tradable &= (np.nan_to_num(volume) > 0) | moved
    return table.assign(tradable=tradable)
