"""What a caller hands in, checked and laid out for the policy; an error names the field that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.envs.actions import holds_truth
from wealtharena.envs.observation import account_width
from wealtharena.errors import DataError
from wealtharena.registry.inference import OnnxPolicy

Float32Array = npt.NDArray[np.float32]
MAX_ABS_WEIGHT = 100.0
_ROUNDING = 0.01  # of equity; what is held is often rounded to cents or per cent
_NO_NUMBERS = {"b": "True or False", "c": "complex numbers", "M": "times", "m": "lengths of time"}  # kind of numpy's
MAX_NUMBER = 1e30  # of a feature or a carried state


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


def contradictions(rows: Float32Array) -> list[tuple[str, ...]]:
    """Return of each portfolio [N, A + 3] what in it does not fit together, in words.

    It is no error: an account may hold what the agent does not trade, and a broker may count as cash what is posted.
    """
    weights, cash, leverage = rows[:, :-3], rows[:, -3], rows[:, -1]
    whole, gross = weights.sum(axis=1) + cash, np.abs(weights).sum(axis=1)
    apart, low = np.abs(whole - 1.0) > _ROUNDING, leverage < gross * (1.0 - _ROUNDING)
    found: list[tuple[str, ...]] = [()] * len(rows)
    for row in np.flatnonzero(apart | low):
        told = []
        if apart[row]:
            told.append(
                f"portfolio: its weights and its cash add up to {whole[row]:.4g} of equity, not to 1; cash is equity less what "
                "the symbols are worth"
            )
        if low[row]:
            told.append(
                f"portfolio: its leverage is {leverage[row]:.4g}, less than {gross[row]:.4g}, the sum of its weights' sizes"
            )
        found[row] = tuple(told)
    return found


def flat_portfolio(policy: OnnxPolicy, rows: int) -> Float32Array:
    """Return N portfolios that hold nothing but cash, [N, A + 3]."""
    assets = len(policy.metadata.symbols)
    flat = np.zeros((rows, account_width(assets)), dtype=np.float32)
    flat[:, assets] = 1.0
    return flat


def portfolio_rows(policy: OnnxPolicy, portfolio: object, rows: int, *, field: str = "portfolio") -> Float32Array:
    """Return [N, A + 3] from a Portfolio, weights by symbol, or an array laid out so; InputError names the field."""
    labels = getattr(portfolio, "index", None)  # of a pandas Series
    if hasattr(portfolio, "to_dict") and labels is not None and all(isinstance(label, str) for label in labels):
        portfolio = portfolio.to_dict()
    if isinstance(portfolio, Mapping):
        portfolio = Portfolio(weights=portfolio)
    if isinstance(portfolio, Portfolio):
        return np.repeat(_portfolio_row(policy, portfolio, field), rows, axis=0)
    assets = len(policy.metadata.symbols)
    array = finite_array(portfolio, field)
    if array.ndim == 1:
        array = np.repeat(array[np.newaxis], rows, axis=0)
    if array.shape != (rows, account_width(assets)):
        raise InputError(
            field,
            f"has shape {list(array.shape)}, expected {[rows, account_width(assets)]}",
            hint="weights, cash share, drawdown, leverage",
        )
    if np.count_nonzero(np.abs(array) > MAX_ABS_WEIGHT):
        raise InputError(field, f"holds a number beyond {MAX_ABS_WEIGHT:g}", hint="shares of equity, such as 0.25")
    return np.ascontiguousarray(array)


def _portfolio_row(policy: OnnxPolicy, portfolio: Portfolio, field: str) -> Float32Array:
    symbols = policy.metadata.symbols
    row = np.zeros((1, account_width(len(symbols))), dtype=np.float32)
    total = gross = 0.0
    for symbol, weight in portfolio.weights.items():
        if symbol not in symbols:
            raise InputError(
                f"{field}.weights.{symbol}", "unknown symbol", hint=f"the agent trades {', '.join(symbols)}"
            )
        share = _number(weight)
        if not abs(share) <= MAX_ABS_WEIGHT:
            raise InputError(
                f"{field}.weights.{symbol}", f"{weight} is not a weight", hint="a share of equity, such as 0.25"
            )
        row[0, symbols.index(symbol)] = share
        total, gross = total + share, gross + abs(share)
    drawdown = _number(portfolio.drawdown)
    if not -1.0 <= drawdown <= 0.0:
        raise InputError(f"{field}.drawdown", f"{portfolio.drawdown} is not between -1 and 0")
    cash = _number(portfolio.cash) if portfolio.cash is not None else 1.0 - total
    leverage = _number(portfolio.leverage) if portfolio.leverage is not None else gross
    for name, value, low in (("cash", cash, -MAX_ABS_WEIGHT), ("leverage", leverage, 0.0)):
        if not low <= value <= MAX_ABS_WEIGHT:
            raise InputError(f"{field}.{name}", f"{value} is not between {low:g} and {MAX_ABS_WEIGHT:g}")
    row[0, -3:] = cash, drawdown, leverage
    return row


def _number(value: object) -> float:
    """Return what is a number, of whatever type; NaN for what is none, as True and False."""
    if isinstance(value, bool | np.bool_):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]  # a Decimal is one, and what is none raises
    except (TypeError, ValueError, OverflowError):
        return math.nan


def features_row(policy: OnnxPolicy, values: Sequence[Sequence[Sequence[float]]], *, field: str) -> Float32Array:
    """Return features [A, window, F]; InputError names the first part of another length, and what is too large."""
    assets, window, features = policy.feature_shape
    if len(values) != assets:
        raise InputError(
            field,
            f"has {len(values)} symbols, expected {assets}",
            hint=f"in this order: {', '.join(policy.metadata.symbols)}",
        )
    for i, bars in enumerate(values):
        if len(bars) != window:
            raise InputError(f"{field}.{i}", f"has {len(bars)} bars, expected {window}", hint="oldest first")
        for j, numbers in enumerate(bars):
            if len(numbers) != features:
                raise InputError(
                    f"{field}.{i}.{j}",
                    f"has {len(numbers)} features, expected {features}",
                    hint="GET /agents/{id} names them",
                )
    array = np.array(values, dtype=np.float64)
    if array.size and np.abs(array).max() > MAX_NUMBER:
        raise InputError(field, "holds a number beyond 1e30")
    return array.astype(np.float32)


def states_of(
    policy: OnnxPolicy, given: Sequence[Mapping[str, Any] | None], fields: Sequence[str]
) -> dict[str, Float32Array] | None:
    """Return the carried states [N, ...] by name, None where no decision has one; a decision without one begins afresh.

    A state is given in its own shape or as its numbers in a row. InputError names what is unknown, missing or unfit.
    """
    if not any(given):
        return None
    states = policy.start_states(len(given))
    for row, (own, field) in enumerate(zip(given, fields, strict=True)):
        for name in (*(own or ()), *(states if own else ())):
            if name not in states:
                raise InputError(
                    f"{field}.{name}", "unknown state", hint=f"the agent carries {', '.join(states) or 'none'}"
                )
            if name not in own:  # type: ignore[operator]  # there are names only where there is a state
                raise InputError(f"{field}.{name}", "is missing", hint="hand back the state of the last answer")
            _fill(states[name][row], own[name], f"{field}.{name}")  # type: ignore[index]  # as above
    return states


def _fill(target: Float32Array, values: object, field: str) -> None:
    array = finite_array(values, field)
    if array.size != target.size:
        way = "a state is of the version that gave it: leave it out where another answers since"
        raise InputError(field, f"has {array.size} numbers, expected {target.size}", hint=way)
    if array.size and np.abs(array).max() > MAX_NUMBER:
        raise InputError(field, "holds a number beyond 1e30")
    target[...] = array.reshape(target.shape)


def finite_array(values: object, field: str) -> Float32Array:
    """Return `values` as float32; InputError for a ragged, non-numeric, infinite or NaN one."""
    array = values if isinstance(values, np.ndarray) and values.dtype == np.float32 else as_float32(values, field)
    if not all_finite(array):
        raise InputError(field, "holds a value that is NaN, infinite or too large")
    return array


def as_float32(values: object, field: str) -> Float32Array:
    """Return `values` as float32 in their own shape; InputError where they are no numbers, or rows of several lengths."""
    try:
        array = np.asarray(values)
        kind = "b" if holds_truth(values) else array.dtype.kind
        if kind in _NO_NUMBERS:  # what a cast would make numbers of
            raise InputError(field, f"holds {_NO_NUMBERS[kind]}", hint="send numbers")
        with np.errstate(over="ignore"):
            return array.astype(np.float32, copy=False)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # the last by torch, of a part of a graph
        raise InputError(field, "is not a regular array of numbers") from error


def all_finite(array: Float32Array) -> bool:
    """Return whether no number is NaN or infinite; counting takes a fraction of what `.all()` does on a few numbers."""
    return bool(np.count_nonzero(np.isfinite(array)) == array.size)
