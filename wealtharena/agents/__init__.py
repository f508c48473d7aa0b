"""Algorithms (one file each), networks, rollouts and the Policy interface; torch and ray are imported by use only."""

from wealtharena.agents.engine import check_action

__all__ = ["check_action"]
