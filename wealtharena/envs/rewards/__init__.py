"""Rewards by name: one small compiled function a file.

A new reward is its file here, its line in `CODES` and in `evaluate` of `envs/kernel.py`, and `conf/reward/<name>.yaml`.
"""

from __future__ import annotations

from typing import Final

LOG_RETURN: Final = 0
DIFFERENTIAL_SHARPE: Final = 1
MEAN_VARIANCE: Final = 2
DRAWDOWN: Final = 3

CODES: Final = {
    "log_return": LOG_RETURN,
    "differential_sharpe": DIFFERENTIAL_SHARPE,
    "mean_variance": MEAN_VARIANCE,
    "drawdown": DRAWDOWN,
}
