"""Plugins for WealthArena, one of each kind; pyproject.toml says which is found where."""
