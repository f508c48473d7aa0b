"""Splits that no column names and two others prove: the closes, and an adjusted close or a factor beside them."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import pandas as pd

from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.stamps import IntArray, Stamps

_SPLIT: Final = 0.15  # log of the smallest step that is a split (7:6) and no dividend
_EXACT: Final = 0.002  # adjusted closes are rounded to cents


def write_proven(
    numbers: pd.DataFrame,
    groups: dict[str, IntArray],
    read: Stamps,
    found: dict[str, list[tuple[str, pd.Series]]],
    ledger: Ledger,
) -> None:
    """Write down the splits that an adjusted close or a factor beside the closes proves, where no column of splits does.

    On a split's date the close falls by the ratio and the adjusted close does not: their quotient, or the factor, makes a
    step that no dividend makes.
    """
    role = next((role for role in ("adjclose", "factor") if role in numbers), None)
    if role is None or "split" in numbers or (role == "factor" and found["factor"][0][0].startswith("$")):
        return
    splits = np.zeros(len(numbers))
    told: list[str] = []
    for name, rows in groups.items():
        order = rows[np.argsort(read.instants[rows], kind="stable")]
        close = numbers["close"].to_numpy(dtype=np.float64)[order]
        beside = numbers[role].to_numpy(dtype=np.float64)[order]
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = beside / close if role == "adjclose" else beside
            steps, moves = factor[1:] / factor[:-1], close[1:] / close[:-1]
            paid = numbers["dividend"].fillna(0).to_numpy()[order][1:] / close[:-1] if "dividend" in numbers else 0.0
            jump, fall = np.log(steps), np.log(moves)
            shown = np.isfinite(jump) & (np.abs(jump + np.log1p(-paid)) > _SPLIT) & (np.abs(jump + fall) < np.abs(fall))
        for place in np.flatnonzero(shown) + 1:
            ratio = Fraction(float(steps[place - 1])).limit_denominator(10)
            plain = ratio > 0 and abs(float(ratio) / steps[place - 1] - 1.0) < _EXACT
            splits[order[place]] = float(ratio) if plain else steps[place - 1]
            words = f"{ratio.numerator}:{ratio.denominator}" if plain else f"{steps[place - 1]:.4f}:1"
            told.append(
                f"{name} {words} on {np.datetime64(int(read.wall[order[place]]), 'ns').astype('datetime64[D]')}"
            )
    if told:
        numbers["split"] = splits
        ledger.note(
            f"{found[role][0][0]} shows splits, or payouts as large, that no column names: {', '.join(told[:5])}{' ...' if len(told) > 5 else ''}"
        )
