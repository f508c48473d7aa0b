"""Another future: features, market arrays, observations, rewards and the scaler must not move with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.evaluation.audit.findings import Finding
from wealtharena.evaluation.audit.subject import Asking, Played, first_moved
from wealtharena.features.panel import FeaturePanel

TRAIN_SHARE: Final = 0.6  # of the rows, on which the audited scaler is fitted
ROW_NAMES: Final = {
    BAR.mark: "mark price",
    BAR.inverse: "sizing price",
    BAR.sizing_impact: "volatility at sizing",
    BAR.fill: "fill price",
    BAR.fill_impact: "volatility at the fill",
    BAR.income: "income",
    BAR.volume: "volume",
    BAR.delisted: "delisting",
}


def other_futures(state: Asking) -> dict[str, Finding]:
    """Return the first finding in features, market arrays, observations and rewards over all points."""
    subject, spec = state.subject, state.env
    scaler = subject.fit(state.whole, slice(0, state.points[0] + 1))
    actions = state.rng.uniform(-1, 1, (state.whole.bars, len(state.panel.symbols))).astype(np.float32)
    market = subject.market(state.whole, spec, scaler)
    played = subject.play(market, spec, actions)
    found: dict[str, Finding] = {}
    for t, how, panel in state.futures():
        other = subject.features(panel, state.features_spec)
        when = f"when the bars after row {t} are {how}"
        answers = {"features": _features(state, other, t, when)}
        if answers["features"] is None or other.names == state.whole.names:
            other_market = subject.market(other, spec, scaler)
            answers["market"] = _market(state, market, other_market, t, when)
            answers |= _played(state, market, played, subject.play(other_market, spec, actions), t, when)
        for name, finding in answers.items():
            if finding is not None:
                found.setdefault(name, finding)
    return found


def _features(state: Asking, other: FeaturePanel, t: int, when: str) -> Finding | None:
    if other.names != state.whole.names or other.warmup_bars != state.offset:
        return state.found("features", "the list of features or the warm-up", "", t, f"is another {when}")
    moved = first_moved(state.whole.values[: t + 1], other.values[: t + 1])
    if moved is None:
        return None
    row, symbol, feature = moved
    detail = f"{state.whole.values[moved]:.6g} becomes {other.values[moved]:.6g} {when}"
    return state.found("features", state.whole.names[feature], state.panel.symbols[symbol], row, detail)


def _market(state: Asking, market: Market, other: Market, t: int, when: str) -> Finding | None:
    moved = first_moved(market.bars[: t + 1], other.bars[: t + 1])
    if moved is None:
        return None
    row, kind, symbol = moved
    detail = f"{market.bars[moved]:.6g} becomes {other.bars[moved]:.6g} {when}"
    return state.found("market", ROW_NAMES[kind], state.panel.symbols[symbol], row, detail)


def _played(state: Asking, market: Market, whole: Played, other: Played, t: int, when: str) -> dict[str, Finding]:
    """Compare what was seen up to t, and what was earned up to the close of t."""
    begins = state.env.window - 1
    upto = t - begins
    (seen, paid), (other_seen, other_paid) = whole, other
    upto = min(upto, len(paid), len(other_paid))  # a liquidated account has no more to compare
    found: dict[str, Finding] = {}
    moved = first_moved(seen[: upto + 1], other_seen[: upto + 1])
    if moved:
        detail = f"{seen[moved]:.6g} becomes {other_seen[moved]:.6g} {when}"
        what = market.layout.names()[moved[1]]
        found["observation"] = state.found("observation", what, "", moved[0] + begins, detail)
    moved = first_moved(paid[:upto], other_paid[:upto])
    if moved:
        detail = f"{paid[moved]:.6g} becomes {other_paid[moved]:.6g} {when}"
        found["reward"] = state.found("reward", "the reward", "", moved[0] + begins, detail)
    return found


def scaler(state: Asking, name: str) -> Finding | None:
    """Return what of the fitted scaler moves with rows after the training window."""
    rows = slice(0, max(2, int(state.whole.bars * TRAIN_SHARE)))
    values = state.whole.values.copy()
    values[rows.stop :] = state.rng.normal(3, 10, values[rows.stop :].shape)
    before = state.subject.fit(state.whole, rows)
    after = state.subject.fit(replace(state.whole, values=values), rows)
    for what, moved in (
        ("mean", first_moved(before.mean, after.mean)),
        ("std", first_moved(before.std, after.std)),
    ):
        if moved:
            feature = state.whole.names[moved[0]]
            return state.found(name, f"{what} of {feature}", "", rows.stop, "moves with rows after the training window")
    return None
