"""Look-ahead audit: change the future, and see whether anything moves that must not know it.

Every check compares what is computed on the whole panel with what is computed when the bars after t are cut off or
replaced by noise. What is audited is passed in (`Subject`), so that a planted leak can be audited too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena import features as features_room
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.features import FeaturesSpec
from wealtharena.data.bars import Bars, RawBars
from wealtharena.data.panel import Panel
from wealtharena.data.quality import leaks
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.envs.trajectory import Trajectory
from wealtharena.envs.vector_env import PortfolioVectorEnv
from wealtharena.errors import DataError
from wealtharena.features.panel import FeaturePanel, Scaler

Played = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # observations [n + 1, D] and rewards [n]

TOLERANCE: Final = 1e-6  # relative; features are float32
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


@dataclass(frozen=True)
class Finding:
    """The first thing that knew the future in one check."""

    check: str
    what: str  # the feature, price or number that moved
    symbol: str
    bar: int  # row of the panel that moved
    timestamp: str
    detail: str

    def __str__(self) -> str:
        where = (
            f"{self.symbol}, bar {self.bar} ({self.timestamp[:16]})"
            if self.symbol
            else f"bar {self.bar} ({self.timestamp[:16]})"
        )
        return f"{self.check}: {self.what} of {where}: {self.detail}"


@dataclass(frozen=True)
class Check:
    """One question that the audit asked; `passed` is None where it could not be asked, and `detail` says why."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class AuditReport:
    """What was checked, and what was found."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    suspicions: tuple[str, ...] = ()  # not proven, but to be looked at before a result is believed

    @property
    def passed(self) -> bool:
        """Return whether no check found anything."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types, for run.json."""
        return {
            "passed": self.passed,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks],
        }


def play(market: Market, spec: EnvSpec, actions: npt.NDArray[np.float32]) -> Played:
    """Return observations [n + 1, D] and rewards [n] of one environment over the whole market, in the order seen."""
    whole = spec.model_copy(update={"episode_bars": None, "random_start": False, "action": "weights"})
    env = PortfolioVectorEnv(market, whole, num_envs=1, autoreset_mode="Disabled")
    steps = market.length - spec.window
    seen = np.zeros((steps + 1, 1, market.layout.size), dtype=np.float32)
    rewards = np.zeros((steps, 1), dtype=np.float32)
    ended = np.zeros((2, 1), dtype=np.bool_)
    env.reset_into(seen[0], seed=0)
    for n in range(steps):
        t = n + spec.window - 1
        env.step_into(actions[t : t + 1], obs=seen[n + 1], reward=rewards[n], terminated=ended[0], truncated=ended[1])
        if ended[0, 0]:
            return seen[: n + 2, 0], rewards[: n + 1, 0]
    return seen[:, 0], rewards[:, 0]


@dataclass(frozen=True)
class Subject:
    """The functions under audit; the defaults are the platform's own."""

    features: Callable[[Panel, FeaturesSpec], FeaturePanel] = features_room.compute
    fit: Callable[[FeaturePanel, slice], Scaler] = lambda features, rows: Scaler.fit(features, clip=5.0, rows=rows)
    market: Callable[[FeaturePanel, EnvSpec, Scaler], Market] = Market.build
    play: Callable[[Market, EnvSpec, npt.NDArray[np.float32]], Played] = play
    simulate: Callable[..., Trajectory] = simulate
    repair: Callable[[RawBars], Bars] | None = None


@dataclass
class _Audit:
    panel: Panel
    features_spec: FeaturesSpec
    env: EnvSpec
    subject: Subject
    points: tuple[int, ...]  # rows of the feature panel
    rng: np.random.Generator
    whole: FeaturePanel
    findings: list[Finding] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def offset(self) -> int:
        return self.whole.warmup_bars

    def found(self, check: str, what: str, symbol: str, row: int, detail: str) -> Finding:
        bar = row + self.offset
        return Finding(check, what, symbol, bar, str(self.panel.timestamps[bar]), detail)

    def run(self, name: str, asked: str, search: Callable[[str], Finding | None]) -> None:
        """Ask one question and note the first finding."""
        self.note(name, asked, search(name))

    def note(self, name: str, asked: str, finding: Finding | None) -> None:
        """Note the answer to a question."""
        if finding is not None:
            self.findings.append(finding)
        self.checks.append(Check(name, finding is None, asked if finding is None else str(finding)))

    def futures(self) -> Iterator[tuple[int, str, Panel]]:
        """Yield (row t, how, panel) for every point: the bars after t cut off, and replaced by noise."""
        for t in self.points:
            bar = t + self.offset
            yield t, "cut off", self.panel.slice(0, bar + 1)
            yield t, "changed", perturbed(self.panel, bar, self.rng)


def audit(
    panel: Panel,
    features: FeaturesSpec,
    env: EnvSpec,
    *,
    points: int,
    rng: np.random.Generator,
    raw: Sequence[RawBars] = (),
    leak_correlation: float = 0.35,
    subject: Subject | None = None,
) -> AuditReport:
    """Return what the future could be seen in, at `points` times t drawn over the panel.

    Features, scaler, market arrays, observations, rewards and fills up to t must be the same, to 1e-6, when every bar
    after t is cut off or replaced by noise; an order decided at t must change nothing before bar t + 1 and fill at that
    bar's price; the clean bars of `raw` must keep their returns up to t; and no bar's own shape may tell the next
    return (the sign of bars stamped wrongly).
    """
    subject = subject or Subject()
    whole = subject.features(panel, features)
    low, high = env.window + 1, whole.bars - 3
    if high <= low:
        raise DataError(
            f"{whole.bars} bars after warm-up are too few to audit", hint=f"give at least {env.window + 6} more"
        )
    drawn = np.sort(rng.choice(np.arange(low, high), size=min(points, high - low), replace=False))
    state = _Audit(panel, features, env, subject, tuple(int(t) for t in drawn), rng, whole)
    many = f"at {len(drawn)} bars, future cut off and changed"
    asked = {
        "features": f"{len(whole.names)} features of {len(panel.symbols)} symbols {many}",
        "market": f"prices, volatility, volume, income {many}",
        "observation": f"every number {many}",
        "reward": f"every reward earned before {many}",
    }
    first = _other_futures(state)
    for name, question in asked.items():
        state.note(name, question, first.get(name))
    state.run("scaler", f"fitted on the first {TRAIN_SHARE:.0%}, the rest changed", lambda name: _scaler(state, name))
    state.run(
        "fill", "an order moves nothing before the next bar, and fills at its price", lambda name: _fills(state, name)
    )
    if subject.repair is not None and raw:
        state.run("repair", f"clean bars of {len(raw)} series {many}", lambda name: _repair(state, name, raw))
    else:
        state.checks.append(Check("repair", None, "no raw bars at hand"))
    if panel.high is None or panel.low is None:
        state.checks.append(Check("bar shape", None, "closes only"))
    else:
        state.run("bar shape", "no bar tells the next return", lambda name: _shape(state, name, leak_correlation))
    return AuditReport(tuple(state.checks), tuple(state.findings))


def perturbed(panel: Panel, bar: int, rng: np.random.Generator) -> Panel:
    """Return the panel with everything after `bar` replaced by noise about it; `bar` and before are untouched."""
    after = slice(bar + 1, None)
    shape = panel.close[after].shape
    level = np.exp(np.cumsum(rng.normal(0, 0.05, shape), axis=0))
    changes: dict[str, Any] = {}
    for name in ("open", "high", "low", "close"):
        changes[name] = _after(getattr(panel, name), bar, lambda old: old * level * np.exp(rng.normal(0, 0.02, shape)))
    changes["volume"] = _after(panel.volume, bar, lambda old: old * np.exp(rng.normal(0, 1, shape)))
    changes["dividends"] = _after(
        panel.dividends, bar, lambda old: old + np.abs(panel.close[after]) * 0.01 * rng.random(shape)
    )
    changes["to_account"] = _after(panel.to_account, bar, lambda old: old * np.exp(rng.normal(0, 0.05, shape)))
    changes["tradable"] = _after(panel.tradable, bar, lambda old: old & (rng.random(shape) > 0.1))
    changes["macro"] = _after(panel.macro, bar, lambda old: old + rng.normal(0, 1, old.shape) * (1 + np.abs(old)))
    return replace(panel, **changes)


def _after(values: Any, bar: int, change: Callable[[Any], Any]) -> Any:
    if values is None:
        return None
    changed = values.copy()
    changed[bar + 1 :] = change(values[bar + 1 :])
    return changed


def _differs(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return where two arrays differ by more than the tolerance; NaN equals NaN."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    same: npt.NDArray[np.bool_] = np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * 1e-3, equal_nan=True)
    return ~same


def _first(moved: npt.NDArray[np.bool_]) -> tuple[int, ...] | None:
    places = np.argwhere(moved)
    return tuple(int(i) for i in places[0]) if len(places) else None


def _other_futures(state: _Audit) -> dict[str, Finding]:
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
            other_played = subject.play(other_market, spec, actions)
            answers |= _played(state, market, played, other_played, t, when)
        for name, finding in answers.items():
            if finding is not None:
                found.setdefault(name, finding)
    return found


def _features(state: _Audit, other: FeaturePanel, t: int, when: str) -> Finding | None:
    if other.names != state.whole.names or other.warmup_bars != state.offset:
        return state.found("features", "the list of features or the warm-up", "", t, f"is another {when}")
    moved = _first(_differs(state.whole.values[: t + 1], other.values[: t + 1]))
    if moved is None:
        return None
    row, symbol, feature = moved
    detail = f"{state.whole.values[moved]:.6g} becomes {other.values[moved]:.6g} {when}"
    return state.found("features", state.whole.names[feature], state.panel.symbols[symbol], row, detail)


def _market(state: _Audit, market: Market, other: Market, t: int, when: str) -> Finding | None:
    moved = _first(_differs(market.bars[: t + 1], other.bars[: t + 1]))
    if moved is None:
        return None
    row, kind, symbol = moved
    detail = f"{market.bars[moved]:.6g} becomes {other.bars[moved]:.6g} {when}"
    return state.found("market", ROW_NAMES[kind], state.panel.symbols[symbol], row, detail)


def _played(state: _Audit, market: Market, whole: Played, other: Played, t: int, when: str) -> dict[str, Finding]:
    """Compare what was seen up to t, and what was earned up to the close of t."""
    first = state.env.window - 1
    upto = t - first
    (seen, paid), (other_seen, other_paid) = whole, other
    upto = min(upto, len(paid), len(other_paid))  # a liquidated account has no more to compare
    found: dict[str, Finding] = {}
    moved = _first(_differs(seen[: upto + 1], other_seen[: upto + 1]))
    if moved:
        detail = f"{seen[moved]:.6g} becomes {other_seen[moved]:.6g} {when}"
        what = market.layout.names()[moved[1]]
        found["observation"] = state.found("observation", what, "", moved[0] + first, detail)
    moved = _first(_differs(paid[:upto], other_paid[:upto]))
    if moved:
        detail = f"{paid[moved]:.6g} becomes {other_paid[moved]:.6g} {when}"
        found["reward"] = state.found("reward", "the reward", "", moved[0] + first, detail)
    return found


def _scaler(state: _Audit, name: str) -> Finding | None:
    rows = slice(0, max(2, int(state.whole.bars * TRAIN_SHARE)))
    values = state.whole.values.copy()
    values[rows.stop :] = state.rng.normal(3, 10, values[rows.stop :].shape)
    before = state.subject.fit(state.whole, rows)
    after = state.subject.fit(replace(state.whole, values=values), rows)
    for what, moved in (
        ("mean", _first(_differs(before.mean, after.mean))),
        ("std", _first(_differs(before.std, after.std))),
    ):
        if moved:
            feature = state.whole.names[moved[0]]
            return state.found(name, f"{what} of {feature}", "", rows.stop, "moves with rows after the training window")
    return None


def _fills(state: _Audit, name: str) -> Finding | None:
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
        moved = _first(_differs(path.weights[: n + 1], other.weights[: n + 1]))
        if moved is None:
            equity = _first(_differs(path.equity[: n + 1], other.equity[: n + 1]))
            moved = (equity[0], 0) if equity else None
        if moved:
            detail = f"moves at bar {moved[0] + start + state.offset} already when the decision at row {t} is another"
            return state.found(name, "the position", symbols[moved[1]], moved[0] + start, detail)
    for trade in range(len(path.trades.bar)):
        row, symbol = int(path.trades.bar[trade]) + start, int(path.trades.symbol[trade])
        allowed = (prices[row, symbol], closing[row, symbol])  # the close: forced by the margin
        gone = not np.isfinite(panel.close[row, symbol])  # struck off, at its last mark
        if not gone and not np.isclose(path.trades.price[trade], allowed, rtol=TOLERANCE).any():
            detail = f"paid {path.trades.price[trade]:.6g}, but {market.fill} of that bar is {allowed[0]:.6g}"
            return state.found(name, "the fill price", symbols[symbol], row, detail)
    return None


def _repair(state: _Audit, name: str, raw: Sequence[RawBars]) -> Finding | None:
    """Compare clean returns, not levels: a split adjusts all prices before it by one factor, which no return shows."""
    assert state.subject.repair is not None
    for series in raw:
        whole = state.subject.repair(series)
        clean = _returns(whole)
        for cut in _cuts(series.table, max(4, len(state.points) // len(raw)), state.rng):
            table = series.table
            known = pd.Timestamp(table["timestamp"].iloc[:cut].max())
            for how, changed in (("cut off", table.iloc[:cut]), ("changed", _noisy(table, cut, state.rng))):
                other = _returns(state.subject.repair(replace(series, table=changed.reset_index(drop=True))))
                both = clean.index.intersection(other.index)
                # A repaired leaking bar closes at the next open, by design: its row is decided on a bar later.
                both = both[both < known] if any("leaking" in note for note in whole.notes) else both[both <= known]
                moved = _first(_differs(clean[both].to_numpy(), other[both].to_numpy()))
                if moved:
                    stamp = pd.Timestamp(both[moved[0]])
                    row = int(np.searchsorted(state.panel.timestamps, stamp.tz_convert(None).to_datetime64()))
                    when = f"when the raw bars after {known.date()} are {how}"
                    detail = f"the return {clean[stamp]:.6g} becomes {other[stamp]:.6g} {when}"
                    bar = min(row, state.panel.bars - 1)
                    return Finding(name, "the clean close", series.symbol, bar, str(stamp), detail)
    return None


def _cuts(table: pd.DataFrame, count: int, rng: np.random.Generator) -> list[int]:
    """Return rows to cut at: half of them just after a bar that a repair may have touched, where there are such."""
    close = table["close"].to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        move = np.abs(np.diff(np.log(np.where(close > 0, close, np.nan)), prepend=np.nan))
    usual = np.nanmedian(move) if np.isfinite(move).any() else 0.0
    odd = ~np.isfinite(close) | ~(close > 0) | (move > 8 * usual)
    low, high = min(60, len(table) // 2), len(table) - 2
    if high <= low:
        return []
    strange = np.flatnonzero(odd[low - 1 : high - 1]) + low
    chosen = set(rng.integers(low, high, count).tolist())
    if len(strange):
        chosen |= set(rng.choice(strange, size=min(count, len(strange)), replace=False).tolist())
    return sorted(int(cut) for cut in chosen)


def _returns(bars: Bars) -> pd.Series:
    close = bars.table.set_index("timestamp")["close"]
    return (close / close.shift(1) - 1).iloc[1:]


def _noisy(table: pd.DataFrame, cut: int, rng: np.random.Generator) -> pd.DataFrame:
    changed = table.copy()
    columns = ["open", "high", "low", "close"]
    noise = np.exp(np.cumsum(rng.normal(0, 0.01, (len(table) - cut, 1)), axis=0))
    changed.loc[changed.index[cut:], columns] = changed[columns].to_numpy()[cut:] * noise
    return changed


def _shape(state: _Audit, name: str, limit: float) -> Finding | None:
    panel = state.panel
    assert panel.high is not None
    assert panel.low is not None
    for column, symbol in enumerate(panel.symbols):
        present = np.isfinite(panel.close[:, column])
        table = pd.DataFrame({n: getattr(panel, n)[present, column] for n in ("high", "low", "close")})
        strength, shape = leaks.leak(table)
        if strength > limit:
            row = int(np.flatnonzero(present)[0]) - state.offset
            return state.found(
                name,
                shape,
                symbol,
                row,
                f"correlates {strength:.2f} with the next return; markets stay below {limit:g}",
            )
    return None
