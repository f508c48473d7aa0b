"""A baseline: the name of a rule, and the numbers that it may look at beside the bars."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from wealtharena.config.paths import anchor_names, baseline_names
from wealtharena.config.specs.base import Spec


def _is_there(name: str) -> str:
    known = baseline_names()
    if name not in known:
        raise PydanticCustomError(
            "literal_error", "Input should be {expected}", {"expected": ", ".join(map(repr, known))}
        )
    return name


def _is_anchor(name: str) -> str:
    known = anchor_names()
    if name not in known:
        raise PydanticCustomError(
            "literal_error", "Input should be {expected}", {"expected": ", ".join(map(repr, known))}
        )
    return name


BaselineName = Annotated[str, AfterValidator(_is_there)]
AnchorName = Annotated[str, AfterValidator(_is_anchor)]


class BaselineSpec(Spec):
    """All that a rule needs beside recent bars; stored with an agent, it gives the same weights in a server."""

    name: BaselineName = Field(description="a file of wealtharena/envs/baselines")
    momentum_bars: int = Field(ge=1, description="of momentum: bars over which a return is looked at")
    lookback_bars: int = Field(ge=2, description="of inverse_volatility and minimum_variance")
    listed_bars: int = Field(ge=1, description="a symbol that did not trade for so many bars is no part of a portfolio")
    gross: float = Field(gt=0, le=1, description="sum of absolute weights of a rule that invests everything")
    max_weight: float = Field(gt=0, le=20, description="largest absolute weight of one symbol")
    long_only: bool = Field(description="no symbol is sold short")
    margined: bool = Field(description="a unit earns in its quote currency, as a currency pair or a future does")
    benchmark: str | None = Field(description="symbol of the rule `benchmark`")
    seed: int = Field(ge=0, description="of the rule `random`")
