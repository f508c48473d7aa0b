"""The EnvSpec as the vector of numbers that the kernel reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs import kernel, rewards, vector
from wealtharena.errors import ConfigError

BPS = 1e-4


@dataclass(frozen=True, eq=False)
class Rules:
    """Costs, limits, reward and episode rules in the kernel's own form."""

    vector: kernel.Float64  # [vector.RULES]
    lots: kernel.Float64  # [A] units a lot; 0 trades fractions


def rules_of(spec: EnvSpec, symbols: tuple[str, ...], *, delisting: bool) -> Rules:
    """Return the rules for these symbols; `delisting` says whether any of them is ever struck off."""
    costs, limits, instrument, reward = spec.costs, spec.limits, spec.instrument, spec.reward
    lots = np.array([instrument.lot_sizes.get(symbol, instrument.lot_size) for symbol in symbols], dtype=np.float64)
    v = np.zeros(vector.RULES)
    v[vector.RATE] = (costs.commission_bps + costs.half_spread_bps) * BPS
    v[vector.IMPACT] = costs.impact_coefficient
    v[vector.BORROW] = costs.borrow_bps_per_year * BPS
    v[vector.MARGIN] = costs.margin_bps_per_year * BPS
    v[vector.CASH_RATE] = costs.cash_bps_per_year * BPS
    v[vector.CARRY] = costs.carry_bps_per_year * BPS
    v[vector.MAX_GROSS] = limits.max_gross
    v[vector.MAX_WEIGHT] = limits.max_weight
    v[vector.LONG_ONLY] = limits.long_only
    v[vector.MAINTENANCE] = limits.maintenance_margin
    v[vector.LIQUIDATION_FEE] = limits.liquidation_penalty_bps * BPS
    v[vector.PARTICIPATION] = limits.participation
    v[vector.HAIRCUT] = limits.delisting_haircut
    v[vector.MIN_TRADE] = spec.min_trade_weight
    v[vector.MARGINED] = instrument.margin_futures
    v[vector.HAS_DELISTING] = delisting
    v[vector.REWARD] = rewards.NAMES.index(reward.name)
    v[vector.REWARD_SCALE] = reward.scale
    v[vector.TURNOVER_PENALTY] = reward.turnover_penalty
    v[vector.ETA] = reward.eta
    v[vector.RISK_AVERSION] = reward.risk_aversion
    v[vector.DRAWDOWN_PENALTY] = reward.drawdown_penalty
    v[vector.PARAMETER] = reward.parameter
    v[vector.INITIAL_CASH] = spec.initial_cash
    if spec.randomisation.enabled:
        low, high = spec.randomisation.cost_low, spec.randomisation.cost_high
        if low > high:
            raise ConfigError(
                f"env.randomisation.cost_low={low:g} is above cost_high={high:g}",
                hint=f"try env.randomisation.cost_low={high:g}",
            )
        v[vector.LOG_FACTOR_LOW], v[vector.LOG_FACTOR_HIGH] = math.log(low), math.log(high)
    v.flags.writeable = False
    lots.flags.writeable = False
    return Rules(vector=v, lots=lots)
