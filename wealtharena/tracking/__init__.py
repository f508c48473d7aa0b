"""Where figures go while a run is under way: the journal, the console and Weights & Biases."""

from __future__ import annotations

from wealtharena.tracking.tracker import Tracker

__all__ = ["Tracker"]
