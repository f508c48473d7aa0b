"""Figures of the report, each a function from data and size to one inline SVG."""

from __future__ import annotations

from wealtharena.reporting.svg import Size

WIDE = Size(820, 372, left=52, right=172)
HALF = Size(520, 236, left=52, right=104)
NARROW = Size(348, 300, left=46, right=96)
NARROW_LOW = Size(348, 220, left=46, right=84)
