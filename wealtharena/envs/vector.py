"""Where each number of the EnvSpec stands in the vector that the kernel reads."""

from __future__ import annotations

from typing import Final

RATE: Final = 0  # commission and half spread, a unit of traded value
IMPACT: Final = 1
BORROW: Final = 2  # a year, as are the next three
MARGIN: Final = 3
CASH_RATE: Final = 4
CARRY: Final = 5
MAX_GROSS: Final = 6
MAX_WEIGHT: Final = 7
LONG_ONLY: Final = 8
MAINTENANCE: Final = 9
LIQUIDATION_FEE: Final = 10
PARTICIPATION: Final = 11  # infinite: no limit
HAIRCUT: Final = 12
MIN_TRADE: Final = 13
MARGINED: Final = 14
HAS_DELISTING: Final = 15
REWARD: Final = 16  # place in rewards.NAMES
REWARD_SCALE: Final = 17
TURNOVER_PENALTY: Final = 18
ETA: Final = 19
RISK_AVERSION: Final = 20
DRAWDOWN_PENALTY: Final = 21
INITIAL_CASH: Final = 22
LOG_FACTOR_LOW: Final = 23  # range of the logarithm of the cost factor
LOG_FACTOR_HIGH: Final = 24
PARAMETER: Final = 25  # of a reward that is added
RULES: Final = 26
