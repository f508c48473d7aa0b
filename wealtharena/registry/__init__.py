"""Saved agents: verified folders, the gate to production, the history of who stood there."""

from __future__ import annotations

from wealtharena.registry.checkpoints import LoadedCheckpoint, ModelCheckpoint
from wealtharena.registry.promotion import promote, rollback, withdraw
from wealtharena.registry.recording import Recording

__all__ = ["LoadedCheckpoint", "ModelCheckpoint", "Recording", "promote", "rollback", "withdraw"]
