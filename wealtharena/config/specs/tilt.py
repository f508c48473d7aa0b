"""A tilt: what it is measured from, and how its orders are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from wealtharena.config.paths import anchor_names
from wealtharena.config.specs.base import Spec
from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.errors import CheckpointError

LEAST_CLIP: Final = 1.0  # of features that an anchor stands beside: its largest weight is not to be cut


class TiltSpec(Spec):
    """All that turns tilts into weights beside limits and observation; stored with an agent, it goes where the agent goes."""

    anchor: BaselineSpec = Field(description="the rule that is tilted")
    scale: float = Field(gt=0, description="largest change of a symbol's log share, long only")
    rate: float = Field(gt=0, le=1, description="share of the way to the wanted weights that one bar's order goes")
    band: float = Field(ge=0, description="part of a symbol's anchor, or of an equal share, that is not traded for")

    def equal_share(self, assets: int) -> float:
        """Return the weight of each of A symbols where an anchor holds in equal parts what the limits let it hold."""
        return min(self.anchor.gross / assets, self.anchor.max_weight)


def require_anchor(tilt: Mapping[str, Any] | None, *, where: str) -> None:
    """Raise CheckpointError, which names `where`, for a kept tilt from the rule of a package that is not installed."""
    anchor = (tilt or {}).get("anchor")
    name = anchor.get("name") if isinstance(anchor, Mapping) else None
    if isinstance(name, str) and name not in anchor_names():
        raise CheckpointError(
            f"{where}: it leans from the anchor {name!r}, which is not here", hint="install the package that offers it"
        )
