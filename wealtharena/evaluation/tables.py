"""A backtest as files: equity.parquet and trades.parquet of a run directory.

equity.parquet, one row a bar, the first being that of the first decision: `timestamp`, `equity`, `return`, `drawdown`,
`gross`, `traded_value`, `costs`, `financing`, `dividends`, then `baseline/<name>` (equity), `weight/<symbol>` and, of
several seeds, `seed/<number>` (equity). Money is in account currency. trades.parquet, one row an order: `timestamp`,
`symbol`, `units`, `price`, `value`, `cost`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wealtharena.envs.trajectory import Trajectory
from wealtharena.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

EQUITY_FILE = "equity.parquet"
TRADES_FILE = "trades.parquet"
BASELINE, WEIGHT, SEED = "baseline/", "weight/", "seed/"


def write(
    folder: Path,
    agent: Trajectory,
    *,
    baselines: Mapping[str, Trajectory] | None = None,
    seeds: Sequence[Trajectory] = (),
) -> None:
    """Write equity.parquet and trades.parquet into `folder`, each whole or not at all."""
    for name, frame in ((EQUITY_FILE, equity_table(agent, baselines or {}, seeds)), (TRADES_FILE, trades_table(agent))):
        with atomic_path(folder / name) as temporary:
            frame.to_parquet(temporary, index=False)


def equity_table(
    agent: Trajectory, baselines: Mapping[str, Trajectory], seeds: Sequence[Trajectory] = ()
) -> pd.DataFrame:
    """Return the bars of a backtest beside its baselines."""
    import pandas as pd

    def flow(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.concatenate([[0.0], values])

    columns = {
        "timestamp": pd.to_datetime(agent.timestamps, utc=True),
        "equity": agent.equity,
        "return": flow(agent.returns),
        "drawdown": agent.equity / np.maximum.accumulate(agent.equity) - 1.0,
        "gross": np.abs(agent.weights).sum(axis=1),
        "traded_value": flow(agent.traded_value),
        "costs": flow(agent.costs),
        "financing": flow(agent.financing),
        "dividends": flow(agent.dividends),
    }
    columns |= {f"{BASELINE}{name}": path.equity for name, path in baselines.items()}
    columns |= {f"{WEIGHT}{symbol}": agent.weights[:, i] for i, symbol in enumerate(agent.symbols)}
    if len(seeds) > 1:
        columns |= {f"{SEED}{i}": path.equity for i, path in enumerate(seeds)}
    return pd.DataFrame(columns)


def trades_table(agent: Trajectory) -> pd.DataFrame:
    """Return the executed orders of a backtest."""
    import pandas as pd

    trades = agent.trades
    return pd.DataFrame(
        {
            "timestamp": pd.to_datetime(agent.timestamps[trades.bar], utc=True),
            "symbol": np.array(agent.symbols, dtype=object)[trades.symbol],
            "units": trades.units,
            "price": trades.price,
            "value": trades.value,
            "cost": trades.cost,
        }
    )
