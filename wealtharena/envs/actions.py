"""What an action is: one class a kind, and the target weights that it stands for.

A kind is chosen by its name from `KINDS`. Its torch twin, of the same name, stands in agents/networks/heads.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.asset import LimitSpec
from wealtharena.errors import MarketError

if TYPE_CHECKING:
    import gymnasium as gym

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Actions(ABC):
    """A kind of action over A symbols within limits. N actions are an array whose first axis is N."""

    assets: int
    limits: LimitSpec

    name: ClassVar[str]
    discrete: ClassVar[bool]  # a choice from a list; else numbers, one a symbol

    @abstractmethod
    def space(self) -> gym.spaces.Space[Any]:
        """Return the space of one action."""

    @abstractmethod
    def empty(self, *shape: int) -> npt.NDArray[Any]:
        """Return room for actions, zeros [*shape, ...] of the type that `weights` reads."""

    @abstractmethod
    def checked(self, actions: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return actions [*shape, ...] as `weights` reads them; MarketError on another shape, type or range."""

    @abstractmethod
    def weights(self, actions: npt.NDArray[Any], seen: Float32Array | None, out: Float32Array) -> Float32Array:
        """Return the target weights [N, A] of actions [N, ...], in `out` or elsewhere; checks and allocates nothing.

        `seen` are the observations [N, D] that the actions answer: all that a kind may know beside the action, so that
        an exported policy can make the same of it.
        """


class Weights(Actions):
    """Target weights themselves, Box [-1, 1]^A."""

    name = "weights"
    discrete = False

    def space(self) -> gym.spaces.Space[Any]:
        """Return Box [-1, 1]^A."""
        import gymnasium as gym

        return gym.spaces.Box(-1.0, 1.0, shape=(self.assets,), dtype=np.float32)

    def empty(self, *shape: int) -> Float32Array:
        """Return float32 zeros [*shape, A]."""
        return np.zeros((*shape, self.assets), np.float32)

    def checked(self, actions: Any, shape: tuple[int, ...]) -> Float32Array:
        """Return contiguous float32 [*shape, A]; finite or not."""
        array = np.asarray(actions)
        shape = (*shape, self.assets)
        if array.dtype.kind != "f":
            raise MarketError(f"weights have dtype {array.dtype}", hint="pass floating-point target weights")
        if array.shape != shape:
            raise MarketError(f"weights have shape {array.shape}, expected {shape}", hint="pass one weight a symbol")
        if array.dtype == np.float32:
            return np.ascontiguousarray(array)
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
            return np.ascontiguousarray(array, dtype=np.float32)

    def weights(self, actions: npt.NDArray[Any], seen: Float32Array | None, out: Float32Array) -> Float32Array:
        """Return the actions themselves."""
        return actions


class Allocation(Actions):
    """One of a few portfolios, Discrete K: cash, all in symbol i, and, where shorts are allowed, short symbol i."""

    name = "allocation"
    discrete = True

    @cached_property
    def table(self) -> Float32Array:
        """Return the weights [K, A] of each choice; K = 1 + A when long only, else 1 + 2A.

        "All" is the largest weight that the limits allow, at most 1.
        """
        full = min(1.0, self.limits.max_weight, self.limits.max_gross)
        rows = [np.zeros((1, self.assets)), np.eye(self.assets) * full]
        if not self.limits.long_only:
            rows.append(np.eye(self.assets) * -full)
        return np.concatenate(rows).astype(np.float32)

    def space(self) -> gym.spaces.Space[Any]:
        """Return Discrete K."""
        import gymnasium as gym

        return gym.spaces.Discrete(len(self.table))

    def empty(self, *shape: int) -> npt.NDArray[np.int64]:
        """Return int64 zeros [*shape]."""
        return np.zeros(shape, np.int64)

    def checked(self, actions: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return whole numbers [*shape], each a row of the table."""
        array = np.asarray(actions)
        if array.dtype.kind not in "iu":
            raise MarketError(f"allocations have dtype {array.dtype}", hint="pass integers: 0 is cash")
        if array.shape != shape:
            raise MarketError(
                f"allocations have shape {array.shape}, expected {shape}", hint="pass one integer an environment"
            )
        if array.size and (array.min() < 0 or array.max() >= len(self.table)):
            raise MarketError(
                f"allocation {int(array.min())}..{int(array.max())} is out of range",
                hint=f"choose from 0 to {len(self.table) - 1}",
            )
        return array

    def weights(self, actions: npt.NDArray[Any], seen: Float32Array | None, out: Float32Array) -> Float32Array:
        """Return the table's rows, in `out`; a choice beyond the table is its nearest end."""
        return np.take(self.table, actions, axis=0, out=out, mode="clip")


KINDS: Final[Mapping[str, type[Actions]]] = MappingProxyType({kind.name: kind for kind in (Weights, Allocation)})
CONTINUOUS: Final = tuple(name for name, kind in KINDS.items() if not kind.discrete)
DISCRETE: Final = tuple(name for name, kind in KINDS.items() if kind.discrete)


def actions_of(name: str, assets: int, limits: LimitSpec) -> Actions:
    """Return the kind of that name over A symbols; `auto` that no algorithm has resolved means weights."""
    return (Weights if name == "auto" else KINDS[name])(assets, limits)
