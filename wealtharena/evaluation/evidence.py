"""What a verdict rests on: the figures of a judgement, and what else the rules have to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from wealtharena.config.specs.runs import VerdictSpec
from wealtharena.envs.shortfall import Shortfall
from wealtharena.evaluation.strictness import shipped

TEST_WINDOW: Final = "test window"  # what is judged, in words
PLAYED: Final = "window played"  # training, validation, everything or dates, as a backtest was asked for
ANCHOR: Final = "anchor"  # the baseline that a tilt starts from
AGENT: Final = "the agent"  # among those whose orders may not go through


@dataclass(frozen=True)
class Unfilled:
    """How much of what `who` asked for lapsed or was cut, and why most of it did."""

    who: str
    share: float
    cause: str

    @classmethod
    def of(cls, who: str, found: Shortfall) -> Unfilled:
        return cls(who, found.share, found.cause)


@dataclass(frozen=True)
class Evidence:
    """What the rules look at. Sharpe figures are a year; None means not known."""

    seeds: int
    years: float  # length of the test record
    bars: int  # of it
    annual_return: float  # interquartile mean over seeds, as the next one
    sharpe: float
    sharpe_spread: float | None  # largest less smallest over seeds
    beats: str  # the baseline of the lower bound, the hardest of `rivals`
    sharpe_difference: float | None
    sharpe_difference_low: float | None
    sharpe_difference_high: float | None
    years_needed: float | None
    dsr: float | None
    trials: int
    pbo: float | None
    strategies: int  # whose records were at hand for pbo
    worst_drawdown: float
    fewest_trades: int
    liquidated: bool
    degenerate: str | None
    simulated: bool
    unadjusted_rolls: bool
    audit: Literal["passed", "failed"] | None  # None: not made
    openings: int  # looks at the test window so far, this one included
    risk_free_per_year: float = 0.0  # a share; the mean of a dated rate
    risk_free_floor: float = 0.0  # what the spec says of it; see `Facts.risk_free_per_year`
    rivals: tuple[str, ...] = ()  # all that are to be beaten
    cash_return: float = 0.0  # a year, what an all-cash account earned over the window, or the hurdle
    hurdle_raised: bool = False  # whether the spec names a hurdle above what cash earns
    exposure: float | None = None  # mean gross weight of the seed that held least
    max_gross: float | None = None  # what it may hold
    own_anchor: bool = False  # it tilts an anchor, and never leaves it
    kept_share: float | None = None  # lambda: how much of what was learned its validation proved, where that is asked
    own_openings: int = 1  # of them by this configuration
    configurations: int = 1  # of `trials`; the others are runs left out
    tested: int = 1  # of them, those that showed the test window
    lacking: int = 0  # seeds that other configurations showed on this window and this group does not have
    elsewhere: int = 0  # real test windows of the agent of other dates or symbols that were opened, too
    repeated: int = 0  # runs of the group with the path of another, which are no seeds
    left_out: tuple[str, ...] = ()  # completed runs of this configuration that were not judged with it
    edited: tuple[str, ...] = ()  # recorded runs that are not as they ended, in words
    leaks: tuple[str, ...] = ()  # numbers of the data that seem to know the next tradable return, in words
    faults: tuple[str, ...] = ()  # what is wrong with the bars and was left in, in words
    hindsight: str | None = None  # how the universe was chosen, where that was after the test window began
    unfilled: tuple[Unfilled, ...] = ()  # by `of_orders`, as the next one
    invested: Mapping[str, float] = field(default_factory=dict)  # of the rivals that are bought once
    survivors: float | None = None  # share of the symbols that still trade at the end of the data
    costless: bool = False  # orders cost next to nothing
    assumed: str | None = None  # what positions are paid by a number that was set, in words
    uncharged: str | None = None  # what holding costs and nobody charged, in words
    searched: str | None = None  # what search chose the settings by bars of the test window, in words
    window: str = TEST_WINDOW  # or PLAYED


def of_orders(unfilled: Sequence[Unfilled], invested: Mapping[str, float], rules: VerdictSpec) -> dict[str, Any]:
    """Return `unfilled` and `invested` of the evidence: all that these rules, or those that ship, may hold against a result.

    Who judges the record again, by stricter rules, reads there what a run with looser ones passed over. What a rival bought too
    little for is kept whatever its share, since it names the remedy.
    """
    usual = shipped()
    most, least = min(rules.max_unfilled, usual.max_unfilled), max(rules.min_invested, usual.min_invested)
    rivals = {*rules.beats, *usual.beats}
    held = {name: share for name, share in invested.items() if name in rivals}
    return {
        "unfilled": tuple(found for found in unfilled if found.share > most or held.get(found.who, 1.0) < least),
        "invested": held,
    }
