"""What a worker of the REST service is told, as one line of JSON in its environment."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from wealtharena.errors import ConfigError

VARIABLE = "WEALTHARENA_SERVE"


class Settings(BaseModel):
    """One server's settings; every path is absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoints: Path
    keys_file: Path
    keyed: bool  # keys were in force when the server started
    runtime: Path  # a folder that the workers share while the server lives
    rate_per_minute: int
    connections_per_address: int
    max_body_bytes: int
    max_batch: int
    max_stale_bars: int
    poll_seconds: float
    audit_file: Path | None
    paper: Path | None = None  # folder of the accounts that the trading view shows

    @classmethod
    def from_environment(cls) -> Settings:
        """Return what the parent process put into the environment; ConfigError where it put nothing."""
        text = os.environ.get(VARIABLE)
        if not text:
            raise ConfigError(f"{VARIABLE} is not set", hint="start the service with task=serve")
        return cls.model_validate_json(text)
