"""What comes after the fills: the charges of the night, what is closed by force, and the reward."""

from __future__ import annotations

from numba import literal_unroll

from wealtharena.envs.compiled import compiled
from wealtharena.envs.kernel.rows import BAR, CELL, CELL_SIZE, DESK, RATIO_FLOOR, WORK, Float64, Int64
from wealtharena.envs.rewards import CHOICES as REWARDS
from wealtharena.envs.vector import RULE


@compiled
def settle(rules: Float64, desk: Float64, width: int) -> None:
    """Charge the night after bar t and bring cash, equity and gross value to the close of t + 1.

    The night costs carry on the net value, and either borrow, margin interest and cash interest, or, for a margined
    account, nothing but the interest that its whole equity earns.
    """
    margined = rules[RULE.margined] > 0.0
    for e in range(width):
        cash = desk[DESK.cash + e]
        equity = desk[DESK.equity + e]
        factor = desk[DESK.cost_factor + e]
        net = equity - cash
        short = max(0.5 * (desk[DESK.gross + e] - net), 0.0)
        lent = rules[RULE.cash_rate] + desk[WORK.rate + e]
        interest = rules[RULE.margin] * factor * max(-cash, 0.0) - lent * max(cash, 0.0)
        own = rules[RULE.borrow] * factor * short + interest
        posted = -lent * max(equity, 0.0)
        night = (rules[RULE.carry] * net + (posted if margined else own)) * desk[WORK.years + e]
        cash = cash - night - desk[WORK.paid + e] + desk[DESK.earned + e] - desk[DESK.costs + e]
        desk[WORK.before + e] = equity
        desk[DESK.financing + e] = night
        desk[DESK.cash + e] = cash
        desk[DESK.equity + e] = desk[WORK.value + e] + cash
        desk[DESK.gross + e] = desk[WORK.marked + e]


@compiled
def force(
    bars: Float64, rules: Float64, when: Int64, cells: Float64, desk: Float64, assets: int, count: int, width: int,
    closed: Float64,
) -> None:  # fmt: skip
    """Close what the rules close by force at the close of t + 1, and mark in WORK.dead the accounts that it ends.

    Symbols that are struck off; then every position of an account below its maintenance margin. `closed` [2, A, LANES]
    receives the units and what closing them cost, and is not touched where there were none.
    """
    if rules[RULE.has_delisting] > 0.0:
        for e in range(count):
            _strike_off(bars, rules, when[e] + 1, e, cells, desk, assets, closed)
    for e in range(width):
        equity = desk[DESK.equity + e]
        ends = (equity < rules[RULE.maintenance] * desk[DESK.gross + e]) | (equity <= 0.0)
        desk[WORK.dead + e] = 1.0 if ends else 0.0
    for e in range(count):
        if desk[WORK.dead + e] > 0.0:
            _liquidate(rules, e, cells, desk, assets, closed)


@compiled
def _strike_off(
    bars: Float64, rules: Float64, t: int, e: int, cells: Float64, desk: Float64, assets: int, closed: Float64
) -> None:
    """Close the positions of lane e in symbols that are struck off at bar t, at the last price less the haircut."""
    for a in range(assets):
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        if bars[t, BAR.delisted, a] > 0.0 and c[CELL.units + e] != 0.0:
            mark = c[CELL.units + e] * c[CELL.mark_then + e]
            loss = abs(mark) * rules[RULE.haircut]
            closed[0, a, e] = -c[CELL.units + e]
            closed[1, a, e] = loss
            desk[DESK.cash + e] += mark - loss
            desk[DESK.costs + e] += loss
            desk[DESK.traded + e] += abs(mark)
            desk[DESK.equity + e] -= loss
            desk[DESK.gross + e] = max(desk[DESK.gross + e] - abs(mark), 0.0)
            c[CELL.units + e] = 0.0


@compiled
def _liquidate(rules: Float64, e: int, cells: Float64, desk: Float64, assets: int, closed: Float64) -> None:
    """Close every position of lane e that bar t + 1 lets trade, at its close, for the usual rate and the penalty."""
    value = 0.0
    gross = 0.0
    for a in range(assets):
        c = cells[a * CELL_SIZE : (a + 1) * CELL_SIZE]
        mark = c[CELL.units + e] * c[CELL.mark_then + e]
        if c[CELL.price + e] > 0.0 and c[CELL.mark_then + e] > 0.0:
            fee = abs(mark) * (rules[RULE.rate] * desk[DESK.cost_factor + e] + rules[RULE.liquidation_fee])
            closed[0, a, e] = -c[CELL.units + e]
            closed[1, a, e] = fee
            desk[DESK.cash + e] += mark - fee
            desk[DESK.costs + e] += fee
            desk[DESK.traded + e] += abs(mark)
            c[CELL.units + e] = 0.0
        else:
            value += mark
            gross += abs(mark)
    desk[DESK.equity + e] = desk[DESK.cash + e] + value
    desk[DESK.gross + e] = gross


@compiled
def evaluate(rules: Float64, desk: Float64, width: int) -> None:
    """Reward the step from WORK.before to DESK.equity: write DESK.reward_core and DESK.reward_penalty, their difference is the reward."""
    for e in range(width):
        peak = desk[DESK.peak + e]
        desk[WORK.ratio + e] = max(desk[DESK.equity + e] / max(desk[WORK.before + e], 1e-300), RATIO_FLOOR)
        desk[WORK.depth + e] = desk[WORK.before + e] / peak - 1.0
        desk[WORK.deeper + e] = min(desk[DESK.equity + e] / peak - 1.0, 0.0)
    for choice in literal_unroll(REWARDS):
        place, reward = choice
        if place == rules[RULE.reward]:
            for e in range(width):
                desk[DESK.reward_core + e], desk[DESK.first_moment + e], desk[DESK.second_moment + e] = reward(
                    desk[WORK.ratio + e], desk[WORK.depth + e], desk[WORK.deeper + e], desk[DESK.first_moment + e], desk[DESK.second_moment + e], rules
                )  # fmt: skip
    for e in range(width):
        equity = desk[DESK.equity + e]
        penalty = rules[RULE.turnover_penalty] * desk[DESK.traded + e] / max(desk[WORK.before + e], 1e-300)
        desk[DESK.reward_core + e] *= rules[RULE.reward_scale]
        desk[DESK.reward_penalty + e] = penalty * rules[RULE.reward_scale]
        desk[DESK.peak + e] = max(desk[DESK.peak + e], equity)
        desk[DESK.closing + e] = equity
