"""Where windows are traded: the compiled account as one differentiable function, and what a tilt needs beside it.

`Floor` is this machine's processor, `GpuFloor` its GPU.
"""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wealtharena.agents.direct import kernel
from wealtharena.agents.direct.account import Bar, State, entered
from wealtharena.config.specs.tilt import TiltSpec
from wealtharena.envs.compiled import compile_status
from wealtharena.envs.kernel.rows import BAR, Float64, Int64
from wealtharena.envs.market import Market
from wealtharena.envs.observation import ANCHOR_COLUMNS
from wealtharena.envs.vector import RULE

log = logging.getLogger(__name__)

LANES = 128  # symbols a warp of a GPU carries side by side


@dataclass(frozen=True, eq=False)
class Anchors:
    """What a tilt is measured from, by bar and symbol: the last two columns that a network sees."""

    weights: Tensor  # [T, A]
    sigma: Tensor  # [T, A], 0 where the symbol does not trade
    tilt: TiltSpec

    @classmethod
    def of(cls, features: Tensor, tilt: TiltSpec) -> Anchors:
        """Return the anchors that stand in the features [T, A, I] that a network sees."""
        weights, sigma = features[..., -len(ANCHOR_COLUMNS) :].to(torch.float64).unbind(-1)
        return cls(weights.contiguous(), sigma.contiguous(), tilt)

    def to(self, device: torch.device) -> Anchors:
        """Return the same on a device."""
        return Anchors(self.weights.to(device), self.sigma.to(device), self.tilt)

    def idle(self) -> Tensor:
        """Return the changes of weight [T, A] that are not traded for."""
        return self.tilt.band * self.weights.abs().clamp(min=self.tilt.equal_share(self.weights.shape[1]))


@dataclass(frozen=True, eq=False)
class Floor:
    """A market's bars and an account's rules, as the compiled account reads them."""

    bars: Float64  # [T, ROWS, A]
    years: Float64  # [T]
    rates: Float64  # [T] a year: what cash earned since the bar before
    rules: Float64
    idle: Float64  # [T, A], of a tilt
    free: Float64  # [T, A] 1 where a symbol trades, of a tilt
    rate: float  # share of the way that a tilt's order goes; 0 where weights are asked for

    @classmethod
    def of(cls, market: Market, rules: Float64, anchors: Anchors | None = None) -> Floor:
        """Return the floor of all bars of a market."""
        rules = rules.copy()
        if bool((market.bars[:, BAR.volume] == np.inf).all()):
            rules[RULE.impact] = 0.0  # it is 0 where the volume is unknown
        rates = rules[RULE.cash_rate] + market.rates
        if anchors is None:
            none = np.zeros((1, len(market.symbols)))
            return cls(market.bars, market.years, rates, rules, none, none, 0.0)
        free = (anchors.sigma > 0.0).to(torch.float64).numpy()
        return cls(market.bars, market.years, rates, rules, anchors.idle().numpy(), free, anchors.tilt.rate)

    def trade(
        self, asked: Tensor, firsts: Tensor, *, factors: Tensor, held: Tensor | None = None, through: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return equity [N, n + 1], traded value and costs [N, n] of N accounts that ask for weights [N, n, A].

        Account b decides first at the close of bar `firsts[b]`, where it holds the weights `held[b]` or nothing. Under
        a tilt `asked` is what it leads to (`TiltHead.asked`). Differentiable by `asked`, `through` as in
        `TiltHead.ordered`.
        """
        accounts, steps, assets = asked.shape
        first = np.ascontiguousarray(firsts.numpy(), dtype=np.int64)
        record = _Record.opened(accounts, steps, assets, cash=float(self.rules[RULE.initial_cash]))
        if held is not None:
            self._enter(record, held.numpy(), first)
        found: tuple[Tensor, Tensor, Tensor] = _Trade.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            asked.to(torch.float64), self, first, np.ascontiguousarray(factors.numpy()), record, through
        )
        return found

    def _enter(self, record: _Record, weights: Float64, first: Int64) -> None:
        """Let the accounts hold these weights at the close of their first bar, at its marks and for nothing."""
        record.units[:, 0] = weights * record.equity[:, :1] * self.bars[first, BAR.inverse]
        values = record.units[:, 0] * self.bars[first, BAR.mark]
        record.cash[:, 0] -= values.sum(axis=1)
        record.gross[:, 0] = np.abs(values).sum(axis=1)

    @property
    def _market(self) -> tuple[Any, ...]:
        return self.bars, self.years, self.rates, self.rules, self.idle, self.free, self.rate


@dataclass(frozen=True, eq=False)
class _Record:
    """What accounts held at every close."""

    units: Float64  # [N, n + 1, A]
    cash: Float64  # [N, n + 1], as are the next two
    equity: Float64
    gross: Float64

    @classmethod
    def opened(cls, accounts: int, steps: int, assets: int, *, cash: float) -> _Record:
        record = cls(np.empty((accounts, steps + 1, assets)), *(np.empty((accounts, steps + 1)) for _ in range(3)))
        record.units[:, 0], record.gross[:, 0] = 0.0, 0.0
        record.cash[:, 0], record.equity[:, 0] = cash, cash
        return record


class _Trade(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, asked: Tensor, floor: Floor, first: Int64, factors: Float64, record: _Record, through: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        weights = asked.detach().contiguous().numpy()
        traded, costs = np.zeros(weights.shape[:2]), np.zeros(weights.shape[:2])
        before: tuple[Any, ...] = (
            *floor._market,
            first,
            factors,
            weights,
            record.units,
            record.cash,
            record.equity,
            record.gross,
        )
        with compile_status(kernel.forward, kernel.backward):
            kernel.forward(*(*before, traded, costs))
        ctx.before, ctx.through = before, through
        return torch.from_numpy(record.equity), torch.from_numpy(traded), torch.from_numpy(costs)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        found = np.zeros_like(ctx.before[9])
        given: tuple[Any, ...] = (*ctx.before, ctx.through, *(slope.contiguous().numpy() for slope in slopes), found)
        kernel.backward(*given)
        return torch.from_numpy(found), None, None, None, None, None


@dataclass(frozen=True, eq=False)
class GpuFloor:
    """The arrays of a `Floor` on a GPU, where every account is a program of its own; needs Triton."""

    bars: Tensor
    years: Tensor
    rates: Tensor
    rules: Tensor
    idle: Tensor
    free: Tensor
    rate: float

    @staticmethod
    def possible() -> bool:
        """Return whether Triton compiles here; a warning says why it does not.

        It comes with torch's CUDA builds for Linux, and asks for a C compiler and Python's headers.
        """
        try:
            from triton.runtime import driver

            driver.active.get_current_device()
        except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as error:
            log.warning(
                "Triton compiles nothing here (%s): accounts are traded bar by bar in torch, many times slower. It comes "
                "with torch's CUDA builds for Linux or wealtharena[gpu], and needs a C compiler and Python's headers",
                error,
            )
            return False
        return True

    @classmethod
    def of(cls, floor: Floor, device: torch.device) -> GpuFloor:
        """Return a floor's copy on a device."""
        arrays = (floor.bars, floor.years, floor.rates, floor.rules, floor.idle, floor.free)
        bars, years, rates, rules, idle, free = (torch.tensor(one, device=device) for one in arrays)
        return cls(bars, years, rates, rules, idle, free, floor.rate)

    def trade(
        self, asked: Tensor, firsts: Tensor, *, factors: Tensor, held: Tensor | None = None, through: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `Floor.trade` does, from tensors of this device."""
        accounts, steps, assets = asked.shape
        none = self.rules.new_zeros((accounts, assets))
        start = self.rules[RULE.initial_cash].expand(accounts)
        state = State(none, start, start, none[:, 0])
        if held is not None:
            state = entered(state, held, Bar(*self.bars[firsts].unbind(-2)))
        units = none.new_empty((accounts, steps + 1, assets))
        cash, equity, gross = (none.new_empty((accounts, steps + 1)) for _ in range(3))
        units[:, 0], cash[:, 0], equity[:, 0], gross[:, 0] = state
        before = (firsts.contiguous(), factors.contiguous(), units, cash, equity, gross)
        found: tuple[Tensor, Tensor, Tensor] = _GpuTrade.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            asked.to(torch.float64).contiguous(), self, before, through
        )
        return found

    def _launch(self, function: Any, before: tuple[Tensor, ...], asked: Tensor, *rest: Tensor, **flags: bool) -> None:
        accounts, steps, assets = asked.shape
        firsts, factors, *record = before
        market = (self.bars, self.years, self.rates, self.rules, self.idle, self.free)
        lanes = 1 << (assets - 1).bit_length()
        function[(accounts,)](
            *market, firsts, factors, asked, *record, *rest, steps, assets, TRADE_RATE=self.rate, BLOCK=lanes,
            num_warps=min(max(lanes // LANES, 1), 8), **flags,
        )  # fmt: skip


class _GpuTrade(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, asked: Tensor, floor: GpuFloor, before: tuple[Tensor, ...], through: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        from wealtharena.agents.direct import gpu_kernel

        traded, costs = (asked.new_empty(asked.shape[:2]) for _ in range(2))
        floor._launch(gpu_kernel.forward, before, asked, traded, costs)
        ctx.save_for_backward(asked, *before)  # as attributes, what is returned would hold itself until it is collected
        ctx.floor, ctx.through = floor, through
        return before[4], traded, costs

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        from wealtharena.agents.direct import gpu_kernel

        asked, *before = ctx.saved_tensors
        found, given = torch.empty_like(asked), [slope.contiguous() for slope in slopes]
        ctx.floor._launch(gpu_kernel.backward, tuple(before), asked, *given, found, THROUGH=ctx.through)
        return found, None, None, None
