"""What a caller hands in, checked and laid out for the policy; an error names the field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.errors import DataError
from wealtharena.registry.inference import OnnxPolicy

Float32Array = npt.NDArray[np.float32]
MAX_ABS_WEIGHT = 100.0


class InputError(DataError):
    """A request for a prediction holds something that can't be used; `field` says where."""

    def __init__(self, field: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{field}: {message}", hint=hint)
        self.field = field
        self.reason = message


@dataclass(frozen=True)
class Portfolio:
    """What is held when a decision is made: weights by symbol (absent: 0) as shares of equity.

    `cash` defaults to 1 less the sum of weights, `leverage` to the sum of their sizes; `drawdown` is equity
    over its highest, less 1: from -1 to 0.
    """

    weights: Mapping[str, float]
    cash: float | None = None
    drawdown: float = 0.0
    leverage: float | None = None


@dataclass(frozen=True, eq=False)
class Observations:
    """Inputs of N decisions, as the graph takes them."""

    features: Float32Array  # [N, A, window, F] raw
    portfolio: Float32Array  # [N, A + 3]
    flat_assumed: bool


def flat_portfolio(policy: OnnxPolicy, rows: int) -> Float32Array:
    """Return N portfolios that hold nothing but cash, [N, A + 3]."""
    assets = len(policy.metadata.symbols)
    flat = np.zeros((rows, assets + 3), dtype=np.float32)
    flat[:, assets] = 1.0
    return flat


def portfolio_rows(policy: OnnxPolicy, portfolio: object, rows: int, *, field: str = "portfolio") -> Float32Array:
    """Return [N, A + 3] from a Portfolio, weights by symbol, or an array laid out so; InputError names the field."""
    if isinstance(portfolio, Mapping):
        portfolio = Portfolio(weights=portfolio)
    if isinstance(portfolio, Portfolio):
        return np.repeat(_portfolio_row(policy, portfolio, field), rows, axis=0)
    assets = len(policy.metadata.symbols)
    array = finite_array(portfolio, field)
    if array.ndim == 1:
        array = np.broadcast_to(array, (rows, *array.shape))
    if array.shape != (rows, assets + 3):
        raise InputError(
            field,
            f"has shape {list(array.shape)}, expected {[rows, assets + 3]}",
            hint="weights, cash share, drawdown, leverage",
        )
    return np.ascontiguousarray(array)


def _portfolio_row(policy: OnnxPolicy, portfolio: Portfolio, field: str) -> Float32Array:
    symbols = policy.metadata.symbols
    row = np.zeros((1, len(symbols) + 3), dtype=np.float32)
    total = gross = 0.0
    for symbol, weight in portfolio.weights.items():
        if symbol not in symbols:
            raise InputError(
                f"{field}.weights.{symbol}", "unknown symbol", hint=f"the agent trades {', '.join(symbols)}"
            )
        if not abs(weight) <= MAX_ABS_WEIGHT:
            raise InputError(
                f"{field}.weights.{symbol}", f"{weight} is not a weight", hint="a share of equity, such as 0.25"
            )
        row[0, symbols.index(symbol)] = weight
        total, gross = total + weight, gross + abs(weight)
    if not -1.0 <= portfolio.drawdown <= 0.0:
        raise InputError(f"{field}.drawdown", f"{portfolio.drawdown} is not between -1 and 0")
    cash = portfolio.cash if portfolio.cash is not None else 1.0 - total
    leverage = portfolio.leverage if portfolio.leverage is not None else gross
    for name, value, low in (("cash", cash, -MAX_ABS_WEIGHT), ("leverage", leverage, 0.0)):
        if not low <= value <= MAX_ABS_WEIGHT:
            raise InputError(f"{field}.{name}", f"{value} is not between {low:g} and {MAX_ABS_WEIGHT:g}")
    row[0, -3:] = cash, portfolio.drawdown, leverage
    return row


def from_array(
    policy: OnnxPolicy, observation: object, portfolio: object | None, *, field: str = "observation"
) -> Observations:
    """Return the inputs of an observation array.

    [A, window, F] or [N, A, window, F] are raw features; [D] or [N, D] is what the environment shows its agent: scaled
    features and the portfolio, which then must not be given besides. InputError names `field` or `portfolio`.
    """
    array = np.asarray(observation, dtype=np.float32)
    if array.ndim in (1, 2):
        if portfolio is not None:
            raise InputError(
                "portfolio", "is part of a flat observation already", hint="leave it out, or pass features"
            )
        return _from_flat(policy, finite_array(array, field).reshape(-1, array.shape[-1]), field)
    shape = policy.feature_shape
    if array.shape[-3:] != shape or array.ndim > 4 or array.size == 0:
        raise InputError(field, f"has shape {list(array.shape)}, expected [symbols, window, features] = {list(shape)}")
    if np.isinf(array).any():
        raise InputError(field, "holds an infinite value", hint="NaN stands for a symbol that has no value")
    features = np.ascontiguousarray(array.reshape(-1, *shape))
    rows = len(features)
    held = flat_portfolio(policy, rows) if portfolio is None else portfolio_rows(policy, portfolio, rows)
    return Observations(features, held, flat_assumed=portfolio is None)


def _from_flat(policy: OnnxPolicy, flat: Float32Array, field: str) -> Observations:
    assets, window, features = policy.feature_shape
    size = assets * window * features
    if flat.shape[1] != size + assets + 3:
        raise InputError(
            field,
            f"has {flat.shape[1]} numbers, expected {size + assets + 3}",
            hint="as ObservationLayout lays them out",
        )
    mean, std = (np.asarray(policy.scaler[key], dtype=np.float64) for key in ("mean", "std"))
    raw = flat[:, :size].reshape(-1, assets, window, features).astype(np.float64) * std + mean
    return Observations(raw.astype(np.float32), np.ascontiguousarray(flat[:, size:]), flat_assumed=False)


def states_of(
    policy: OnnxPolicy, state: Mapping[str, Any] | None, rows: int, *, field: str = "state"
) -> dict[str, Float32Array] | None:
    """Return the carried states [N, ...] by name, None where none is given; InputError names what doesn't fit."""
    if state is None:
        return None
    shapes = policy.metadata.states
    for name in state:
        if name not in shapes:
            raise InputError(
                f"{field}.{name}", "unknown state", hint=f"the agent carries {', '.join(shapes) or 'none'}"
            )
    states = {}
    for name, shape in shapes.items():
        if name not in state:
            raise InputError(f"{field}.{name}", "is missing", hint="hand back the state of the last answer")
        array = finite_array(state[name], f"{field}.{name}")
        if array.shape == shape and rows == 1:
            array = array[None]
        if array.shape != (rows, *shape):
            raise InputError(f"{field}.{name}", f"has shape {list(array.shape)}, expected {list(shape)}")
        states[name] = np.ascontiguousarray(array)
    return states


def finite_array(values: object, field: str) -> Float32Array:
    """Return `values` as float32; InputError for a ragged, non-numeric, infinite or NaN one."""
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise InputError(field, "is not a regular array of numbers") from error
    if not np.isfinite(array).all():
        raise InputError(field, "holds a value that is NaN, infinite or too large")
    return array
