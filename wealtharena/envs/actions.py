"""What an action is, and the target weights it stands for."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.asset import LimitSpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.errors import MarketError

ActionKind = Literal["weights", "allocation"]


def action_kind(spec: EnvSpec) -> ActionKind:
    """Return the spec's action; `auto` that no algorithm has resolved means weights."""
    return "allocation" if spec.action == "allocation" else "weights"


def allocation_table(assets: int, limits: LimitSpec) -> npt.NDArray[np.float32]:
    """Return the weights [K, A] of each allocation: cash, then all in symbol i, then (not long only) short symbol i.

    K = 1 + A when long only, else 1 + 2A. "All" is the largest weight that the limits allow, at most 1.
    """
    full = min(1.0, limits.max_weight, limits.max_gross)
    rows = [np.zeros((1, assets)), np.eye(assets) * full]
    if not limits.long_only:
        rows.append(np.eye(assets) * -full)
    return np.concatenate(rows).astype(np.float32)


def checked_weights(actions: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return weights as contiguous float32 of exactly this shape; raise MarketError on another shape or kind."""
    array = np.asarray(actions)
    if array.dtype.kind != "f":
        raise MarketError(f"weights have dtype {array.dtype}", hint="pass floating-point target weights")
    if array.shape != shape:
        raise MarketError(f"weights have shape {array.shape}, expected {shape}", hint="pass one weight a symbol")
    if array.dtype == np.float32:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
        return np.ascontiguousarray(array, dtype=np.float32)


def checked_allocations(
    actions: Any, shape: tuple[int, ...], table: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the weights of these allocations; raise MarketError on another shape, kind or an index out of range."""
    array = np.asarray(actions)
    if array.dtype.kind not in "iu":
        raise MarketError(f"allocations have dtype {array.dtype}", hint="pass integers: 0 is cash")
    if array.shape != shape:
        raise MarketError(
            f"allocations have shape {array.shape}, expected {shape}", hint="pass one integer an environment"
        )
    if array.size and (array.min() < 0 or array.max() >= len(table)):
        raise MarketError(
            f"allocation {int(array.min())}..{int(array.max())} is out of range",
            hint=f"choose from 0 to {len(table) - 1}",
        )
    return np.ascontiguousarray(table[array])
