"""Where each number of the EnvSpec stands in the vector that the kernel reads."""

from __future__ import annotations

from typing import Final, NamedTuple


class RulePlaces(NamedTuple):
    """Places in `rules[RULES]`, numbered in this order; compiled code reads `RULE.rate` as a constant."""

    rate: int  # commission and half spread, a unit of traded value
    impact: int
    borrow: int  # a year, as are the next three
    margin: int
    cash_rate: int
    carry: int
    max_gross: int
    max_weight: int
    long_only: int
    maintenance: int
    liquidation_fee: int
    participation: int  # infinite: no limit
    haircut: int
    min_trade: int
    margined: int
    has_delisting: int
    reward: int  # place in rewards.NAMES
    reward_scale: int
    turnover_penalty: int
    eta: int
    risk_aversion: int
    drawdown_penalty: int
    initial_cash: int
    log_factor_low: int  # range of the logarithm of the cost factor
    log_factor_high: int
    parameter: int  # of a reward that is added


RULE: Final = RulePlaces(*range(len(RulePlaces._fields)))
RULES: Final = len(RULE)
PARAMETER: Final = RULE.parameter  # the name by which a reward of one's own imports it
