"""A backtest as files: equity.parquet and trades.parquet of a run directory.

equity.parquet, one row a bar, the first being that of the first decision: `timestamp`, `equity`, `return`, `drawdown`,
`gross`, `traded_value`, `costs`, `financing`, `dividends`, `cash_rate` (a year, where it is dated), then `baseline/<name>` (equity), `weight/<symbol>` and, of
several seeds, `seed/<number>` (equity). Money is in account currency. trades.parquet, one row a fill (one of less than `LEAST_ORDER` of
the equity is rounding, and no order where orders are counted): `timestamp`, `symbol`, `units`, `price` (in account currency, what a
unit is worth), `value`, `cost`, and `quote`, the market's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wealtharena.envs.trajectory import Trades, Trajectory
from wealtharena.errors import CheckpointError
from wealtharena.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

EQUITY_FILE = "equity.parquet"
TRADES_FILE = "trades.parquet"
FloatArray = npt.NDArray[np.float64]
RUN_AGAIN = "run the task again"
BASELINE, WEIGHT, SEED, RATE = "baseline/", "weight/", "seed/", "cash_rate"


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

    def flow(values: FloatArray) -> FloatArray:
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
    if agent.cash_rates is not None:
        columns[RATE] = flow(agent.cash_rates)
    columns |= {f"{BASELINE}{name}": path.equity for name, path in baselines.items()}
    columns |= {f"{WEIGHT}{symbol}": agent.weights[:, i] for i, symbol in enumerate(agent.symbols)}
    if len(seeds) > 1:
        columns |= {f"{SEED}{i}": path.equity for i, path in enumerate(seeds)}
    table = pd.DataFrame(columns)
    table.attrs = {
        "name": agent.name,
        "fill": agent.fill,
        "bars_per_year": agent.bars_per_year,
        "liquidated": agent.liquidated,
    }
    return table


def trades_table(agent: Trajectory) -> pd.DataFrame:
    """Return the executed orders of a backtest."""
    import pandas as pd

    trades = agent.trades
    quoted = {} if trades.quote is None else {"quote": trades.quote}
    return pd.DataFrame(
        {
            "timestamp": pd.to_datetime(agent.timestamps[trades.bar], utc=True),
            "symbol": np.array(agent.symbols, dtype=object)[trades.symbol],
            "units": trades.units,
            "price": trades.price,
            "value": trades.value,
            "cost": trades.cost,
            **quoted,
        }
    )


def read(folder: Path) -> tuple[Trajectory, dict[str, Trajectory]]:
    """Return the agent's and the baselines' backtests as `write` left them in `folder`.

    Targets are not kept and stand as the weights held; a baseline has its equity only. Raises CheckpointError where a
    file is missing or not such a table.
    """
    import pandas as pd

    try:
        table, orders = pd.read_parquet(folder / EQUITY_FILE), pd.read_parquet(folder / TRADES_FILE)
        agent = _agent(table, orders)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder.name}: {Path(error.filename or EQUITY_FILE).name} is missing", hint=RUN_AGAIN
        ) from error
    except (OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{folder.name}: {EQUITY_FILE} or {TRADES_FILE} cannot be read: {error}", hint=RUN_AGAIN
        ) from error
    played = {}
    for column in table.columns:
        if column.startswith(BASELINE):
            name = column.removeprefix(BASELINE)
            played[name] = _bare(agent, name, table[column].to_numpy(dtype=np.float64))
    return agent, played


def _agent(table: pd.DataFrame, orders: pd.DataFrame) -> Trajectory:
    symbols = tuple(c.removeprefix(WEIGHT) for c in table.columns if c.startswith(WEIGHT))
    weights = table[[f"{WEIGHT}{s}" for s in symbols]].to_numpy(dtype=np.float64)
    stamps = table["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    place = {symbol: i for i, symbol in enumerate(symbols)}
    bars = np.searchsorted(stamps, orders["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]"))
    trades = Trades(
        bar=bars.astype(np.int64),
        symbol=np.array([place[s] for s in orders["symbol"]], dtype=np.int64),
        **{name: orders[name].to_numpy(dtype=np.float64) for name in ("units", "price", "value", "cost")},
        quote=orders["quote"].to_numpy(dtype=np.float64) if "quote" in orders else None,
    )
    flows = {
        name: table[name].to_numpy(dtype=np.float64)[1:] for name in ("traded_value", "costs", "financing", "dividends")
    }
    return Trajectory(
        name=str(table.attrs["name"]),
        timestamps=stamps,
        symbols=symbols,
        equity=table["equity"].to_numpy(dtype=np.float64),
        weights=weights,
        targets=weights[1:],
        trades=trades,
        fill=str(table.attrs["fill"]),
        bars_per_year=float(table.attrs["bars_per_year"]),
        liquidated=bool(table.attrs["liquidated"]),
        cash_rates=table[RATE].to_numpy(dtype=np.float64)[1:] if RATE in table else None,
        **flows,
    )


def _bare(agent: Trajectory, name: str, equity: FloatArray) -> Trajectory:
    nothing = np.zeros(len(equity) - 1)
    none = Trades(np.zeros(0, np.int64), np.zeros(0, np.int64), *(np.zeros(0) for _ in range(4)))
    return replace(
        agent,
        name=name,
        equity=equity,
        weights=np.zeros_like(agent.weights),
        targets=np.zeros_like(agent.targets),
        traded_value=nothing,
        costs=nothing,
        financing=nothing,
        dividends=nothing,
        trades=none,
        liquidated=False,
    )
