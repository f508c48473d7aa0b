"""Hydra's composition from the packaged conf, with or without its command line around it."""

from __future__ import annotations

import importlib.util
import pickle
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wealtharena.config.paths import conf_dir, conf_dirs, refuse_unread, sweeps_dir
from wealtharena.config.preset_files import preset_files, with_preset_files
from wealtharena.config.specs.asset import UniverseSpec
from wealtharena.config.spelling import key_of
from wealtharena.errors import ConfigError

PRIMARY = "config"  # conf/config.yaml
_ONE_AT_A_TIME = threading.RLock()  # Hydra keeps what it composes for in one place for all threads


def compose_raw(overrides: Sequence[str] = ()) -> DictConfig:
    """Return the composed, untyped configuration; a running Hydra job is left as it is.

    Raises:
        HydraException: an override does not fit conf/.
    """
    quick = _with_values(overrides)
    return _by_hydra(tuple(overrides)) if quick is None else quick


def _by_hydra(overrides: Sequence[str]) -> DictConfig:
    with composing(overrides) as prepared:
        return hydra.compose(PRIMARY, overrides=prepared)


def _with_values(overrides: Sequence[str]) -> DictConfig | None:
    """Return what Hydra composes, made from its composition of the same choices; None where it must do it, or refuses.

    Choosing files takes Hydra a fifth of a second, setting values a hundredth of one: the jobs of a grid and the trials
    of a search differ in values alone.
    """
    split = _choices_and_values(overrides)
    if split is None:
        return None
    choices, values = split
    cfg = cast(DictConfig, pickle.loads(_chosen(choices, conf_dirs(), _versions(conf_dirs()[1:]))))
    try:
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    except OmegaConfBaseException:
        return None  # Hydra puts it in words of its own
    return cfg


@lru_cache(maxsize=64)
def _chosen(choices: tuple[str, ...], roots: tuple[Path, ...], versions: tuple[tuple[str, int], ...]) -> bytes:
    """Return Hydra's composition of some choices below `roots`, conf/ and what was added, pickled: a copy comes quickest that way.

    `versions` are those of the added files: whoever works in a notebook mends them meanwhile.
    """
    return pickle.dumps(_by_hydra(choices))


def _choices_and_values(overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]] | None:
    """Return the overrides that choose files and those that set values; None where one does anything else."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return None
    choices: list[str] = []
    values: list[Override] = []
    for item in parsed:
        plain = item.type is OverrideType.CHANGE and item.package is None and not item.is_sweep_override()
        if not plain or item.key_or_group.startswith("hydra"):
            return None
        if item.key_or_group not in group_names(conf_dirs()):
            values.append(item)
        elif isinstance(item.value(), str) and not str(item.value()).endswith(".yaml"):  # a file may have changed
            choices.append(str(item.input_line))
        else:
            return None
    return tuple(choices), values


def _versions(roots: Sequence[Path]) -> tuple[tuple[str, int], ...]:
    return tuple((str(path), path.stat().st_mtime_ns) for root in roots for path in sorted(root.rglob("*.yaml")))


@lru_cache(maxsize=4)
def group_names(roots: tuple[Path, ...]) -> frozenset[str]:
    """Return the names of the groups below `roots`, which are those of `conf_dirs()`."""
    return frozenset(groups())


@contextmanager
def composing(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield the overrides as Hydra can take them, with Hydra ready to compose conf/ beside a running job."""
    with _ONE_AT_A_TIME:
        prepare()
        prepared = with_preset_files(overrides)
        with _beside_a_job(), hydra.initialize_config_dir(str(conf_dir()), version_base="1.3", job_name="wealtharena"):
            yield prepared


def check_search_path(overrides: Sequence[str]) -> None:
    """Raise ConfigError where `hydra.searchpath` names what is not there: Hydra warns and composes without it.

    So it does where a file there has the name of one of ours: ours would be read in its place.
    """
    for place in _search_path(overrides):
        if not _is_source(place):
            raise ConfigError(
                f"hydra.searchpath: {place} is no folder of configuration",
                hint="name one that is there, as in 'hydra.searchpath=[file://<folder>]'; or --config-dir <folder>",
            )
    for folder in searched_folders(overrides):
        refuse_unread(folder)


def searched_folders(overrides: Sequence[str]) -> list[Path]:
    """Return the folders that `hydra.searchpath` names, those of packages too where they lie in one."""
    named = (
        _of_package(place.removeprefix("pkg://")) if place.startswith("pkg:") else place.removeprefix("file://")
        for place in _search_path(overrides)
    )
    return [Path(place).absolute() for place in named if place is not None and Path(place).is_dir()]


def _of_package(name: str) -> str | None:
    try:
        found = importlib.util.find_spec(name.replace("/", "."))
    except (ImportError, ValueError):
        return None
    return None if found is None else next(iter(found.submodule_search_locations or ()), None)


def without_search_path(overrides: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return the overrides without `hydra.searchpath`, and the folders that it names.

    Hydra keeps it for this composition alone: a resumed run, the jobs of a grid and the trials of a search know of no
    folders but those of `--config-dir`.

    Raises:
        ConfigError: it names what is not there, or what is no folder.
    """
    check_search_path(overrides)
    folders = searched_folders(overrides)
    if len(folders) < len(places := list(_search_path(overrides))):
        raise ConfigError(
            f"hydra.searchpath=[{','.join(places)}] names what is no folder: a resumed run, a grid and a search could not read it",
            hint="lay the files in a folder and name it by --config-dir <folder>",
        )
    rest = [word for word in overrides if not list(_search_path([word]))]  # what names none is Hydra's to refuse
    return rest, folders


def _search_path(overrides: Sequence[str]) -> Iterator[str]:
    for word in overrides:
        if key_of(word) != "hydra.searchpath" or word.startswith("~"):
            continue
        try:
            named = OverridesParser.create().parse_override(word).value()
        except HydraException:
            continue  # Hydra says it better
        yield from map(str, named if isinstance(named, list) else [named])


def _is_source(place: str) -> bool:
    scheme, parts, _ = place.partition("://")
    Plugins.instance()  # none is registered before: --help asks first of all
    try:
        source = SourcesRegistry.instance().resolve(scheme if parts else "file")
    except ValueError:
        return False
    return bool(source("hydra.searchpath", place).available())


@contextmanager
def _beside_a_job() -> Iterator[None]:
    """Hide the Hydra that runs this process, if one does: it refuses a second one."""
    running, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running


@cache
def prepare() -> None:
    """Make Hydra ready for conf/: the `run_id` resolver, every file of sweeps/ as a choice, and others' folders of groups."""
    Plugins.instance().register(OthersGroups)
    OmegaConf.register_new_resolver("run_id", lambda: secrets.token_hex(3), use_cache=True, replace=True)
    store = ConfigStore.instance()
    for path in sorted(sweeps_dir().glob("*.yaml")):
        store.store(group="sweep", name=path.stem, node=OmegaConf.load(path), provider="sweeps")


@contextmanager
def known_mode(argv: Sequence[str]) -> Iterator[None]:
    """Spare Hydra's command line its first composition, a fifth of a second, where nothing could answer what it looks for.

    That is `hydra.mode`, which files and overrides seldom set.
    """
    if any("hydra.mode" in word for word in argv) or _sets_a_mode(conf_dirs(), argv):
        yield
        return
    asked, Hydra.get_mode = Hydra.get_mode, lambda *asked, **with_names: None  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        Hydra.get_mode = asked  # type: ignore[method-assign]  # Hydra's own again


def _sets_a_mode(roots: Sequence[Path], argv: Sequence[str]) -> bool:
    """Return whether a file that Hydra might take has a block of Hydra's with a key `mode`."""
    presets = [path for word in argv if word.startswith("experiment=") for path in preset_files(word)]
    files = [*(path for root in roots for path in root.rglob("*.yaml")), *presets]
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in files if path.is_file())
    return any("hydra:" in text and "mode:" in text[text.index("hydra:") :] for text in texts)


class OthersGroups(SearchPathPlugin):
    """Lets Hydra find the groups of packages and of `--config-dir`, after our own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append every further folder."""
        for folder in conf_dirs()[1:]:
            search_path.append("wealtharena", f"file://{folder}")


def job_overrides() -> tuple[str, ...]:
    """Return the overrides of the Hydra job under way; nothing outside one."""
    if not HydraConfig.initialized():
        return ()
    written = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)  # `${...}` stays as it was typed
    return tuple(cast("list[str]", written))


def grid_name() -> str | None:
    """Return the name of the grid whose job is under way, the same for all its jobs; None outside one."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name


def groups() -> dict[str, tuple[str, ...]]:
    """Return the choices of every group of conf/, sweeps/ included, and of the folders that packages and people add."""
    found: dict[str, set[str]] = {}
    for root in conf_dirs():
        for path in root.rglob("*.yaml"):
            group = path.parent.relative_to(root).as_posix()
            if group != "." and not group.startswith(("hydra", "options")):
                found.setdefault(group, set()).add(path.stem)
    found.setdefault("sweep", set()).update(path.stem for path in sweeps_dir().glob("*.yaml"))
    return {group: tuple(sorted(choices)) for group, choices in sorted(found.items())}


def members_of(universe: UniverseSpec) -> tuple[str, ...]:
    """Return the symbols that were chosen on the universe's date: those of the file of its name, whatever a run has added."""
    return tuple(_in_its_file(universe, "symbols") or universe.symbols)


def chosen_on(universe: UniverseSpec) -> str:
    """Return the date on which the members were chosen, as 2025-01-02: that of the file of its name where a run says an earlier one."""
    return max(universe.universe_as_of, str(_in_its_file(universe, "universe_as_of") or ""))


def _in_its_file(universe: UniverseSpec, key: str) -> Any:
    """Return what the file of a universe's name says, None where there is no such file or it does not say."""
    for root in conf_dirs():
        path = root / "universe" / f"{universe.name}.yaml"
        if path.is_file() and (said := OmegaConf.select(_read(path, path.stat().st_mtime_ns), key)):
            return said
    return None


@lru_cache(maxsize=64)
def _read(path: Path, version: int) -> Any:
    """Return what a file says, read once for each of its versions: of a universe several facts are asked for, at each load."""
    return OmegaConf.load(path)


def defaults_for(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the dotted keys and values of conf/ for the groups that the overrides choose, their values left out.

    Choices that do not exist are passed over, so that there is something to compare a mistake with.
    """
    known = groups()
    choices = tuple(item for item in overrides if item.partition("=")[2] in known.get(item.partition("=")[0], ()))
    return _defaults(choices)


@cache
def _defaults(choices: tuple[str, ...]) -> dict[str, Any]:
    for attempt in (choices, ()):
        try:
            return flatten(OmegaConf.to_container(compose_raw(attempt), resolve=True))
        except (HydraException, OmegaConfBaseException):
            continue
    return {}


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return `{"a.b": value}` of nested mappings; inner nodes stand beside their leaves."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat[path] = value
        if isinstance(value, dict):
            flat |= flatten(value, f"{path}.")
    return flat


def overlaid(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `base` with those of `changes`, block by block."""
    found = dict(base)
    for name, value in changes.items():
        inner = found.get(name)
        found[name] = overlaid(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return found


def literal(value: Any) -> str:
    """Return a value as one would type it in an override."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{literal(item)}" for key, item in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
