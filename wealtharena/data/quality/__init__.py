"""Quality of bars: what is wrong with them, and what is done about it."""

from wealtharena.data.quality.inspection import calendar_of, check_repaired, inspect
from wealtharena.data.quality.report import Finding, QualityReport, counted_notes, finding_notes, left_in

__all__ = [
    "Finding",
    "QualityReport",
    "calendar_of",
    "check_repaired",
    "counted_notes",
    "finding_notes",
    "inspect",
    "left_in",
]
