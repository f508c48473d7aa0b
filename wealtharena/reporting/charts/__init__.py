"""Figures of the report, each a function from data and size to one inline SVG."""

from __future__ import annotations

from wealtharena.reporting.svg import Size

WIDE = Size(820, 372, left=52, right=172)
FULL = Size(860, 290, left=52, right=150)
HALF = Size(530, 236, left=52, right=126)
NARROW = Size(348, 300, left=44, right=108)
NARROW_LOW = Size(348, 220, left=44, right=84)
