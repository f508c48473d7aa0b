"""How the market is played: actions, fills, observation, episodes, reward."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from wealtharena.config.paths import reward_names
from wealtharena.config.specs.asset import CostSpec, InstrumentSpec, LimitSpec
from wealtharena.config.specs.base import Spec
from wealtharena.config.specs.baseline import AnchorName, BaselineSpec
from wealtharena.config.specs.tilt import TiltSpec

# Keys of `EnvSpec` that are read where actions are tilts, and nowhere else.
OF_TILTS: Final = ("anchor", "anchor_bars", "tilt_scale", "trade_rate", "no_trade_band")


class RewardSpec(Spec):
    """What the agent is paid for a bar."""

    name: str = Field(description="a file of wealtharena/envs/rewards")
    scale: float = Field(gt=0, description="multiplies the reward; learning rates like rewards near 1")
    turnover_penalty: float = Field(ge=0, description="subtracted per unit of turnover (traded value over equity)")
    eta: float = Field(
        gt=0, lt=1, description="adaptation rate of differential_sharpe's moments (Moody and Saffell 1998)"
    )
    risk_aversion: float = Field(ge=0, description="lambda of mean_variance")
    drawdown_penalty: float = Field(ge=0, description="weight of new drawdown in the drawdown reward")
    parameter: float = Field(description="for a reward that is added and needs a number of its own")

    @field_validator("name")
    @classmethod
    def _is_there(cls, name: str) -> str:
        known = reward_names()
        if name not in known:
            raise PydanticCustomError(
                "literal_error", "Input should be {expected}", {"expected": ", ".join(map(repr, known))}
            )
        return name


class RandomisationSpec(Spec):
    """Domain randomisation of costs: each episode multiplies them by a factor drawn log-uniformly."""

    enabled: bool = Field(description="in training only")
    cost_low: float = Field(gt=0, description="least factor")
    cost_high: float = Field(gt=0, description="largest factor")


class EnvSpec(Spec):
    """Rules of one portfolio environment; all that the kernel needs beside prices and features."""

    action: Literal["auto", "weights", "allocation", "tilt"] = Field(
        description="auto takes what asset.action prefers where the algorithm can, else what the algorithm does first"
    )
    anchor: AnchorName = Field(
        description="tilt: the baseline that is tilted, that of the class (asset.anchor) unless it is set; an agent that says nothing holds it"
    )
    anchor_bars: int = Field(
        ge=2,
        le=2048,
        description="tilt: bars that the anchor's volatility or momentum looks back; fewer than 10 estimate no volatility",
    )
    tilt_scale: float = Field(gt=0, le=10, description="tilt, long only: largest change of a symbol's log share")
    trade_rate: float = Field(
        gt=0, le=1, description="tilt: share of the way from what is held to what is wanted that one bar's order goes"
    )
    no_trade_band: float = Field(
        ge=0,
        lt=1,
        description="tilt: a change smaller than this part of the symbol's anchor, or of an equal share, is not traded",
    )
    fill: Literal["auto", "next_open", "next_close"] = Field(
        description="the price at which orders are filled; auto takes the next open, or the next close where a source has no opens"
    )
    window: int = Field(ge=1, le=1024, description="bars of features in the observation")
    episode_bars: int | None = Field(ge=2, description="length of a training episode; null plays the whole window")
    random_start: bool = Field(description="training episodes begin at any bar; false: at the first")
    initial_cash: float = Field(
        ge=1e-6,
        le=1e15,
        description="in account currency; there is not more of any, and less is lost among what sums are rounded by",
    )
    min_trade_weight: float = Field(ge=0, lt=1, description="a smaller change of weight is not traded")
    costs: CostSpec
    limits: LimitSpec
    instrument: InstrumentSpec
    reward: RewardSpec
    randomisation: RandomisationSpec

    @property
    def tilt(self) -> TiltSpec | None:
        """Return what a tilt needs, None where actions are of another kind."""
        return self.tilted if self.action == "tilt" else None

    @property
    def tilted(self) -> TiltSpec:
        """Return what a tilt would need under these rules, whatever the actions are."""
        rule = BaselineSpec(
            name=self.anchor,
            momentum_bars=self.anchor_bars,
            lookback_bars=self.anchor_bars,
            listed_bars=self.limits.delisting_bars,
            gross=min(1.0, self.limits.max_gross),
            max_weight=self.limits.max_weight,
            long_only=self.limits.long_only,
            margined=self.instrument.margin_futures,
            benchmark=None,
            seed=0,
        )
        return TiltSpec(anchor=rule, scale=self.tilt_scale, rate=self.trade_rate, band=self.no_trade_band)
