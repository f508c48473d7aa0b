"""Numbers that tell a return: the shape of a bar the next one, anything that is seen one that can be traded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wealtharena.config.specs.data import QualitySpec
from wealtharena.data.quality import foresight, leaks
from wealtharena.evaluation.audit.findings import Check, Finding
from wealtharena.evaluation.audit.subject import Asking


def shape(state: Asking, quality: QualitySpec) -> None:
    """Ask whether the shape of a bar tells the next return by more than `leak_correlation`."""
    if state.panel.high is None or state.panel.low is None:
        state.checks.append(Check("bar shape", None, "closes only"))
    else:
        state.ask(
            "bar shape", "no bar tells the next return", lambda name: _shape(state, name, quality.leak_correlation)
        )


def _shape(state: Asking, name: str, limit: float) -> Finding | None:
    panel = state.panel
    for column, symbol in enumerate(panel.symbols):
        present = np.isfinite(panel.close[:, column])
        table = pd.DataFrame({n: getattr(panel, n)[present, column] for n in ("high", "low", "close")})
        strength, which = leaks.leak(table)
        if strength > limit:
            row = int(np.flatnonzero(present)[0]) - state.offset
            detail = f"correlates {strength:.2f} with the next return; markets stay below {limit:g}"
            return state.found(name, which, symbol, row, detail)
    return None


def tradable(state: Asking, quality: QualitySpec) -> None:
    """Ask whether any number that is seen tells a return that can still be traded.

    Not asked of simulated bars: what foretells their returns was planted on purpose, and is configured.
    """
    panel, symbols = state.whole.panel, state.panel.symbols
    if panel.simulated:
        state.checks.append(Check("tradable", None, "simulated: what foretells returns was planted"))
        return
    numbers = [foresight.Number(name, symbol) for symbol in symbols for name in state.whole.names]
    values = state.whole.values.reshape(state.whole.bars, -1)
    seen = leaks.panel_sightings(panel, quality, more=(numbers, values))
    worst = next((item for item in seen if item.sure > quality.leak_ceiling), None)
    if worst is not None:
        number, text = worst.number, worst.text(panel.timestamps)
        state.note("tradable", "", state.found("tradable", number.name, number.symbol, worst.start, text))
        return
    state.suspicions.extend(item.text(panel.timestamps) for item in seen[: leaks.NAMED])
    asked = f"no number of {len(symbols)} symbols tells a return that can be traded"
    state.note("tradable", f"to be looked at: {state.suspicions[0]}" if state.suspicions else asked, None)
