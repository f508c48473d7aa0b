"""Whether prices have their splits and dividends in them, where columns do not say: by what they do on the dates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.bars import Adjustment
from wealtharena.data.intervals import found_interval
from wealtharena.data.reading.units import Answer
from wealtharena.errors import DataError

CONTAINED: Final = "prices contain the dividends, which are not paid again"
_SURE: Final = 4.0  # log likelihood ratio from which dates decide; even odds at 0, 1 in 55 at 4
_BESIDE: Final = 6.0  # that prices fall beside the dates of dividends: two more looks
_SLIGHT: Final = 0.002  # dividends of less than this share of the price over the whole file change no figure
_LARGE: Final = 0.4  # log ratio of a split from which no market's move looks like it
_JUST_BEFORE: Final = 60  # bars in which a source may have missed it
_APPLIED: Final = "prices jump on the dates of splits: the splits are applied"


_Array = npt.NDArray[np.float64]


class Evidence(NamedTuple):
    """What one symbol's prices say: the log likelihood ratio, on how many dates, and the yields' sum."""

    ratio: float
    dates: int
    size: float = 0.0


def adjustments(tables: Mapping[str, pd.DataFrame], *, setting: str, known: Mapping[str, str]) -> dict[str, Answer]:
    """Return how each symbol's prices are adjusted: as configured, as its columns say, else by what they do on the dates.

    A price that does not fall by the dividend on its ex-date contains it already. Symbols of one source are mostly
    adjusted alike, so that all of them together decide for one whose own dates are too few; but one that is sure of
    itself is taken at its word, since the files of a folder may come from several sources.

    Raises:
        DataError: there are dividends, and the ex-dates do not tell; or splits are recorded the other way round; or
            prices do on the dates of splits what `setting` denies.
    """
    splits = {name: _split_dates(table) for name, table in tables.items()}
    if setting != "auto":
        return _as_set(tables, setting, splits)
    _require_right_way(tables, splits)
    jumps = _weighed(splits)
    open_ = [name for name in tables if not known.get(name)]
    dividends = {name: _ex_dates(tables[name]) for name in open_}
    for name in open_:
        _require_ex_dates(name, tables[name], dividends[name])
        _require_same_shares(name, tables[name], traded=jumps[name] > 0)
    made = {name: _by_columns(kind, applied=jumps[name] > 0 and splits[name].dates > 0) for name, kind in known.items()}
    made |= _by_dates(open_, jumps, dividends)
    return _with_doubts({name: made[name] for name in tables}, splits, jumps)


def adjusted_as(answer: Answer) -> Adjustment:
    """Return the adjustment as its type."""
    kinds: dict[str, Adjustment] = {"none": "none", "splits": "splits", "all": "all"}
    return kinds[answer.value]


def _weighed(own: Mapping[str, Evidence]) -> dict[str, float]:
    """Return what counts for each symbol: its own evidence where that is sure, or where the sure ones contradict each other; else all of it."""
    signs = {one.ratio > 0 for one in own.values() if abs(one.ratio) >= _SURE}
    together = sum(one.ratio for one in own.values())
    alone = len(signs) > 1
    return {name: one.ratio if alone or abs(one.ratio) >= _SURE else together for name, one in own.items()}


def _by_columns(kind: str, *, applied: bool) -> Answer:
    if applied or kind == "none":
        return Answer("none", _APPLIED, note=True)
    return Answer(kind, "as its columns say", note=kind == "all")


def _by_dates(names: Iterable[str], jumps: Mapping[str, float], dividends: Mapping[str, Evidence]) -> dict[str, Answer]:
    """Return what the dates of splits, and else those of dividends, say of symbols whose columns say nothing."""
    falls = _weighed(dividends)
    sure = {name: ratio for name, ratio in falls.items() if abs(ratio) >= _SURE}
    fall, stay = (
        sum(dividends[name].dates for name, ratio in sure.items() if (ratio > 0) is paid) for paid in (True, False)
    )
    made: dict[str, Answer] = {}
    unsure: list[str] = []
    for name in names:
        contains = dividends[name].ratio <= -_SURE
        if jumps[name] > 0 and not contains:
            made[name] = Answer("none", _APPLIED, note=True)
        elif name in sure and sure[name] > 0:
            made[name] = Answer("splits", f"prices fall on {fall} ex-dates: dividends are paid in cash")
        elif name in sure:
            words = (
                f"prices do not fall on {stay} ex-dates; set data.adjusted=splits if these dates are those of payment"
            )
            made[name] = Answer("all", words, note=True)
        elif not dividends[name].dates:
            made[name] = Answer("splits", "no dividends in the file")
        elif dividends[name].size < _SLIGHT:
            made[name] = Answer("splits", f"{dividends[name].dates} small dividends, paid in cash")
        else:
            unsure.append(name)
    if unsure:
        of = "" if len(dividends) == 1 else f" of {', '.join(unsure[:3])}{' ...' if len(unsure) > 3 else ''}"
        raise DataError(
            f"the file has {sum(dividends[name].dates for name in unsure)} dividends{of}, and its prices do not show"
            " whether they contain them",
            hint="set data.adjusted=splits if prices fall on ex-dates (as traded), or all if they contain dividends",
        )
    return made


def _with_doubts(
    made: Mapping[str, Answer], splits: Mapping[str, Evidence], jumps: Mapping[str, float]
) -> dict[str, Answer]:
    """Return the answers with a note where the dates of splits hardly tell."""
    doubtful = [name for name, one in splits.items() if one.dates and abs(jumps[name]) < _SURE]
    dates = sum(splits[name].dates for name in doubtful)
    doubt = f"; the prices of {dates} dates hardly tell: set data.adjusted=none to apply splits, splits where prices have them"
    out = dict(made)
    for name in doubtful:
        taken = "" if made[name].value == "none" else "; prices are taken to have the recorded splits"
        out[name] = Answer(made[name].value, f"{made[name].words}{taken}{doubt}", note=True)
    return out


def _require_right_way(tables: Mapping[str, pd.DataFrame], splits: Mapping[str, Evidence]) -> None:
    turned = [_split_dates(table, turned=True).ratio for name, table in tables.items() if splits[name].dates]
    if sum(turned) >= _SURE or any(ratio >= _SURE for ratio in turned):
        raise DataError(
            "prices jump on the dates of recorded splits the other way round",
            hint="write splits as new shares for old ones (4 or 4:1 where a price falls to a quarter),"
            " or set data.adjusted=splits if prices have them",
        )


def _as_set(tables: Mapping[str, pd.DataFrame], setting: str, splits: Mapping[str, Evidence]) -> dict[str, Answer]:
    """Return what is configured, with a note where the ex-dates speak against it.

    Raises:
        DataError: the dates of splits do: each bar before them would be wrong by the split.
    """
    for name, one in splits.items():
        if setting != "none" and one.ratio >= _SURE:
            raise DataError(
                f"data.adjusted={setting} says that prices have their splits, and {name}'s jump on the dates of them",
                hint="set data.adjusted=none, or auto where files differ",
            )
        if setting == "none" and one.ratio <= -_SURE:
            raise DataError(
                f"data.adjusted=none says that prices jump on the dates of splits, and {name}'s do not",
                hint="set data.adjusted=splits or all, or auto where files differ",
            )
    made = dict.fromkeys(tables, Answer(setting, "as data.adjusted says"))
    for name, table in tables.items():
        falls = _ex_dates(table)
        if setting == "all" and falls.ratio >= _SURE:
            made[name] = Answer(setting, f"as data.adjusted says; yet prices fall on {falls.dates} ex-dates", note=True)
        elif setting != "all" and falls.ratio <= -_SURE:
            words = f"as data.adjusted says; yet prices do not fall on {falls.dates} ex-dates"
            made[name] = Answer(setting, words, note=True)
    return made


def _require_ex_dates(name: str, table: pd.DataFrame, found: Evidence) -> None:
    """Raise DataError where prices fall on the bars behind or before those of dividends, and not on these."""
    if not found.dates or found.ratio >= _SURE:
        return
    for moved, there, early in ((1, "after", "early"), (-1, "before", "late")):
        if _ex_dates(table, moved=moved).ratio >= _BESIDE:
            raise DataError(
                f"{name}: prices fall on the bars {there} those of its {found.dates} dividends, which are dated a bar {early}",
                hint="write each dividend on its ex-date, or set data.adjusted=splits to pay them where they stand",
            )


def _require_same_shares(name: str, table: pd.DataFrame, *, traded: bool) -> None:
    """Raise DataError where dividends before a split are those of other shares than prices count, as these fall by them.

    `traded` says that prices jump on the dates of splits; else they have them.
    """
    if not {"dividend", "split"} <= set(table.columns):
        return
    rows = table.sort_values("timestamp")
    later = rows["split"].fillna(0).replace(0.0, 1.0)[::-1].cumprod()[::-1].shift(-1, fill_value=1.0)
    other = rows.assign(dividend=rows["dividend"] * later if traded else rows["dividend"] / later)
    before = (
        rows.assign(dividend=rows["dividend"].where(later != 1.0)),
        other.assign(dividend=other["dividend"].where(later != 1.0)),
    )
    as_written, as_other = (_ex_dates(part) for part in before)
    if as_other.ratio >= _SURE and as_other.ratio - as_written.ratio >= _BESIDE:
        raise DataError(
            f"{name}: prices {'jump on the dates of splits' if traded else 'have the splits'}, and its dividends before them are"
            f" those of the shares {'after them' if traded else 'of their day'}: prices fall by {as_other.dates} of them so",
            hint=f"{'multiply' if traded else 'divide'} each dividend by the splits behind it",
        )


def _ex_dates(table: pd.DataFrame, *, moved: int = 0) -> Evidence:
    """Return the evidence of `falls on ex-dates` against `does not`, these `moved` by a bar forward or back."""
    if "dividend" not in table or not (table["dividend"].fillna(0) > 0).any():
        return Evidence(0.0, 0)
    rows = table.sort_values("timestamp")
    close = rows["close"].to_numpy(dtype=np.float64)
    within = found_interval(rows["timestamp"]) in ("1w", "1mo")  # the ex-date lies inside the bar, behind its open
    after = rows["open"].to_numpy(dtype=np.float64) if "open" in rows and not within else close
    after = np.where(np.isfinite(after) & (after > 0), after, close)
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = after[1:] / close[:-1] - 1.0
        cash = rows["dividend"].shift(moved) if moved else rows["dividend"]
        yields = cash.fillna(0).to_numpy(dtype=np.float64)[1:] / close[:-1]
    usable = np.isfinite(moves) & np.isfinite(yields) & (np.abs(moves) < 0.4)
    paid = usable & (yields > 0) & (yields < 0.5)
    if not paid.any():
        return Evidence(0.0, 0)
    variance = _robust_variance(moves[usable & ~paid])
    ratio = ((moves[paid]) ** 2 - (moves[paid] + yields[paid]) ** 2) / (2.0 * variance)
    return Evidence(float(ratio.sum()), int(paid.sum()), float(yields[paid].sum()))


def _split_dates(table: pd.DataFrame, *, turned: bool = False) -> Evidence:
    """Return the evidence of `prices jump on the dates of recorded splits` against `they do not`.

    `turned` asks for jumps the other way round, as where 1:4 means four new shares for one. One date counts for no more than sure, so that most of them decide.
    """
    if "split" not in table or not (table["split"].fillna(0) > 0).any():
        return Evidence(0.0, 0)
    rows = table.sort_values("timestamp")
    close, split = rows["close"].to_numpy(dtype=np.float64), rows["split"].fillna(0).to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        moves, ratios = np.log(close[1:] / close[:-1]), np.log(split[1:])
    usable = np.isfinite(moves)
    ratios = -ratios if turned else ratios
    at = usable & np.isfinite(ratios) & (ratios != 0.0)
    moves = _past_spikes(close, moves, ratios, at)
    at &= ~_missed_before(moves, ratios, at)
    nearer = moves[at] ** 2 - (moves[at] + ratios[at]) ** 2
    likely = nearer / (2.0 * _robust_variance(moves[usable & ~at]))
    return Evidence(float(np.clip(likely, -_SURE, _SURE).sum()), int(at.sum()))


def _past_spikes(close: _Array, moves: _Array, ratios: _Array, at: npt.NDArray[np.bool_]) -> _Array:
    """Return the moves, those of the dates `at` that are nothing like a split or none by medians of three closes on either side.

    One of the two bars is a spike there, which would speak for whichever of both is the larger move.
    """
    made = moves.copy()
    strange = np.minimum(np.abs(moves), np.abs(moves + ratios)) > np.maximum(np.abs(ratios), _LARGE)
    for place in np.flatnonzero(at & strange):
        before, after = close[max(place - 2, 0) : place + 1], close[place + 1 : place + 4]
        with np.errstate(invalid="ignore"):
            made[place] = np.log(np.nanmedian(after) / np.nanmedian(before))
    return made


def _missed_before(moves: _Array, ratios: _Array, at: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the dates whose split the bars just before lack while earlier ones have it: prices go the other way there first.

    They say nothing of the rest; the quality room puts such bars right.
    """
    missed = np.zeros(len(moves), dtype=bool)
    for place in np.flatnonzero(at & (np.abs(ratios) > _LARGE)):
        before = moves[max(place - _JUST_BEFORE, 0) : place]
        missed[place] = bool((np.abs(before - ratios[place]) < 0.3 * abs(ratios[place])).any())
    return missed


def _robust_variance(moves: _Array) -> float:
    """Return the variance of usual moves; of a price that mostly stands still, that of all, the largest of them cut."""
    if len(moves) < 10:
        return 0.02**2
    usual = float(np.median(np.abs(moves - np.median(moves))) / 0.6745) ** 2
    if usual == 0.0:
        usual = float(np.mean(np.clip(moves, *np.quantile(moves, (0.01, 0.99))) ** 2))
    return max(usual, 1e-8)
