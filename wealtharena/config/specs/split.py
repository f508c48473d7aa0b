"""How time is cut into training, validation and test."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wealtharena.config.specs.base import Spec


class SplitSpec(Spec):
    """Splits of the bars; shares are of the bars left after warm-up."""

    name: Literal["holdout", "walk_forward", "cpcv"] = Field(description="how time is cut")
    validation_share: float = Field(
        gt=0, lt=1, description="bars before the test window on which candidates are chosen"
    )
    test_share: float = Field(gt=0, lt=1, description="the last bars, looked at once")
    purge_bars: int = Field(ge=0, description="bars removed from training before each test or validation segment")
    embargo_bars: int = Field(ge=0, description="bars removed from training after each test segment")
    folds: int = Field(ge=1, description="walk_forward: number of test segments; cpcv: number of groups n")
    test_folds: int = Field(ge=1, description="cpcv: groups k in each test set")
    window: Literal["expanding", "rolling"] = Field(
        description="walk_forward: training begins at the first bar, or has the same length in each fold"
    )
