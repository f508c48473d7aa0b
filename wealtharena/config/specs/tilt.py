"""A tilt: what it is measured from, and how its orders are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from wealtharena.config import plugins
from wealtharena.config.paths import ANCHORS, anchor_names
from wealtharena.config.specs.base import Spec
from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.errors import PackageError

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


def anchor_code(tilt: TiltSpec | None) -> str | None:
    """Return a digest of the package whose rule a tilt leans from, None for one of ours; kept beside the tilt."""
    if tilt is None or tilt.anchor.name in ANCHORS:
        return None
    return plugins.source_of("envs.anchors", tilt.anchor.name) or None


def require_anchor(tilt: Mapping[str, Any] | None, code: str | None, *, where: str) -> None:
    """Raise PackageError, which names `where`, for a kept tilt from the rule of a package that is not installed, or was edited.

    `code` is what `anchor_code` said when it was kept; None where nobody asked.
    """
    anchor = (tilt or {}).get("anchor")
    name = anchor.get("name") if isinstance(anchor, Mapping) else None
    if not isinstance(name, str) or name in ANCHORS:
        return
    if name not in anchor_names():
        raise PackageError(
            f"{where}: it leans from the anchor {name!r}, which is not here", hint="install the package that offers it"
        )
    if code is not None and code != plugins.source_of("envs.anchors", name):
        raise PackageError(
            f"{where}: the package of the anchor {name!r}, which it leans from, was edited since it was trained",
            hint="install the package as it was then, or train again",
        )
