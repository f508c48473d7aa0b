"""The arrays that the kernel steps, owned in one place; the Gymnasium faces are thin covers of this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel
from wealtharena.envs import kernel
from wealtharena.envs.compiled import compile_status
from wealtharena.envs.kernel.arguments import ResetArguments, Scratch, StepArguments, accounts
from wealtharena.envs.kernel.rows import CLOCK, CLOCK_ROWS, SAME_STEP, Flags, Float32, Int64
from wealtharena.envs.market import Market
from wealtharena.envs.rules import rules_of
from wealtharena.envs.tiles import aligned
from wealtharena.errors import MarketError, require_kind
from wealtharena.features.panel import FeaturePanel, Scaler

# The arguments come as prepared tuples, which a type checker cannot count.
_RESET: Any = kernel.reset_batch
_STEP: Any = kernel.step_batch
Segments = Sequence[tuple[int, int]]


class AccountBatch:
    """N accounts in one market: state, clocks and random streams, stepped in place.

    Memory is N (D + A) numbers and does not grow with the number of steps. Nothing is allocated in a step.
    """

    def __init__(
        self,
        market: Market,
        spec: EnvSpec,
        *,
        num_envs: int,
        segments: Segments | None = None,
        mode: int = SAME_STEP,
    ) -> None:
        if not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise MarketError(f"num_envs={num_envs!r} must be a whole number, at least 1", hint="try num_envs=1")
        if market.layout.window != spec.window:
            raise MarketError(
                f"the market was built for env.window={market.layout.window}, the spec says {spec.window}",
                hint="build the market from this spec",
            )
        assets = len(market.symbols)
        rules = rules_of(spec, market.symbols, delisting=market.delisting)
        self.market = market
        self._rules = rules  # a copy freezes its arrays as it does the market's: for others all would be compiled anew
        self.num_envs = num_envs
        self.units, self.state = accounts(assets, num_envs)
        self.clock = aligned((CLOCK_ROWS, num_envs), np.int64)
        self.clock[CLOCK.done] = 1
        self.rng = np.zeros(num_envs, dtype=np.uint64)
        self._no_final = np.zeros((0, market.layout.size), dtype=np.float32)
        shared: dict[str, Any] = {
            "bars": market.bars,
            "features": market.features,
            "copies": market.copies,
            "rules": rules.vector,
            "starts": episode_starts(market, spec, segments),
            "length": int(spec.episode_bars or 0),
            "anywhere": bool(spec.random_start),
            "units": self.units,
            "state": self.state,
            "clock": self.clock,
            "rng": self.rng,
        }
        # Plain tuples, since they are unpacked faster than named ones.
        self._reset: tuple[Any, ...] = tuple(ResetArguments(**shared))
        self._step: tuple[Any, ...] = tuple(
            StepArguments(
                **shared,
                **Scratch.of(assets)._asdict(),
                records=market.records,
                years=market.years,
                rates=market.rates,
                lots=rules.lots,
                mode=mode,
            )
        )
        self._all = np.ones(num_envs, dtype=np.bool_)

    def seed(self, seeds: Sequence[int] | npt.NDArray[np.uint64]) -> None:
        """Start the random stream of environment i at `seeds[i]`, and its count of episodes at none."""
        if len(seeds) != self.num_envs:
            raise MarketError(
                f"{len(seeds)} seeds for {self.num_envs} environments", hint="pass one seed an environment"
            )
        for seed in seeds:
            if not isinstance(seed, int | np.integer):
                raise MarketError(f"a seed is {seed!r}", hint="pass a whole number an environment")
        self.rng[:] = np.array([int(seed) % 2**64 for seed in seeds], dtype=np.uint64)
        self.clock[CLOCK.episode] = 0

    def reset(self, obs: Float32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Restart the environments in `mask` (default all) and write their rows of `obs` [N, D]."""
        with compile_status(kernel.reset_batch, kernel.step_batch):
            _RESET(*self._reset, self._all if mask is None else mask, obs)

    def step(
        self, actions: Float32, obs: Float32, reward: Float32, terminated: Flags,
        truncated: Flags, final_obs: Float32 | None = None, strict: bool = False,
    ) -> int:  # fmt: skip
        """Step all environments with weights [N, A] into the given arrays; see `kernel.step_batch`."""
        final = self._no_final if final_obs is None else final_obs
        return int(_STEP(*self._step, actions, obs, reward, terminated, truncated, final, strict))


def episode_starts(market: Market, spec: EnvSpec, segments: Segments | None) -> Int64:
    """Return the kernel's table of segments, [S, STARTS]; an observation never reaches before its segment.

    Segments are half-open row ranges; None is the whole market. Raises MarketError where one lies outside the market
    or is too short for a single step.
    """
    rows = []
    for start, stop in segments if segments is not None else [(0, market.length)]:
        first = start + spec.window - 1
        last = stop - 1
        if start < 0 or stop > market.length or first >= last:
            raise MarketError(
                f"segment [{start}, {stop}) of {market.length} bars leaves no step for env.window={spec.window}",
                hint=f"a segment needs at least {spec.window + 1} bars inside the market",
            )
        length = spec.episode_bars or 1
        rows.append((first, max(1, last - first - length + 1), last))
    if not rows:
        raise MarketError("no segments to play in", hint="pass at least one (start, stop)")
    return np.array(rows, dtype=np.int64)


def market_of(
    market: Market | None,
    spec: EnvSpec | None,
    panel: Panel | None,
    features: FeaturePanel | None,
    scaler: Scaler | None,
) -> tuple[Market, EnvSpec]:
    """Return the market and spec that a face's arguments mean.

    Give a market, or features, or a panel (the default features are computed). Without a scaler, one is fitted on
    these very features: right for play and for a training window, wrong for anything after it.
    """
    if spec is None:
        raise MarketError("an environment needs spec=", hint="for example wealtharena.config.compose([]).env")
    require_kind("spec", spec, EnvSpec, hint="pass its part of the environment, compose([...]).env")
    for name, given, kind in (
        ("market", market, Market),
        ("features", features, FeaturePanel),
        ("scaler", scaler, Scaler),
    ):
        require_kind(name, given, (kind, type(None)), hint=f"pass a {kind.__name__}")
    if market is not None:
        return market, spec
    if features is None:
        if panel is None:
            raise MarketError(
                "an environment needs panel=, features= or market=", hint="wealtharena.data.load_panel makes a panel"
            )
        from wealtharena.config import compose
        from wealtharena.features import compute

        features = compute(panel, compose([]).features)
    if scaler is None:
        scaler = Scaler.fit(features, clip=5.0)
    return Market.build(features, spec, scaler), spec
