"""The market kernel: every trading rule, once, compiled. Training, backtest and paper trading all step through it.

Read it in this order: `rows` (what stands where), `lanes` (accounts side by side), `orders` (weights made allowed,
orders sized at the close of bar t, filled at bar t + 1), `night` (the charges between, delisting, liquidation, the
reward), `observe` (what is seen next), `episodes` (where one begins), and `loops`: `step_batch` (many environments, one
bar) and `walk` (many paths, many bars). `arguments` names what the loops are called with.

Symbols: V equity, u units, p mark price in account currency, L `max_gross`, k cost rate a unit of traded value.
Arrays: T bars, A symbols, N environments, D floats an observation. Money is float64, observations are float32.
"""

from __future__ import annotations

from wealtharena.envs.kernel.episodes import open_account
from wealtharena.envs.kernel.loops import reset_batch, step_batch, walk
from wealtharena.envs.kernel.observe import observe

__all__ = ["observe", "open_account", "reset_batch", "step_batch", "walk"]
