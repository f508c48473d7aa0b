"""What an action is: one class a kind, and the target weights that it stands for.

A kind is chosen by its name from `KINDS`. Its torch twin, of the same name, stands in agents/networks/heads.py.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.asset import LimitSpec
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import MarketError

if TYPE_CHECKING:
    import gymnasium as gym

Float32Array = npt.NDArray[np.float32]
TINY: Final = 1e-12  # below any sum of weights that counts
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TRUTHS: Final = frozenset((bool, np.bool_))


@dataclass(frozen=True, eq=False)
class Actions(ABC):
    """A kind of action over A symbols within limits. N actions are an array whose first axis is N."""

    assets: int
    limits: LimitSpec
    layout: ObservationLayout | None = None  # for a kind that reads what was seen

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
        """Return the target weights [N, A] of actions [N, ...], in `out` or elsewhere; checks nothing.

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
        if self.layout is not None and not isinstance(actions, np.ndarray):
            check_labels(actions, "weights", self.layout.symbols)
        array = array_of(actions, "weights")
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
        array = array_of(actions, "allocations")
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


class Tilt(Weights):
    """Changes of an anchor, Box [-1, 1]^A: 0 asks for the anchor itself, +-1 for as much more or less as is allowed.

    With u the action, b the anchor, G the gross limit, A the number of symbols and h what is held:

    - long only: b' = (cash, b) / G, v = (0, u) and a = G (b' + softmax(log max(b', eps) + scale v) -
      softmax(log max(b', eps))), cut at 0 and shared out anew. The difference of the two makes u = 0 the anchor to the
      last digits, also where b is 0, and eps > 0 lets cash and such a symbol be reached.
    - long and short: a_i = b_i + (G / A) (H / sigma_i) u_i, H the harmonic mean of sigma: the same risk for the same u.
    - a is clipped and scaled to the limits as the kernel does it; what does not trade at this bar keeps h, and the
      others have the room that it leaves.
    - orders go a part of the way: w = h + rate S(a - h), S the soft threshold at band max(|b_i|, e), e the equal share
      min(1, G) / A, the largest weight of a symbol at most.
    """

    name = "tilt"

    def checked(self, actions: Any, shape: tuple[int, ...]) -> Float32Array:
        """Return contiguous float32 [*shape, A]; MarketError also where one is not finite, which +-1 would hide."""
        array = super().checked(actions, shape)
        if not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array))[0]
            where = f" of environment {bad[0]}" if shape else ""
            raise MarketError(f"the action{where} is not finite", hint="check the policy for NaN")
        return array

    def weights(self, actions: npt.NDArray[Any], seen: Float32Array | None, out: Float32Array) -> Float32Array:
        """Return the weights that are ordered, in `out`."""
        layout = self._layout
        assert seen is not None, "a tilt answers an observation"
        anchor, sigma, held = seen[:, layout.anchor], seen[:, layout.sigma], seen[:, layout.weights]
        wanted = self.wanted(actions, anchor=anchor, sigma=sigma, held=held)
        return self.part_way(wanted, anchor=anchor, held=held, out=out)

    def wanted(
        self, actions: npt.NDArray[Any], *, anchor: Float32Array, sigma: Float32Array, held: Float32Array
    ) -> Float32Array:
        """Return the weights a [N, A] that the account is led to; within the limits where the held ones are."""
        trades = sigma > 0.0
        return self.beside_kept(self.asked(actions, trades, anchor=anchor, sigma=sigma), trades, held=held)

    def asked(
        self, actions: npt.NDArray[Any], trades: npt.NDArray[np.bool_], *, anchor: Float32Array, sigma: Float32Array
    ) -> Float32Array:
        """Return the part of `wanted` that nothing held changes: clipped weights [N, A], 0 where nothing trades."""
        tilts = np.where(trades, np.clip(actions, -1.0, 1.0), np.float32(0.0))
        asked = self._long(tilts, anchor) if self.limits.long_only else self._spread(tilts, anchor, sigma)
        return np.where(trades, np.clip(asked, *bounds(self.limits)), np.float32(0.0))

    def beside_kept(self, asked: Float32Array, trades: npt.NDArray[np.bool_], *, held: Float32Array) -> Float32Array:
        """Return `wanted` of what is `asked`: what does not trade is kept, the others have the room that it leaves."""
        kept = np.where(trades, np.float32(0.0), held)
        room = np.maximum(np.float32(self.limits.max_gross) - np.abs(kept).sum(axis=-1, keepdims=True), 0.0)
        wanted: Float32Array = asked * (
            room / np.maximum(np.abs(asked).sum(axis=-1, keepdims=True), np.maximum(room, TINY))
        )
        wanted += kept
        return wanted

    def part_way(
        self, wanted: Float32Array, *, anchor: Float32Array, held: Float32Array, out: Float32Array
    ) -> Float32Array:
        """Return what is ordered on the way from `held` to `wanted`, in `out` [N, A]."""
        tilt = self._layout.tilt
        assert tilt is not None
        apart = wanted - held
        idle = tilt.band * np.maximum(np.abs(anchor), tilt.equal_share(self.assets))
        np.copysign(np.maximum(np.abs(apart) - idle, 0.0), apart, out=out)
        out *= tilt.rate
        out += held
        return out

    def _long(self, tilts: Float32Array, anchor: Float32Array) -> Float32Array:
        assert self._layout.tilt is not None
        gross = np.float32(self.limits.max_gross)
        shares = np.empty((len(anchor), self.assets + 1), np.float32)
        np.divide(anchor, gross, out=shares[:, 1:])
        np.subtract(1.0, shares[:, 1:].sum(axis=-1), out=shares[:, 0])
        base = np.maximum(shares, np.float32(least_share(self.assets)))
        grown = base.copy()
        grown[:, 1:] *= np.exp(tilts * np.float32(self._layout.tilt.scale))
        shares += grown / grown.sum(axis=-1, keepdims=True) - base / base.sum(axis=-1, keepdims=True)
        np.maximum(shares, 0.0, out=shares)
        return np.asarray(shares[:, 1:] * (gross / shares.sum(axis=-1, keepdims=True)))

    def _spread(self, tilts: Float32Array, anchor: Float32Array, sigma: Float32Array) -> Float32Array:
        inverse = np.where(sigma > 0.0, 1.0 / np.maximum(sigma, np.float32(TINY)), np.float32(0.0))
        count = (sigma > 0.0).sum(axis=-1, keepdims=True)
        mean = count / np.maximum(inverse.sum(axis=-1, keepdims=True), TINY)
        return np.asarray(anchor + (self.limits.max_gross / self.assets) * mean * inverse * tilts, dtype=np.float32)

    @property
    def _layout(self) -> ObservationLayout:
        assert self.layout is not None, "a tilt needs the layout of what it answers"
        return self.layout


def array_of(given: Any, what: str, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """Return what somebody gave as an array; MarketError where it is none, as rows of several lengths, or complex.

    With a `dtype` they are numbers, and True and False are none.
    """
    try:
        array = np.asarray(given)
        if array.dtype.kind == "c":  # of which real numbers would keep a part
            raise MarketError(f"{what} are complex numbers", hint="pass real ones")
        if np.ma.is_masked(given):
            raise MarketError(f"{what} are masked in part", hint="pass a number for each, as filled(0.0) does")
        if dtype is not None and holds_truth(given):
            raise MarketError(f"{what} hold True or False", hint="pass numbers: 1.0 is all of equity, 0.0 nothing")
        return array if dtype is None else array.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise MarketError(f"{what} are no array: {error}", hint="pass numbers, in rows of one length") from error
    except RuntimeError as error:  # torch's, of a tensor that is part of a graph
        raise MarketError(
            f"{what} are no array: {error}", hint="pass numbers, such as tensor.detach().numpy()"
        ) from error


def check_labels(
    given: Any, what: str, symbols: Sequence[str], timestamps: npt.NDArray[np.datetime64] | None = None
) -> None:
    """Raise MarketError where a table or series is labelled otherwise than by the symbols, and times, of the market in their order.

    It is taken by its places; columns 0, 1, 2 and on, and an index of anything but times and dates, say no more than that.
    """
    pd = sys.modules.get("pandas")  # whoever has a table has loaded it
    if pd is None or not isinstance(given, pd.DataFrame | pd.Series):
        return
    labels = list(given.columns if isinstance(given, pd.DataFrame) else given.index)
    if labels not in (list(symbols), list(range(len(symbols)))):
        raise MarketError(
            f"{what} are labelled {', '.join(map(str, labels[:5]))}, and the market's symbols are {', '.join(symbols[:5])}",
            hint="pass them in that order: [list(panel.symbols)]",
        )
    if timestamps is not None:
        check_times(given, what, timestamps)


def check_times(given: Any, what: str, timestamps: npt.NDArray[np.datetime64]) -> None:
    """Raise MarketError where the index of a table or series tells other times than those of the market, in their order."""
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(given, pd.DataFrame | pd.Series) or (times := _times_of(given.index)) is None:
        return
    if np.array_equal(times, timestamps):
        return
    both = min(len(times), len(timestamps))
    at = next(iter(np.flatnonzero(times[:both] != timestamps[:both])), both)
    theirs, own = (str(one[at])[:19] if at < len(one) else "nothing" for one in (times, timestamps))
    raise MarketError(
        f"{what} are for {len(times)} bars, {theirs} in row {at}, and the market has {len(timestamps)}, {own} there",
        hint="pass a row for each bar: .reindex(market.timestamps), and say what holds where there is none",
    )


def _times_of(index: Any) -> npt.NDArray[np.datetime64] | None:
    """Return the times, in UTC, that an index holds, as periods, dates or words such as 2024-01-31, too; None where it holds none."""
    import pandas as pd

    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    elif not isinstance(index, pd.DatetimeIndex):
        first = index[0] if len(index) else None
        if not isinstance(first, dt.date) and not (isinstance(first, str) and _DATE.match(first)):
            return None
        try:
            index = pd.DatetimeIndex(index)
        except (TypeError, ValueError):  # words that begin as dates do
            return None
    return np.asarray((index if index.tz is None else index.tz_convert(None)).to_numpy())


def holds_truth(given: Any) -> bool:
    """Return whether there is True or False in an array, or among the numbers of a list, where an array of it would hide them."""
    cells = np.asarray(given, dtype=object if isinstance(given, list | tuple) else None)
    return cells.dtype.kind == "b" or (
        cells.dtype.kind == "O" and not _TRUTHS.isdisjoint(map(type, cells.ravel().tolist()))
    )


def bounds(limits: LimitSpec) -> tuple[float, float]:
    """Return the least and the largest weight of a symbol."""
    return (0.0 if limits.long_only else -limits.max_weight), limits.max_weight


def least_share(assets: int) -> float:
    """Return the share that a tilt takes for what the anchor holds less of: a quarter of an equal share, cash counted in."""
    return 0.25 / (assets + 1)


KINDS: Final[Mapping[str, type[Actions]]] = MappingProxyType({kind.name: kind for kind in (Weights, Tilt, Allocation)})
CONTINUOUS: Final = tuple(name for name, kind in KINDS.items() if not kind.discrete)
DISCRETE: Final = tuple(name for name, kind in KINDS.items() if kind.discrete)


def actions_of(name: str, assets: int, limits: LimitSpec, layout: ObservationLayout | None = None) -> Actions:
    """Return the kind of that name over A symbols; `auto` that no algorithm has resolved means weights."""
    return (Weights if name == "auto" else KINDS[name])(assets, limits, layout)
