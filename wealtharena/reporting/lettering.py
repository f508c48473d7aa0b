"""How wide text is, measured, so that no label depends on the fonts of the machine that shows it."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

SIZE = 12  # CSS pixels, the size of all text in a chart
ELLIPSIS = "…"
_FACES = ("DejaVuSans-Bold.ttf", "DejaVuSansMono-Bold.ttf")  # as wide as what a browser may fall back to
_WORDS = 4096  # measured texts kept


@lru_cache(maxsize=_WORDS)
def width_of(words: str) -> float:
    """Return the width of `words` in CSS pixels in the widest of the faces that matplotlib ships; others are narrower."""
    return max((sum(_advance(face, letter) for letter in words) for face in _FACES), default=0.0)


def cut(words: str, room: float) -> str:
    """Return `words`, or their beginning and an ellipsis where they are wider than `room` pixels."""
    if width_of(words) <= room:
        return words
    short = words
    while short and width_of(short + ELLIPSIS) > room:
        short = short[:-1]
    return short.rstrip() + ELLIPSIS


def isolated(words: str) -> str:
    """Return words that are read from right to left as a piece of their own: a figure behind them keeps its place and its sign."""
    rightward = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in words)
    return f"\u2068{words}\u2069" if rightward else words


@lru_cache(maxsize=_WORDS)
def _advance(face: str, letter: str) -> float:
    from matplotlib.ft2font import LoadFlags

    font = _font(face)
    if not font.get_char_index(ord(letter)):
        return float(SIZE)  # a letter of another script: they are at most as wide as high
    return float(font.load_char(ord(letter), LoadFlags.NO_HINTING).linearHoriAdvance) / 65536.0


@lru_cache(maxsize=len(_FACES))
def _font(face: str) -> FT2Font:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(get_data_path()) / "fonts" / "ttf" / face))
    font.set_size(SIZE, 72)
    return font
