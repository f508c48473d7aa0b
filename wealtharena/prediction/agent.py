"""One promoted version, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass

from wealtharena.prediction.answers import Origin, Predictions
from wealtharena.prediction.explain import Explanation
from wealtharena.prediction.observations import Observations
from wealtharena.registry.history import Pointer
from wealtharena.registry.inference import OnnxPolicy
from wealtharena.registry.metadata import Metadata


@dataclass(frozen=True, eq=False)
class ServedAgent:
    """One version on one stage, ready to answer; replaced whole when the stage changes hands."""

    pointer: Pointer
    policy: OnnxPolicy
    explanation: Explanation
    origin: Origin

    @property
    def metadata(self) -> Metadata:
        return self.policy.metadata

    def predict(self, given: Observations) -> Predictions:
        """Return one answer for each of N observations."""
        found = self.policy.act(given.features, given.portfolio, given.states)
        return Predictions(
            self.origin, found.weights, found.states, found.spread, given.flat_portfolio_assumed, given.as_of
        )


def origin_of(pointer: Pointer, metadata: Metadata) -> Origin:
    """Return what every answer of a promoted version says of where it comes from."""
    return Origin(
        agent=pointer.agent,
        version=pointer.version,
        stage=pointer.stage,
        verdict=pointer.verdict,
        simulated=metadata.simulated,
        symbols=metadata.symbols,
    )
