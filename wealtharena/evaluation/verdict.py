"""From figures to a word: promotable, unproven or rejected, with a reason a rule.

Each rule is one small function of the evidence and of the limits in `conf/evaluation`. The verdict is the worst status
that any rule gives: one rule can hold back a result that all others like. Limits that are looser than those that ship are told
among the reasons; they do not change the word, but the gate before production counts it as unproven.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from wealtharena.config.specs.asset import LITTLE
from wealtharena.config.specs.runs import EvaluationSpec, VerdictSpec
from wealtharena.evaluation import significance
from wealtharena.evaluation.evidence import ANCHOR, TEST_WINDOW, Evidence
from wealtharena.evaluation.strictness import limits_of, looser_reason
from wealtharena.evaluation.trials import tried
from wealtharena.evaluation.wording import (
    edited_reason,
    figure,
    invested_reason,
    left_out_reason,
    limit,
    luck_reason,
    patience,
    unfilled_reason,
)
from wealtharena.files import jsonable

Status = Literal["promotable", "unproven", "rejected"]
LIMITS: Final = "limits"  # what is said where they are looser than those that ship
FILLS: Final = "fills"  # the rule about orders that did not go through
LEAST_CASH: Final = -0.01  # a year; no central bank has asked more for deposits
ROUNDING: Final = 1e-9  # a year: by how much an account of cash may differ from what cash earned
INVESTED = 0.1  # share of its limit below which an agent is hardly invested
ORDER: tuple[Status, ...] = ("promotable", "unproven", "rejected")  # best to worst


@dataclass(frozen=True)
class Ruling:
    """What one rule says."""

    rule: str
    status: Status
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The worst ruling's status, all rulings, what they rest on, and the limits that they were made by.

    A ruling about the limits themselves stands first where there is one, and has no part in the status.
    """

    status: Status
    rulings: tuple[Ruling, ...]
    evidence: Evidence
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why it is not better, worst first; what speaks for it where nothing speaks against."""
        if self.status == "promotable":
            return tuple(r.reason for r in self.rulings)
        against = [r for r in self.rulings if r.status != "promotable"]
        against.sort(key=lambda r: -ORDER.index(r.status))
        return tuple(r.reason for r in against)

    def to_json(self) -> dict[str, Any]:
        """Return run.json's `verdict` block; NaN and infinity become null."""
        rules = [asdict(ruling) for ruling in self.rulings]
        block = {"status": self.status, "reasons": self.reasons, "rules": rules, "evidence": asdict(self.evidence)}
        found: dict[str, Any] = jsonable({**block, "limits": self.limits})
        return found


def judge(evidence: Evidence, evaluation: EvaluationSpec) -> Verdict:
    """Return the verdict of all rules."""
    rulings = tuple(rule(evidence, evaluation.verdict) for rule in RULES)
    worst = max(rulings, key=lambda r: ORDER.index(r.status))
    limits = limits_of(evaluation)
    told = looser_reason(limits)
    return Verdict(worst.status, (*([Ruling(LIMITS, "unproven", told)] if told else ()), *rulings), evidence, limits)


def lower_bound(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """The interval of the Sharpe difference to each baseline to beat must lie above 0, after all that was tried; below 0 it rejects."""
    difference, low, high = evidence.sharpe_difference, evidence.sharpe_difference_low, evidence.sharpe_difference_high
    if difference is None or low is None or high is None:
        return Ruling("lower_bound", "unproven", f"It could not be compared with {evidence.beats}.")
    among = f", the hardest of {len(evidence.rivals)} to beat," if len(evidence.rivals) > 1 else ","
    interval = f"{figure(low, 0.0, form='+.2f')} to {figure(high, 0.0, form='+.2f')}"
    figures = f"Sharpe ratio {figure(difference, 0.0, form='+.2f')} against {evidence.beats}{among} interval {interval}"
    if low > 0.0:
        sure = significance.deflated_difference(difference, low, confidence=spec.confidence, trials=evidence.trials)
        if sure < spec.min_dsr:
            return Ruling("lower_bound", "unproven", f"{figures}: {luck_reason(sure, evidence, spec)}")
        return Ruling("lower_bound", "promotable", f"{figures}: above it.")
    if high < 0.0:
        lost = f"{figures}: below it, and not by chance."
        return Ruling("lower_bound", "unproven" if evidence.own_anchor else "rejected", lost)
    return Ruling("lower_bound", "unproven", f"{figures}: could be chance. {patience(evidence)}")


def deflated_sharpe(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """The Sharpe ratio must stand after deflation by what was tried; one more likely luck than skill is rejected."""
    sources = tried(evidence.configurations, len(evidence.left_out), evidence.lacking)
    if evidence.dsr is None or math.isnan(evidence.dsr):
        return Ruling("dsr", "unproven", f"The deflated Sharpe ratio is not defined for this record ({sources}).")
    shown = figure(evidence.dsr, spec.min_dsr, spec.reject_dsr, form=".2f")
    text = f"Deflated Sharpe ratio {shown} with {sources}; {limit(spec.min_dsr, form='.2f')} is asked."
    if evidence.dsr < spec.reject_dsr and not evidence.own_anchor:  # its anchor claims no skill that luck could explain
        return Ruling("dsr", "rejected", f"{text} Luck explains it better than skill.")
    return Ruling("dsr", "promotable" if evidence.dsr >= spec.min_dsr else "unproven", text)


def overfitting(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Choosing among strategies must not be what made the result."""
    if evidence.pbo is None or math.isnan(evidence.pbo):
        if evidence.configurations <= 1:
            return Ruling("pbo", "promotable", "One configuration was tried: no choice to overfit by.")
        why = (
            "their records are too short for PBO, have gaps, or are one and the same"
            if evidence.strategies > 1
            else "their records are not at hand for PBO"
        )
        return Ruling("pbo", "unproven", f"{evidence.configurations} configurations were tried, and {why}.")
    shown, most = figure(evidence.pbo, spec.max_pbo, 0.5, form=".2f"), limit(spec.max_pbo, form=".2f")
    text = f"Probability of backtest overfitting {shown} over {evidence.strategies} strategies; {most} is allowed."
    lacking = evidence.tested - evidence.strategies
    if evidence.pbo <= spec.max_pbo and lacking > 0:  # among chosen rivals anybody is the best
        text += f" The records of {lacking} more that showed this window are not at hand: compare them too."
        return Ruling("pbo", "unproven", text)
    if evidence.pbo <= spec.max_pbo:
        return Ruling("pbo", "promotable", text)
    chosen = evidence.pbo > 0.5 and not evidence.own_anchor  # among results that are the anchor's there is no choice
    return Ruling("pbo", "rejected" if chosen else "unproven", text)


def drawdown(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """The worst drawdown of any seed must stay within the limit."""
    shown = figure(evidence.worst_drawdown, spec.max_drawdown, form=".1%")
    text = f"Worst drawdown {shown}; {limit(spec.max_drawdown, form='.0%')} is allowed."
    passed = evidence.worst_drawdown >= spec.max_drawdown and not evidence.liquidated
    if evidence.liquidated:
        text = "The account was liquidated. " + text
    return Ruling("drawdown", "promotable" if passed else "rejected", text)


def profit(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Doing nothing must not have been better."""
    del spec
    cash, name = evidence.cash_return, "the hurdle" if evidence.hurdle_raised else "cash"
    if cash >= 0.0 and abs(evidence.annual_return - cash) < ROUNDING:
        return Ruling("profit", "promotable", f"Annual return {cash:+.1%} on the {evidence.window}, as {name} earned.")
    text = f"Annual return {figure(evidence.annual_return, cash, 0.0, form='+.1%')} on the {evidence.window}"
    if cash:
        text += f", {name} {figure(cash, evidence.annual_return, form='+.1%')}"
    if not evidence.annual_return < max(cash, 0.0):
        return Ruling("profit", "promotable", f"{text}.")
    if evidence.own_anchor and _is_hardly_invested(evidence):
        return Ruling("profit", "unproven", f"{text}: it is cash, less what a few small trades cost.")
    least = "less than asset.risk_free_bps_per_year asks" if evidence.hurdle_raised else "holding cash was better"
    better = least if evidence.annual_return < cash else "a loss, where cash lost more"
    return Ruling("profit", "rejected", f"{text}: {better}.")


def seeds(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """One run is at best unproven: a seed alone can change the sign of a result."""
    text = f"{evidence.seeds} seed{'s' if evidence.seeds != 1 else ''}"
    if evidence.repeated:
        runs = evidence.seeds + evidence.repeated
        text += f", for of {runs} runs {evidence.repeated} had the path of another, bar by bar: judge each path once"
    # copies of one outweigh the others in every figure
    passed = evidence.seeds >= spec.min_seeds and not evidence.repeated
    return Ruling("seeds", "promotable" if passed else "unproven", f"{text}; {spec.min_seeds} are asked.")


def record_length(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A short record has seen one kind of market, whatever its bars; of few bars the interval is narrower than it should be."""
    shown, least = figure(evidence.years, spec.min_years, form=".1f"), limit(spec.min_years, form=".1f")
    record = "test record" if evidence.window == TEST_WINDOW else "record"
    text = f"The {record} has {evidence.bars:,} bars in {shown} years; {spec.min_bars} and {least} are asked."
    passed = evidence.bars >= spec.min_bars and evidence.years >= spec.min_years
    return Ruling("record", "promotable" if passed else "unproven", text)


def selection(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Reporting every run of a configuration is no selection; leaving one out is."""
    del spec
    if not evidence.left_out:
        return Ruling("selection", "promotable", "No completed run of this configuration on this window is left out.")
    return Ruling("selection", "unproven", left_out_reason(evidence.left_out))


def unedited(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """What is judged again from its folder must be what the run left there."""
    del spec
    if not evidence.edited:
        return Ruling("unedited", "promotable", "What was judged is what its runs left.")
    return Ruling("unedited", "unproven", edited_reason(evidence.edited))


def openings(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A window that was looked at often is no longer unseen, whatever each look was for."""
    times = f"{evidence.openings} time{'s' if evidence.openings != 1 else ''}"
    text = f"The test window was opened {times}, {evidence.own_openings} of them by this configuration"
    if evidence.openings <= spec.max_openings:
        return Ruling("openings", "promotable", f"{text}; {spec.max_openings} are allowed.")
    return Ruling(
        "openings", "unproven", f"{text}; after {spec.max_openings} it is no longer unseen: take a later one."
    )


def activity(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A policy that hardly trades has hardly been tested."""
    text = f"Fewest trades of a seed: {evidence.fewest_trades}; {spec.min_trades} are asked."
    return Ruling("trades", "promotable" if evidence.fewest_trades >= spec.min_trades else "unproven", text)


def hardly_invested(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Interest is not skill: who holds next to nothing shows what cash earns."""
    del spec
    if evidence.exposure is None or evidence.max_gross is None:
        return Ruling("hardly_invested", "promotable", "How much it held is not known.")
    shown = figure(evidence.exposure, INVESTED * evidence.max_gross, form=".1%")
    text = f"It holds {shown} of its equity on average, {evidence.max_gross:.0%} is its limit"
    if not _is_hardly_invested(evidence):
        return Ruling("hardly_invested", "promotable", f"{text}.")
    return Ruling("hardly_invested", "unproven", f"Hardly invested: {text[0].lower()}{text[1:]}.")


def _is_hardly_invested(evidence: Evidence) -> bool:
    if evidence.exposure is None or evidence.max_gross is None:
        return False
    return evidence.exposure < INVESTED * evidence.max_gross


def leaves_anchor(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A tilt that is its anchor shows what the anchor earns: an honest nothing, and nothing to promote."""
    del spec
    if evidence.own_anchor:
        nothing = "its validation proved nothing that it learned (lambda 0)"
        why = nothing if evidence.kept_share == 0.0 else "it tilts by next to nothing"
        which = "" if ANCHOR in evidence.rivals else ", which is cash"
        return Ruling("anchor", "unproven", f"It is its anchor{which}: {why}.")
    return Ruling("anchor", "promotable", "It is not the portfolio that it started from.")


def degenerate(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A policy that does not react to what it sees is none."""
    del spec
    if evidence.degenerate is None:
        return Ruling("degenerate", "promotable", "The policy reacts to what it sees.")
    return Ruling("degenerate", "rejected", f"Degenerate policy: {evidence.degenerate}.")


def real_data(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Simulated markets prove nothing about real ones, nor do prices that are known to be wrong."""
    if evidence.faults and not evidence.simulated:
        text = f"Its bars keep faults that are repaired as shipped: {', '.join(evidence.faults)}."
        return Ruling("simulated", "unproven", f"{text} They may make the agent, or break what it is compared with.")
    if not evidence.simulated:
        return Ruling("simulated", "promotable", "Real market data.")
    text = "Simulated data: nothing about a real market is shown."
    return Ruling("simulated", "promotable" if spec.allow_simulated else "unproven", text)


def costs(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """What trades for next to nothing, or is paid by a number that somebody set, shows what no account earns."""
    del spec
    if evidence.assumed:
        return Ruling("costs", "unproven", f"{evidence.assumed}: part of the result is that number.")
    if evidence.uncharged:
        return Ruling("costs", "unproven", f"{evidence.uncharged}.")
    if evidence.cash_return < LEAST_CASH:  # every return is so much more above it: most shows where least moves
        text = f"Cash loses {-evidence.cash_return:.2%} a year (asset.costs.cash_bps_per_year), more than any bank has asked"
        return Ruling("costs", "unproven", f"{text}: part of every Sharpe ratio is that number.")
    if not evidence.costless:
        return Ruling("costs", "promotable", "Orders cost something.")
    return Ruling("costs", "unproven", f"Orders cost next to nothing (asset.costs): {LITTLE}.")


def rolls(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A gap at a contract roll is a gain or loss that nobody could have had."""
    if not evidence.unadjusted_rolls:
        return Ruling("rolls", "promotable", "No unadjusted contract rolls.")
    text = "Contract rolls are not adjusted: part of the return is gaps that nobody could trade."
    return Ruling("rolls", "promotable" if spec.allow_unadjusted_rolls else "unproven", text)


def universe(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Members chosen after the window began are its survivors: nobody could have held this list."""
    if evidence.hindsight is None:
        return Ruling("universe", "promotable", "The universe holds nothing that was chosen with hindsight.")
    share = "" if evidence.survivors is None else f"; {evidence.survivors:.0%} of its symbols trade to the end"
    text = f"The universe was chosen with hindsight: {evidence.hindsight}{share}."
    return Ruling("universe", "promotable" if spec.allow_hindsight else "unproven", text)


def settings(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Settings that a search chose by bars of the test window were chosen by what is tested, and no ledger counts how often."""
    del spec
    if evidence.searched is None:
        return Ruling("settings", "promotable", "No settings of a search that had seen the test window.")
    return Ruling("settings", "unproven", f"Its settings were chosen by bars of the test window: {evidence.searched}.")


def leaks(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """No number of the data may tell a return that could still be traded."""
    del spec
    if not evidence.leaks:
        return Ruling("leaks", "promotable", "No number of the data tells the next tradable return.")
    more = f" (and {len(evidence.leaks) - 1} more)" if len(evidence.leaks) > 1 else ""
    return Ruling("leaks", "unproven", f"The data may know the future: {evidence.leaks[0]}{more}.")


def plausible(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A Sharpe ratio that no fund has is a fault of the data or of the account until shown otherwise."""
    if not evidence.sharpe > spec.implausible:
        return Ruling("plausible", "promotable", f"Its net Sharpe ratio is not above {spec.implausible:g}.")
    shown = figure(evidence.sharpe, spec.implausible, form=".2f")
    text = f"A net Sharpe ratio of {shown} is above {spec.implausible:g}: look for a leak."
    return Ruling("plausible", "unproven", text)


def audit(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """No feature, baseline or policy may have looked ahead."""
    if evidence.audit is None:
        status: Status = "unproven" if spec.require_audit else "promotable"
        return Ruling("audit", status, "The look-ahead audit was not run.")
    if evidence.audit == "passed":
        return Ruling("audit", "promotable", "The look-ahead audit passed.")
    return Ruling("audit", "rejected", "The look-ahead audit failed: something uses the future.")


def fills(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """Orders that lapsed or were cut make the test one of another strategy than that asked for."""
    beyond = [found for found in evidence.unfilled if found.share > spec.max_unfilled]
    if not beyond:
        most = limit(spec.max_unfilled, form=".0%")
        text = f"Of what agent and baselines asked for at most {most} lapsed or was cut."
        return Ruling(FILLS, "promotable", text)
    return Ruling(FILLS, "unproven", unfilled_reason(beyond, spec))


def shown(verdict: Mapping[str, Any], most: int) -> list[str]:
    """Return the first reasons of a verdict's block, and wherever they stand what it says of its limits and of lapsed orders."""
    reasons = list(verdict.get("reasons") or ())
    always = [
        rule["reason"]
        for rule in verdict.get("rules") or ()
        if rule["rule"] in (LIMITS, FILLS) and rule["status"] != "promotable"
    ]
    return [*reasons[:most], *(reason for reason in always if reason in reasons[most:])]


def invested(evidence: Evidence, spec: VerdictSpec) -> Ruling:
    """A baseline that could not be bought is no hurdle."""
    held = {name: share for name, share in evidence.invested.items() if name in spec.beats}
    if not held:
        return Ruling("invested", "promotable", "No baseline to beat is bought once.")
    name, share = min(held.items(), key=lambda item: item[1])
    shown = figure(share, spec.min_invested, form=".0%")
    if share >= spec.min_invested:
        return Ruling("invested", "promotable", f"{name} held {shown} of what it was to hold, over the window.")
    return Ruling("invested", "unproven", invested_reason(name, shown, evidence, spec))


RULES: Sequence[Callable[[Evidence, VerdictSpec], Ruling]] = (
    lower_bound,
    leaves_anchor,  # early, for it explains what follows
    deflated_sharpe,
    overfitting,
    profit,
    drawdown,
    seeds,
    record_length,
    selection,
    unedited,
    openings,
    activity,
    fills,
    hardly_invested,
    invested,
    degenerate,
    real_data,
    costs,
    rolls,
    universe,
    settings,
    leaks,
    plausible,
    audit,
)
