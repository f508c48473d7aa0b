"""Which version this code is."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path


def version() -> str:
    """Return the version that a checkout says, which may be newer than what was installed from it; else the installed one."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    if project.is_file():
        said = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if said.get("name") == "wealtharena":
            return str(said["version"])
    return importlib.metadata.version("wealtharena")
