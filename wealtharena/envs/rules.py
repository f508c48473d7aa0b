"""The EnvSpec as the vector of numbers that the kernel reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import ReadOnly
from wealtharena.envs import rewards
from wealtharena.envs.kernel.rows import Float64
from wealtharena.envs.vector import RULE, RULES
from wealtharena.errors import ConfigError

BPS = 1e-4


@dataclass(frozen=True, eq=False)
class Rules(ReadOnly):
    """Costs, limits, reward and episode rules in the kernel's own form."""

    vector: Float64  # [RULES]
    lots: Float64  # [A] units a lot; 0 trades fractions


def rules_of(spec: EnvSpec, symbols: tuple[str, ...], *, delisting: bool) -> Rules:
    """Return the rules for these symbols; `delisting` says whether any of them is ever struck off."""
    costs, limits, instrument, reward = spec.costs, spec.limits, spec.instrument, spec.reward
    lots = np.array([instrument.lot_of(symbol) for symbol in symbols], dtype=np.float64)
    v = np.zeros(RULES)
    v[RULE.rate] = (costs.commission_bps + costs.half_spread_bps) * BPS
    v[RULE.impact] = costs.impact_coefficient
    v[RULE.borrow] = costs.borrow_bps_per_year * BPS
    v[RULE.margin] = costs.margin_bps_per_year * BPS
    v[RULE.cash_rate] = costs.cash_number * BPS
    v[RULE.carry] = costs.carry_bps_per_year * BPS
    v[RULE.max_gross] = limits.max_gross
    v[RULE.max_weight] = limits.max_weight
    v[RULE.long_only] = limits.long_only
    v[RULE.maintenance] = limits.maintenance_margin
    v[RULE.liquidation_fee] = limits.liquidation_penalty_bps * BPS
    v[RULE.participation] = limits.participation
    v[RULE.haircut] = limits.delisting_haircut
    v[RULE.min_trade] = spec.min_trade_weight
    v[RULE.margined] = instrument.margin_futures
    v[RULE.has_delisting] = delisting
    v[RULE.reward] = rewards.NAMES.index(reward.name)
    v[RULE.reward_scale] = reward.scale
    v[RULE.turnover_penalty] = reward.turnover_penalty
    v[RULE.eta] = reward.eta
    v[RULE.risk_aversion] = reward.risk_aversion
    v[RULE.drawdown_penalty] = reward.drawdown_penalty
    v[RULE.parameter] = reward.parameter
    v[RULE.initial_cash] = spec.initial_cash
    if spec.randomisation.enabled:
        low, high = spec.randomisation.cost_low, spec.randomisation.cost_high
        if low > high:
            raise ConfigError(
                f"env.randomisation.cost_low={low:g} is above cost_high={high:g}",
                hint=f"try env.randomisation.cost_low={high:g}",
            )
        v[RULE.log_factor_low], v[RULE.log_factor_high] = math.log(low), math.log(high)
    v.flags.writeable = False
    lots.flags.writeable = False
    rewards.check_finite(reward.name, v)
    return Rules(vector=v, lots=lots)
