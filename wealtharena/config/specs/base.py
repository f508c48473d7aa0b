"""The base of all typed configuration."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError


class Spec(BaseModel):
    """A frozen, fully typed piece of configuration; unknown keys, NaN and infinity are refused.

    Types, ranges and units stand in the spec; default values stand in `conf/` only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RefusedBlocksError(ValueError):
    """What specs of their own say against blocks of a mapping: by the block's name the spec and its complaints."""

    def __init__(self, blocks: Mapping[str, tuple[type[BaseModel], ValidationError]]) -> None:
        super().__init__(", ".join(blocks))
        self.blocks = blocks
