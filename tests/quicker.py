"""What makes the suite quicker without a test noticing."""

from __future__ import annotations

import functools
import gc
import pickle
from pathlib import Path
from typing import Any

import requests.sessions
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins

from wealtharena.config import composition


def prepare() -> None:
    """Read and compose each choice of configuration once a process, and look for garbage in what imports leave more seldom.

    Nor is the environment read at every request for a proxy that tests have taken out of it.
    """
    gc.set_threshold(20_000, 20, 50)
    requests.sessions.get_environ_proxies = lambda url, no_proxy=None: {}
    Plugins.instance()  # it loads its own modules anew
    source: Any = SourcesRegistry.instance().resolve("file")
    if not hasattr(source.load_config, "__wrapped__"):
        source.load_config = _once(source.load_config)
        composition._chosen = functools.cache(composition._chosen.__wrapped__)


def _once(load: Any) -> Any:
    kept: dict[tuple[Any, ...], bytes] = {}

    @functools.wraps(load)
    def quick(self: Any, config_path: str) -> Any:
        path = Path(self.path, self._normalize_file_name(config_path))
        try:
            facts = path.stat()
        except OSError:
            return load(self, config_path)  # which says so in words of its own
        key = (self.provider, self.path, config_path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if key not in kept:
            kept[key] = pickle.dumps(load(self, config_path))
        return pickle.loads(kept[key])

    return quick


def prepare_collected() -> None:
    """Take what was imported out of the collector's sight."""
    gc.collect()
    gc.freeze()
