"""What makes the suite quicker without a test noticing."""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import pickle
import shutil
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests.sessions
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf
from omegaconf.base import Box, Node

from wealtharena.agents.memory import free_bytes
from wealtharena.config import composition

TOGETHER = "COMPOSED_TOGETHER"  # names the folder in which workers keep compositions for one another
MEMORY = Path("/dev/shm")  # a file system in memory, on Linux
ROOM = 6 << 30  # bytes to be free there and in memory; a run of all tests takes some 200 MB
TEMPORARY = "PYTEST_DEBUG_TEMPROOT"  # where pytest makes the folders of tests; a person's own stands
OURS = "wealtharena-tests-"
FAILED = pytest.StashKey[bool]()


def prepare() -> None:
    """Read and compose each choice of configuration once a process, and look for garbage in what imports leave more seldom.

    Nor is the environment read at every request for a proxy that tests have taken out of it, or a file for a password.
    """
    gc.set_threshold(20_000, 20, 50)
    requests.sessions.get_environ_proxies = lambda url, no_proxy=None: {}
    requests.sessions.get_netrc_auth = lambda url, raise_errors=False: None
    Plugins.instance()  # it loads its own modules anew
    source: Any = SourcesRegistry.instance().resolve("file")
    if not hasattr(source.load_config, "__wrapped__"):
        source.load_config = _once(source.load_config)
        ConfigLoaderImpl._embed_result_config = staticmethod(_once_embedded(ConfigLoaderImpl._embed_result_config))
        ConfigLoaderImpl.load_sweep_config = _once_a_job(ConfigLoaderImpl.load_sweep_config)
        packaged: Any = SourcesRegistry.instance().resolve("pkg")
        for name in ("is_config", "is_group", "load_config"):
            setattr(packaged, name, _once_of_hydra(getattr(packaged, name)))
        Box._re_parent = _re_parented
        ConfigStore.__deepcopy__ = lambda self, memo: self  # copied with each repository else
        defaults_list._create_interpolation_map = _where_needed(defaults_list._create_interpolation_map)
        composition._chosen = functools.cache(_shared(composition._chosen.__wrapped__))
        if sys.version_info < (3, 12):  # later ones know it without looking again at each isinstance
            typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)


def write_to_memory(config: pytest.Config) -> None:
    """Let tests write where no disk has to be waited for: what the product syncs is synced thousands of times.

    What failing tests wrote is left to be looked at until the next run. Where there is no room, a disk is waited for.
    """
    given = config.getoption("basetemp", None) or TEMPORARY in os.environ or "TMPDIR" in os.environ
    if given or not os.access(MEMORY, os.W_OK):
        return
    if min(shutil.disk_usage(MEMORY).free, free_bytes()) < ROOM:
        return
    for left in MEMORY.glob(f"{OURS}*"):
        if not Path("/proc", left.name.removeprefix(OURS)).exists():
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
    folder = MEMORY / f"{OURS}{os.getpid()}"
    folder.mkdir(mode=0o700)
    os.environ[TEMPORARY] = str(folder)

    def leave() -> None:
        if not config.stash.get(FAILED, False):
            shutil.rmtree(folder, ignore_errors=True)

    config.add_cleanup(leave)


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
        loaded = _copied(kept, key, lambda: load(self, config_path))
        loaded.key = key
        return loaded

    return quick


def _once_embedded(embed: Any) -> Any:
    """Return what puts a file's configuration at its place, once for each file that is kept and each place."""
    kept: dict[tuple[Any, ...], bytes] = {}

    @functools.wraps(embed)
    def quick(loaded: Any, package: str | None) -> Any:
        key = (getattr(loaded, "key", None), package)
        if key[0] is None:
            return embed(loaded, package)
        return _copied(kept, key, lambda: embed(loaded, package))

    return quick


def _once_a_job(load: Any) -> Any:
    """Return what composes a job of a grid once for Hydra's look at all of them and for its beginning."""
    kept: dict[tuple[Any, ...], bytes] = {}
    held: list[Any] = []  # so that no other has their identity

    @functools.wraps(load)
    def quick(self: Any, master_config: Any, sweep_overrides: list[str]) -> Any:
        held.append((self, master_config))
        key = (id(self), id(master_config), *sweep_overrides)
        made = _copied(kept, key, lambda: load(self, master_config, sweep_overrides))
        OmegaConf.copy_cache(from_config=master_config, to_config=made)  # moments are all jobs'
        return made

    return quick


def _once_of_hydra(ask: Any) -> Any:
    """Return what answers once for each file of Hydra's own packages, which stay as they are."""
    kept: dict[tuple[Any, ...], bytes] = {}

    @functools.wraps(ask)
    def quick(self: Any, config_path: str) -> Any:
        if not self.path.startswith("hydra."):
            return ask(self, config_path)
        return _copied(kept, (self.provider, self.path, config_path), lambda: ask(self, config_path))

    return quick


def _re_parented(self: Any) -> None:
    """Correct the parents of what lies below, which are right nearly everywhere: each merge asks for the whole tree."""
    content = self.__dict__["_content"]
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else (content,)
    for value in values:
        if not isinstance(value, Node):
            continue
        if value.__dict__["_parent"] is not self:
            value._set_parent(self)
        if isinstance(value, Box):
            _re_parented(value)


def _copied(kept: dict[tuple[Any, ...], bytes], key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """Return a copy of what is kept under a key, made the first time: pickling copies quickest."""
    if key not in kept:
        kept[key] = pickle.dumps(make())
    return pickle.loads(kept[key])


def _shared(compose: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return what composes choices once for all processes of a run of the tests, each of which finds what another has written."""
    if TOGETHER not in os.environ:
        return compose
    folder = Path(os.environ[TOGETHER])

    @functools.wraps(compose)
    def quick(*asked: Any) -> bytes:
        kept = folder / hashlib.sha256(repr(asked).encode()).hexdigest()
        if kept.exists():
            return kept.read_bytes()
        made, own = compose(*asked), kept.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):  # a test may have limited the size of files
            own.write_bytes(made)
            own.replace(kept)
        return made

    return quick


def _where_needed(known_choices: Any) -> Any:
    """Return what gathers the choices so far, which Hydra does at every file and uses where a default's name has one in it."""

    @functools.wraps(known_choices)
    def quick(overrides: Any, defaults: Any, self_added: bool) -> Any:
        return known_choices(overrides, defaults, self_added) if any(d.is_interpolation() for d in defaults) else None

    return quick


def prepare_collected() -> None:
    """Take what was imported out of the collector's sight."""
    gc.collect()
    gc.freeze()
