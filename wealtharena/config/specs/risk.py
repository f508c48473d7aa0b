"""The brakes between an agent and its broker: one block a rule; one that is null is off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator

from wealtharena.config import plugins
from wealtharena.config.specs.base import RefusedBlocksError, Spec

Action = Literal["shrink", "skip", "flatten", "halt"]


class RuleSpec(Spec):
    """What a rule does when its limit is passed."""

    action: Action = Field(description="what is done where the limit is passed")


class GrossSpec(RuleSpec):
    """All positions together."""

    max_gross: float = Field(gt=0, description="sum of the sizes of all positions over equity")
    max_net: float = Field(gt=0, description="size of their sum over equity")


class SymbolWeightSpec(RuleSpec):
    """One position."""

    max_weight: float = Field(gt=0, description="size of a position over equity")


class OrderVolumeSpec(RuleSpec):
    """An order against volume."""

    max_share: float = Field(gt=0, description="of the volume of the bar that is decided on")


class DailyLossSpec(RuleSpec):
    """Loss since the day before."""

    action: Literal["skip", "flatten", "halt"]
    max_loss: float = Field(gt=0, lt=1, description="loss since the last equity of the day before")


class DrawdownSpec(RuleSpec):
    """Loss since the highest equity."""

    action: Literal["skip", "flatten", "halt"]
    max_drawdown: float = Field(gt=0, lt=1, description="loss since the highest equity so far")


class StaleDataSpec(RuleSpec):
    """Age of a symbol's last price."""

    action: Literal["skip", "flatten", "halt"]
    max_bars: int = Field(ge=1, description="bars in a row without a price")


class PriceJumpSpec(RuleSpec):
    """Move of a price in one bar."""

    action: Literal["skip", "flatten", "halt"]
    max_move: float = Field(gt=0, description="change of a price in one bar, up or down")


class OrderRateSpec(RuleSpec):
    """Orders a day."""

    action: Literal["skip", "halt"]
    max_orders: int = Field(ge=1, description="orders on one day")


class UnknownAccountSpec(RuleSpec):
    """Bars at which the broker does not say what is held."""

    action: Literal["halt"]
    max_bars: int = Field(ge=1, description="bars in a row at which the broker does not say what is held")


class RiskSpec(Spec):
    """The rules, each in the file of its name in wealtharena/trading/risk/."""

    gross: GrossSpec | None
    symbol_weight: SymbolWeightSpec | None
    order_volume: OrderVolumeSpec | None
    daily_loss: DailyLossSpec | None
    drawdown: DrawdownSpec | None
    stale_data: StaleDataSpec | None
    price_jump: PriceJumpSpec | None
    order_rate: OrderRateSpec | None
    unknown_account: UnknownAccountSpec | None
    allow_live: bool = Field(description="one of the locks before live money; no shipped configuration opens it")
    own: dict[str, SerializeAsAny[RuleSpec]] = Field(
        description="rules of packages, by name, each with what its own spec asks for"
    )

    @field_validator("own", mode="before")
    @classmethod
    def _of_packages(cls, own: Any) -> Any:
        """Type each block by the `Rule` of its package's module."""
        if not isinstance(own, Mapping):
            return own
        ours = [name for name in own if name in cls.model_fields]
        if ours:
            raise ValueError(f"{ours[0]} is a rule of ours: set risk.{ours[0]} itself")
        made: dict[str, RuleSpec] = {}
        refused: dict[str, tuple[type[BaseModel], ValidationError]] = {}
        for name, block in own.items():
            rule = plugins.subclass("trading.risk", str(name), "Rule", RuleSpec)
            try:
                made[name] = rule.model_validate(block)
            except ValidationError as error:
                refused[name] = rule, error
        if refused:
            raise RefusedBlocksError(refused)
        return made

    @property
    def rules(self) -> Mapping[str, RuleSpec]:
        """Return the rules that are on, by name."""
        ours = {name: rule for name in type(self).model_fields if isinstance(rule := getattr(self, name), RuleSpec)}
        return {**ours, **self.own}
