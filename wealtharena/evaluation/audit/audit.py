"""The audit itself: every question in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from wealtharena.config.specs.data import QualitySpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data.bars import RawBars
from wealtharena.data.panel import Panel
from wealtharena.errors import DataError
from wealtharena.evaluation.audit import foreknowledge, futures
from wealtharena.evaluation.audit.fills import fills
from wealtharena.evaluation.audit.findings import AuditReport, Check
from wealtharena.evaluation.audit.repairs import repair
from wealtharena.evaluation.audit.subject import Asking, Subject
from wealtharena.features.computing import names_available, warm_rows, warmup_bars

POINTS: Final = (
    4  # of time that the audit of a judgement tries, so that it costs seconds; `task=audit` tries `audit.bars`
)


def audit(
    panel: Panel,
    features: FeaturesSpec,
    env: EnvSpec,
    *,
    quality: QualitySpec,
    points: int,
    rng: np.random.Generator,
    raw: Sequence[RawBars] = (),
    subject: Subject | None = None,
) -> AuditReport:
    """Return what the future could be seen in, at `points` times t drawn over the panel.

    Features, scaler, market arrays, observations, rewards and fills up to t must be the same, to 1e-6, when every bar
    after t is cut off or replaced by noise; an order decided at t must change nothing before bar t + 1 and fill at that
    bar's price; the clean bars of `raw` must keep their returns up to t; no bar's own shape may tell the next return
    (the sign of bars stamped wrongly); and no number that is seen, features of any symbol too, may tell a return that
    can still be traded, by the limits of `quality`: above its floor it is a suspicion, above its ceiling a finding.
    """
    require_bars(panel, features, env)
    subject = subject or Subject()
    whole = subject.features(panel, features)
    low, high = env.window + 1, whole.bars - 3
    drawn = np.sort(rng.choice(np.arange(low, high), size=min(points, high - low), replace=False))
    state = Asking(panel, features, env, subject, tuple(int(t) for t in drawn), rng, whole)
    many = f"at {len(drawn)} bars, future cut off and changed"
    _other_futures(state, many)
    state.ask(
        "scaler",
        f"fitted on the first {futures.TRAIN_SHARE:.0%}, the rest changed",
        lambda name: futures.scaler(state, name),
    )
    state.ask(
        "fill", "an order moves nothing before the next bar, and fills at its price", lambda name: fills(state, name)
    )
    if subject.repair is not None and raw:
        state.ask("repair", f"clean bars of {len(raw)} series {many}", lambda name: repair(state, name, raw))
    else:
        state.checks.append(Check("repair", None, "no raw bars at hand"))
    foreknowledge.shape(state, quality)
    foreknowledge.tradable(state, quality)
    return AuditReport(tuple(state.checks), tuple(state.findings), tuple(state.suspicions))


def require_bars(panel: Panel, features: FeaturesSpec, env: EnvSpec) -> None:
    """Raise DataError where these bars are too few for `audit`, which computes the features anew from them alone."""
    warmup = warmup_bars(names_available(panel, features))
    warm = np.flatnonzero(warm_rows(panel, warmup).any(axis=1))
    left, least = (panel.bars - int(warm[0]) if len(warm) else 0), env.window + 5
    if left < least:
        raise DataError(
            f"{panel.bars} bars leave {left} after the {warmup} that the slowest feature needs; an audit of them for "
            f"look-ahead needs {least}",
            hint="widen data.start and data.end, or take features with a shorter lookback or a smaller env.window",
        )


def _other_futures(state: Asking, many: str) -> None:
    asked = {
        "features": f"{len(state.whole.names)} features of {len(state.panel.symbols)} symbols {many}",
        "market": f"prices, volatility, volume, income {many}",
        "observation": f"every number {many}",
        "reward": f"every reward earned before {many}",
    }
    found = futures.other_futures(state)
    for name, question in asked.items():
        state.note(name, question, found.get(name))
