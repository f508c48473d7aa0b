"""Whether the rules of a verdict are looser than those that ship: a word means what everybody takes it to mean, or says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Final

import yaml

from wealtharena.config.paths import conf_dir
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec, QualitySpec
from wealtharena.config.specs.runs import EvaluationSpec, VerdictSpec

# Each limit by the direction in which it is stricter; of the last ones a longer list.
HIGHER: Final = (
    "confidence", "min_dsr", "reject_dsr", "max_drawdown", "min_seeds", "min_years", "min_bars", "min_trades",
    "min_invested", "require_audit", "bootstrap_draws", "cscv_blocks",
)  # fmt: skip
LOWER: Final = (
    "max_pbo", "max_openings", "max_unfilled", "implausible", "allow_simulated", "allow_unadjusted_rolls",
    "allow_hindsight",
)  # fmt: skip
LONGER: Final = ("beats",)
LEAK_LIMITS: Final = ("leak_correlation", "leak_floor", "leak_ceiling")  # of `data.quality`, lower is stricter
# Of `asset`: what an account pays, and what its market denies it.
COSTS: Final = (
    "commission_bps", "half_spread_bps", "impact_coefficient", "borrow_bps_per_year", "margin_bps_per_year",
)  # fmt: skip
LIMITS: Final = (
    "maintenance_margin",
    "liquidation_penalty_bps",
    "delisting_haircut",
    "delisting_bars",
    "participation",
)
INSTRUMENT: Final = ("margin_futures",)  # of a margined contract the whole is held for no money, which goes on earning
KINDER_ABOVE: Final = (
    "participation", "margin_futures", "delisting_bars",  # who is never struck off keeps what nobody buys at its last price
)  # fmt: skip  # of the others a lower one is kinder
PRECISION: Final = ("bootstrap_draws", "cscv_blocks")  # of `evaluation` itself: of few a bound is a matter of the seed


@cache
def shipped() -> VerdictSpec:
    """Return the rules that ship, whatever the command at hand or a configuration of one's own has made of them."""
    return VerdictSpec.model_validate(_packaged()["verdict"])


def shipped_limits() -> Mapping[str, Any]:
    """Return the limits that ship, by name: the rules, and how finely interval and PBO are computed."""
    packaged = _packaged()
    return shipped().model_dump(mode="json") | {name: packaged[name] for name in PRECISION}


def limits_of(evaluation: EvaluationSpec) -> dict[str, Any]:
    """Return the limits that a verdict is found by: those of `evaluation.verdict`, and its precision."""
    return evaluation.verdict.model_dump(mode="json") | {name: getattr(evaluation, name) for name in PRECISION}


def looser(rules: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of `rules` that are looser than those that ship, each with its value and, behind it, the shipped one.

    A key that is missing is one from after those rules were written. What is no number where one is asked holds nothing.
    """
    return tuple(
        _beside(name, rules[name], limit)
        for name, limit in shipped_limits().items()
        if name in rules and not _is_as_strict(name, rules[name], limit)
    )


def looser_leak_test(data: DataSpec, *, vintages: Collection[str] = ()) -> tuple[str, ...]:
    """Return, in words, by what looser limits than ship the data were asked whether they know the future; nothing where by none.

    A macro series without vintages is known by `lag_days` later than what it describes, and sooner it was not published;
    `vintages` names those that have some.
    """
    packaged = _packaged("data", "auto")
    shipped, lags = packaged["quality"], packaged["macro"]["lag_days"]
    asked = {name: getattr(data.quality, name) for name in LEAK_LIMITS}
    found = [_beside(name, value, shipped[name]) for name, value in asked.items() if value > shipped[name]]
    told = [f"they were asked by looser limits than ship, {', '.join(found)}"] if found else []
    least = min(lags.values())  # of what is published every day
    for series in data.macro.series:
        lag = data.macro.lag_days.get(series, data.macro.default_lag_days)
        if series not in vintages and lag is not None and lag < lags.get(series, least):
            said = _beside(f"data.macro.lag_days.{series}", lag, lags.get(series, least))
            told.append(f"{series} may be used before it was published, by {said}")
    return tuple(told)


def kept_faults(quality: QualitySpec, found: Mapping[str, str]) -> tuple[str, ...]:
    """Return, in words, what is wrong with the bars and was left in by `quality`, where as shipped it is not; `found` says how much by kind."""
    shipped = _packaged("data", "auto")["quality"]
    kept = [kind for kind in found if getattr(quality, kind, None) == "warn" != shipped.get(kind, "warn")]
    told = [f"{found[kind]} (data.quality.{kind}=warn)" for kind in kept]
    if quality.spike_sigmas > shipped["spike_sigmas"]:
        told.append(f"spikes, by {_beside('data.quality.spike_sigmas', quality.spike_sigmas, shipped['spike_sigmas'])}")
    return tuple(told)


def kinder_market(asset: AssetSpec) -> str | None:
    """Return, in words, where `asset` pays less or is denied less than its class as it ships; None where nowhere."""
    shipped = _packaged("asset", asset.market)
    found = []
    for group, names in (("costs", COSTS), ("limits", LIMITS), ("instrument", INSTRUMENT)):
        for name in names:
            value, limit = getattr(getattr(asset, group), name), shipped[group][name]
            if value > limit if name in KINDER_ABOVE else value < limit:
                found.append(_beside(f"asset.{group}.{name}", value, limit))
    return f"The market is kinder than it ships: {', '.join(found)}." if found else None


def looser_reason(rules: Mapping[str, Any]) -> str | None:
    """Return, in words, by what looser rules a verdict was found; None where by none."""
    found = looser(rules)
    return f"Judged by looser rules than ship: {', '.join(found)}." if found else None


@cache
def _packaged(group: str = "evaluation", choice: str = "default") -> Mapping[str, Any]:
    content: Mapping[str, Any] = yaml.safe_load((conf_dir() / group / f"{choice}.yaml").read_text(encoding="utf-8"))
    return content


def _is_as_strict(name: str, value: Any, limit: Any) -> bool:
    if name in LONGER:
        return set(limit) <= set([value] if isinstance(value, str) else value or ())
    if not isinstance(value, int | float):
        return False
    return bool(value >= limit if name in HIGHER else value <= limit)


def _beside(key: str, value: Any, shipped: Any) -> str:
    return f"{key} {_text(value)} ({_text(shipped)})"


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
