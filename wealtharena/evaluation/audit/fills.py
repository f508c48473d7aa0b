"""Orders: one decided at t moves nothing before bar t + 1 and fills at that bar's price."""

from __future__ import annotations

import numpy as np

from wealtharena.evaluation.audit.findings import Finding
from wealtharena.evaluation.audit.subject import TOLERANCE, Asking, first_moved


def fills(state: Asking, name: str) -> Finding | None:
    """Decide otherwise at t: nothing up to t may move. Then look at the price that the order of t was filled at."""
    scaler = state.subject.fit(state.whole, slice(0, state.points[0] + 1))
    market = state.subject.market(state.whole, state.env, scaler)
    panel, symbols = state.whole.panel, state.panel.symbols
    start = state.env.window - 1
    targets = state.rng.uniform(-1, 1, (market.length, len(symbols)))
    path = state.subject.simulate(market, targets, spec=state.env, start=start)
    quoted = panel.close if market.fill == "next_close" or panel.open is None else panel.open
    prices = quoted * panel.multipliers * panel.to_account
    closing = panel.close * panel.multipliers * panel.to_account
    for t in state.points:
        other_targets = targets.copy()
        other_targets[t] = -targets[t][::-1] * 0.5
        other = state.subject.simulate(market, other_targets, spec=state.env, start=start)
        n = t - start
        moved = first_moved(path.weights[: n + 1], other.weights[: n + 1])
        if moved is None:
            equity = first_moved(path.equity[: n + 1], other.equity[: n + 1])
            moved = (equity[0], 0) if equity else None
        if moved:
            detail = f"moves at bar {moved[0] + start + state.offset} already when the decision at row {t} is another"
            return state.found(name, "the position", symbols[moved[1]], moved[0] + start, detail)
    rows, columns, paid = path.trades.bar + start, path.trades.symbol, path.trades.price
    allowed = np.stack([prices[rows, columns], closing[rows, columns]])  # the close: forced by the margin
    gone = ~np.isfinite(panel.close[rows, columns])  # struck off, at its last mark
    wrong = ~gone & ~np.isclose(paid, allowed, rtol=TOLERANCE).any(axis=0)
    if wrong.any():
        n = int(wrong.argmax())
        detail = f"paid {paid[n]:.6g}, but {market.fill} of that bar is {allowed[0, n]:.6g}"
        return state.found(name, "the fill price", symbols[int(columns[n])], int(rows[n]), detail)
    return None
