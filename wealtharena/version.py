"""The version of the code that runs."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path


def version() -> str:
    """Return the version that a checkout says it is, whatever was installed when it was an older one; elsewhere the installed one."""
    try:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        project = {}
    own = project.get("name") == "wealtharena"
    return str(project["version"]) if own else importlib.metadata.version("wealtharena")
