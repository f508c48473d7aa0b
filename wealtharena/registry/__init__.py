"""Saved agents: verified folders, the gate to production, the history of who stood there."""

from __future__ import annotations

from wealtharena.registry.checkpoints import LoadedCheckpoint, ModelCheckpoint
from wealtharena.registry.probe import Probe
from wealtharena.registry.promotion import promote, rollback, withdraw

__all__ = ["LoadedCheckpoint", "ModelCheckpoint", "Probe", "promote", "rollback", "withdraw"]
