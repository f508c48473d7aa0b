"""What the agent sees of the market."""

from __future__ import annotations

from pydantic import Field

from wealtharena.config.specs.base import OneNameAtLeast, Spec


class FeaturesSpec(Spec):
    """Causal indicators a symbol and how they are scaled."""

    names: OneNameAtLeast = Field(description="features by name; one whose inputs the source lacks is absent")
    clip: float = Field(gt=0, description="scaled features are clipped to +- this")
