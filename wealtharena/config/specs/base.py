"""The base of all typed configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen, fully typed piece of configuration; unknown keys, NaN and infinity are refused.

    Types, ranges and units stand in the spec; default values stand in `conf/` only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
