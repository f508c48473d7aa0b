"""The EnvSpec as the vector of numbers that the kernel reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs import kernel, rewards
from wealtharena.errors import ConfigError

BPS = 1e-4


@dataclass(frozen=True, eq=False)
class Rules:
    """Costs, limits, reward and episode rules in the kernel's own form."""

    vector: kernel.Float64  # [kernel.RULES]
    lots: kernel.Float64  # [A] units a lot; 0 trades fractions


def rules_of(spec: EnvSpec, symbols: tuple[str, ...], *, delisting: bool) -> Rules:
    """Return the rules for these symbols; `delisting` says whether any of them is ever struck off."""
    costs, limits, instrument, reward = spec.costs, spec.limits, spec.instrument, spec.reward
    if reward.name not in rewards.CODES:
        raise ConfigError(f"reward={reward.name} is unknown", hint=f"try one of {', '.join(rewards.CODES)}")
    lots = np.array([instrument.lot_sizes.get(symbol, instrument.lot_size) for symbol in symbols], dtype=np.float64)
    v = np.zeros(kernel.RULES)
    v[kernel.RATE] = (costs.commission_bps + costs.half_spread_bps) * BPS
    v[kernel.IMPACT] = costs.impact_coefficient
    v[kernel.BORROW] = costs.borrow_bps_per_year * BPS
    v[kernel.MARGIN] = costs.margin_bps_per_year * BPS
    v[kernel.CASH_RATE] = costs.cash_bps_per_year * BPS
    v[kernel.CARRY] = costs.carry_bps_per_year * BPS
    v[kernel.MAX_GROSS] = limits.max_gross
    v[kernel.MAX_WEIGHT] = limits.max_weight
    v[kernel.LONG_ONLY] = limits.long_only
    v[kernel.MAINTENANCE] = limits.maintenance_margin
    v[kernel.LIQUIDATION_FEE] = limits.liquidation_penalty_bps * BPS
    v[kernel.PARTICIPATION] = limits.participation
    v[kernel.HAIRCUT] = limits.delisting_haircut
    v[kernel.MIN_TRADE] = spec.min_trade_weight
    v[kernel.MARGINED] = instrument.margin_futures
    v[kernel.HAS_LOTS] = bool((lots > 0).any())
    v[kernel.HAS_DELISTING] = delisting
    v[kernel.REWARD] = rewards.CODES[reward.name]
    v[kernel.REWARD_SCALE] = reward.scale
    v[kernel.TURNOVER_PENALTY] = reward.turnover_penalty
    v[kernel.ETA] = reward.eta
    v[kernel.RISK_AVERSION] = reward.risk_aversion
    v[kernel.DRAWDOWN_PENALTY] = reward.drawdown_penalty
    v[kernel.INITIAL_CASH] = spec.initial_cash
    if spec.randomisation.enabled:
        low, high = spec.randomisation.cost_low, spec.randomisation.cost_high
        if low > high:
            raise ConfigError(
                f"env.randomisation.cost_low={low:g} is above cost_high={high:g}",
                hint=f"try env.randomisation.cost_low={high:g}",
            )
        v[kernel.LOG_FACTOR_LOW], v[kernel.LOG_FACTOR_HIGH] = math.log(low), math.log(high)
    v.flags.writeable = False
    lots.flags.writeable = False
    return Rules(vector=v, lots=lots)
