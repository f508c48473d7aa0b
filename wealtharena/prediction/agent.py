"""One promoted version, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from wealtharena.config.specs.asset import LimitSpec
from wealtharena.errors import CheckpointError, WealthArenaError
from wealtharena.prediction.answers import Origin, Predictions
from wealtharena.prediction.explain import Explanation
from wealtharena.prediction.inputs import MAX_ABS_WEIGHT, Float32Array, InputError, all_finite
from wealtharena.prediction.observations import Observations
from wealtharena.registry.history import Pointer
from wealtharena.registry.inference import Decisions, OnnxPolicy
from wealtharena.registry.metadata import Metadata

_ROUNDING = 1e-4  # of single precision, over many symbols
FAR = 2.0  # times what the agent holds at most
_STRAINED = (
    "portfolio: the sizes of its weights add up to {:.4g} times equity, of which the agent holds at most {:.4g}: weights are shares "
    "of equity (0.25), not per cents"
)


class UnfitAnswerError(WealthArenaError):
    """A graph answered with weights that are not finite or beyond the agent's own limits."""


@dataclass(frozen=True)
class AnswerLimits:
    """Between what every weight lies, and the sum of their sizes at most."""

    low: float
    high: float
    gross: float

    @classmethod
    def of(cls, metadata: Metadata) -> AnswerLimits:
        """Return the limits that the agent was trained under, wide ones where it does not say; CheckpointError if damaged."""
        stated = metadata.recipe.env.get("limits")
        if stated is None:
            return cls(-MAX_ABS_WEIGHT, MAX_ABS_WEIGHT, MAX_ABS_WEIGHT)
        try:
            spec = LimitSpec.model_validate(stated)
        except ValidationError as error:
            raise CheckpointError(
                f"{metadata.model_path}/metadata.json: recipe.env.limits are not limits",
                hint="save the checkpoint again",
            ) from error
        high = spec.max_weight + _ROUNDING
        return cls(-_ROUNDING if spec.long_only else -high, high, spec.max_gross + _ROUNDING)

    def strained(self, portfolio: Float32Array) -> list[tuple[str, ...]]:
        """Return of each portfolio [N, A + 3] a note where it holds far more than the agent ever would, as per cents would say."""
        held = np.abs(portfolio[:, :-3]).sum(axis=1).tolist()
        return [(_STRAINED.format(gross, self.gross),) if gross > FAR * self.gross else () for gross in held]

    def fit(self, found: Decisions) -> bool:
        """Return whether decisions are portfolios within the limits, and what they carry on is finite."""
        return self.hold(found.weights) and all(map(all_finite, found.states.values()))

    def hold(self, weights: Float32Array) -> bool:
        """Return whether the weights [N, A] are finite and within the limits."""
        if len(weights) == 1:  # for one answer numpy's reductions would take longer than all else but the graph
            row: list[float] = weights[0].tolist()
            return sum(map(abs, row)) <= self.gross and min(row) >= self.low and max(row) <= self.high
        return (
            bool((np.abs(weights).sum(axis=1) <= self.gross).all())  # NaN compares as False, here and above
            and bool(weights.min() >= self.low)
            and bool(weights.max() <= self.high)
        )


@dataclass(frozen=True, eq=False)
class ServedAgent:
    """One version on one stage, ready to answer; replaced whole when the stage changes hands."""

    pointer: Pointer
    policy: OnnxPolicy
    explanation: Explanation
    origin: Origin
    limits: AnswerLimits

    @property
    def metadata(self) -> Metadata:
        return self.policy.metadata

    def predict(self, given: Observations) -> Predictions:
        """Return one answer for each of N observations; UnfitAnswerError where one is not finite or beyond the limits."""
        found = self.policy.act(given.features, given.portfolio, given.states)
        if not self.limits.fit(found):
            if given.states is not None:  # it came from the caller, and a graph can't help what it does to it
                raise InputError("state", "leads to no usable answer", hint="hand back the state of the last answer")
            raise unfit(self.metadata)
        strained = self.limits.strained(given.portfolio)
        return Predictions(
            self.origin,
            found.weights,
            found.states,
            found.spread,
            given.flat_portfolio_assumed,
            given.as_of,
            [(*told, *more) for told, more in zip(given.notes, strained, strict=True)],
        )


def unfit(metadata: Metadata) -> UnfitAnswerError:
    """Return the error for an answer of a version that is no portfolio within its limits."""
    return UnfitAnswerError(
        f"{metadata.model_path}: answers with what is no portfolio within its limits",
        hint="roll back, or promote another version",
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
