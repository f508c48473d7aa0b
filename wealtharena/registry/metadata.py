"""What a checkpoint says about itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from wealtharena.config.specs.base import Typed
from wealtharena.errors import CheckpointError
from wealtharena.files import NEWER, newer
from wealtharena.registry.names import AGENT_PATTERN, VERSION_PATTERN

MAX_STATE = 1 << 20
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Figures = dict[str, float | int | None]  # measures by name, None where one is not defined
VerdictStatus = Literal["promotable", "unproven", "rejected"]


class _Part(Typed):
    model_config = ConfigDict(frozen=True, extra="allow")


class VerdictInfo(_Part):
    """The evaluation room's judgement, as in run.json."""

    status: VerdictStatus
    reasons: tuple[str, ...] = ()
    evidence: dict[str, Any] = Field(default_factory=dict)


class DataInfo(_Part):
    """The data that the agent was trained on."""

    source: str
    simulated: bool
    fingerprint: str
    start: str | None = None
    end: str | None = None


class TrackRecord(_Part):
    """Equity over the test window, agent beside baselines, thinned out for a chart; each starts at 1."""

    dates: tuple[str, ...] = ()
    equity: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _equal_lengths(self) -> TrackRecord:
        for name, values in self.equity.items():
            if len(values) != len(self.dates):
                raise ValueError(f"track_record.equity[{name}] has {len(values)} values for {len(self.dates)} dates")
        return self


class Recipe(_Part):
    """How observations are made from bars: the specs of training, as plain dicts."""

    asset: dict[str, Any] = Field(default_factory=dict)
    features: dict[str, Any] = Field(default_factory=dict)
    env: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict, description="how bars are judged; empty: the packaged rules")
    tilt: dict[str, Any] | None = Field(default=None, description="TiltSpec of an agent that tilts an anchor")
    anchor_code: str | None = Field(default=None, description="digest of the package that offers the anchor")


SCHEMA_VERSION: Final = 1


class Metadata(_Part):
    """metadata.json of a checkpoint; facts that a caller adds are kept."""

    schema_version: Literal[1] = 1
    agent: str = Field(pattern=AGENT_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    created_at: str
    asset: str
    algo: str
    members: tuple[str, ...] = Field(
        default=(), description="what an ensemble is the mean of: versions, or numbers of networks trained as one"
    )
    symbols: tuple[Name, ...] = Field(min_length=1, max_length=2000)
    feature_names: tuple[Name, ...] = Field(min_length=1, max_length=500)
    window: int = Field(ge=1, le=10_000)
    action: str
    observation_shape: tuple[int, ...]
    action_shape: tuple[int, ...]
    states: dict[str, tuple[int, ...]] = Field(
        default_factory=dict, description="shape of each carried state, without the batch"
    )
    min_history_bars: int = Field(ge=1)
    frequency: str
    data: DataInfo
    simulated: bool
    config_hash: str
    git_sha: str | None = None
    seed: int | None = None
    verdict: VerdictInfo
    metrics: dict[str, Figures] = Field(default_factory=dict)
    baselines: dict[str, Figures] = Field(default_factory=dict)
    comparison: dict[str, dict[str, Any]] = Field(default_factory=dict)
    challenge: dict[str, Any] | None = Field(
        default=None, description="a retraining against its incumbent, see retrain.Challenge"
    )
    recipe: Recipe = Recipe()
    recorded_at: str | None = Field(default=None, description="bar of the last recorded observation")
    track_record: TrackRecord = TrackRecord()

    @model_validator(mode="after")
    def _consistent(self) -> Metadata:
        if self.simulated != self.data.simulated:
            raise ValueError("simulated and data.simulated must say the same")
        if len(self.states) > 16 or any(
            math.prod(shape) > MAX_STATE or min((1, *shape)) < 1 for shape in self.states.values()
        ):
            raise ValueError(f"states must be at most 16 of at most {MAX_STATE} numbers each")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols must be distinct")
        return self

    @property
    def model_path(self) -> str:
        return f"{self.agent}/{self.version}"


def parse_metadata(content: Mapping[str, Any], *, where: str) -> Metadata:
    """Return the typed metadata; CheckpointError names `where` and the first wrong field, or says that it is newer."""
    if wrong := newer(content, known=SCHEMA_VERSION):
        raise CheckpointError(f"{where} {wrong}", hint=NEWER)
    try:
        return Metadata.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"] if part != "float") or "metadata"  # of Figures, no field
        raise CheckpointError(f"{where}: {field}: {first['msg']}", hint="save the checkpoint again") from error
