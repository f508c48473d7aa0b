"""Plugins for WealthArena, one of each kind but a tracker; pyproject.toml says which is found where."""
