"""A run directory belongs to one run: a folder that holds one is never begun again without being asked to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wealtharena.config.identity import left_in, refuse_used
from wealtharena.config.problems import UNREADABLE, composition_error
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.files import make_folder

_RECORDS = ".hydra"  # of a run directory: its configuration and its overrides
_SERVICE = "serve"  # keeps no run, so that its folder may be read-only, and several services' one
_NUMBERED = "${hydra.job.num}"
_HELD: dict[Path, filelock.FileLock] = {}  # folders, from before Hydra writes a file until the job holds its own
_GRID: list[Path] = []  # the folder of the one that this process has begun
_OF_THE_GRID = re.compile(r"\$\{(?:now|run_id):[^{}]*\}")  # the same for all its jobs


class Refused(BaseException):
    """Carries an error out of a Hydra callback: Hydra turns every `Exception` of a callback into a warning."""

    def __init__(self, error: WealthArenaError) -> None:
        super().__init__(str(error))
        self.error = error


class UsedFolders(Callback):
    """Refuses, before Hydra writes a file, a folder in which another run or grid stands, or that nobody has named."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a used run directory, unless the run in it is to go on."""
        with _refusing():
            _check_named(config, "hydra.run.dir")
            _check_below(config, "hydra.output_subdir")
            _check_kept(config)
            folder = Path(str(config.hydra.run.dir))
            if config.resume is None:
                refuse_used(folder, f"hydra.run.dir={folder}", name=str(folder))
                _hold(config, folder)
            else:
                _check_typed(config, folder)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Let go of a folder that the job had no use for."""
        let_go(Path(str(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse the folder of a grid in which jobs stand, and a job whose folder is used or another job's too."""
        with _refusing():
            _check_named(config, "hydra.sweep.dir")
            _check_below(config, "hydra.output_subdir")
            _check_kept(config)
            folder = Path(str(config.hydra.sweep.dir))
            _check_typed(config, folder)
            _check_no_grid(folder)
            if not _numbered(config):
                _check_places(config)
            _hold(config, folder)
            _GRID.append(folder.resolve())

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Let go of the folder of the grid."""
        let_go(Path(str(config.hydra.sweep.dir)))


def held_by_another(folder: Path) -> ConfigError:
    """Return the error for a folder in which another process is at work."""
    return ConfigError(
        f"another process is at work in {folder}", hint="wait until it has ended, or choose another folder"
    )


def handed_over(folder: Path) -> filelock.FileLock | None:
    """Return the lock by which this process holds a folder since before Hydra wrote there, once; it is the caller's then."""
    return _HELD.pop(folder.resolve(), None)


def grid_folder() -> Path | None:
    """Return the folder of the grid that this process has begun; None where it has come to none."""
    return _GRID[-1] if _GRID else None


def let_go(folder: Path) -> None:
    """Hold a folder no longer that nobody has taken over, and leave no trace of that."""
    if (lock := handed_over(folder)) is not None:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
            lock.release()


def _hold(config: DictConfig, folder: Path) -> None:
    """Hold a folder for this process, or raise ConfigError where another is at work: Hydra would write over how that was called.

    One that cannot be made or held is left to those who write there: they say why.
    """
    if config.task == _SERVICE or folder.resolve() in _HELD:
        return
    lock = filelock.FileLock(folder / ".lock")
    try:
        make_folder(folder)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise held_by_another(folder) from error
    except OSError:
        return
    _HELD[folder.resolve()] = lock


@contextmanager
def _refusing() -> Iterator[None]:
    """Carry what is wrong out of a callback, also where Hydra cannot compose or fill in what is asked for."""
    try:
        yield
    except ConfigError as error:
        raise Refused(error) from error
    except (HydraException, OmegaConfBaseException, *UNREADABLE) as error:
        raise Refused(composition_error(error, ())) from error


def _check_named(config: DictConfig, key: str) -> None:
    """Raise ConfigError where a folder is no word: Hydra would take the working folder for it."""
    if not str(OmegaConf.select(config, key) or "").strip():
        raise ConfigError(f"{key} is empty", hint=f"name a folder, or leave {key}= out; {key}=. is the working folder")


def _check_below(config: DictConfig, key: str) -> None:
    """Raise ConfigError where a folder of a run would stand outside its run directory, or of a job outside its grid's."""
    value = OmegaConf.select(config, key)
    place = Path(str(value))
    if value is not None and (place.is_absolute() or ".." in place.parts):
        raise ConfigError(
            f"{key}={value} leads out of its folder", hint="name a folder below it, without / before or .."
        )


def _check_kept(config: DictConfig) -> None:
    """Raise ConfigError where a run would not keep how it was called where it is looked for: nobody could go on with it."""
    value = config.hydra.output_subdir
    if config.task == _SERVICE:
        return
    if config.resume is None and value != _RECORDS:
        raise ConfigError(
            f"hydra.output_subdir={'null' if value is None else value}: how a run was called is looked for in {_RECORDS}",
            hint="leave hydra.output_subdir= out; hydra.run.dir=<folder> names the run directory",
        )


def _check_typed(config: DictConfig, folder: Path) -> None:
    """Raise ConfigError where a run is to go on in a folder that is not its own: `resume` was no word of the command line."""
    if config.resume is not None and Path(str(config.resume)).resolve() != folder.resolve():
        raise ConfigError(
            f"resume={config.resume} stands in a file, and the folder is {folder}",
            hint="type resume=<run directory> as a word of the command line, without -m",
        )


def _check_no_grid(folder: Path) -> None:
    """Raise ConfigError where jobs stand in the folder of a grid, also such as have lost their run.json."""
    held = sorted(path.parent.name for path in folder.glob("*/run.json"))
    if held:
        raise ConfigError(
            f"hydra.sweep.dir={folder} already holds {len(held)} jobs of a grid",
            hint=f"go on with one by resume={folder / held[0]}, or choose another folder",
        )
    for job in sorted(path.parent for path in folder.glob("*/.hydra")):
        if left_in(job):
            refuse_used(job, f"the folder of a job, {job},", name=str(job))


def _numbered(config: DictConfig) -> bool:
    """Return whether jobs stand in one folder by their numbers, as they do unless asked otherwise."""
    sweep = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    assert isinstance(sweep, dict)
    return sweep["subdir"] == _NUMBERED and "${" not in _OF_THE_GRID.sub("", str(sweep["dir"]))


def _check_places(config: DictConfig) -> None:
    """Raise ConfigError where two jobs of a grid have one folder, or one of them a folder that holds a run."""
    taken: dict[Path, str] = {}
    for words, place in _places(config):
        own = place.resolve()
        if own in taken:
            raise ConfigError(
                f"the jobs {taken[own]} and {words} have one folder, {place}",
                hint=f"leave hydra.sweep.subdir out, or part them by hydra.sweep.subdir='...-{_NUMBERED}'",
            )
        taken[own] = words
        refuse_used(place, f"the folder of the job {words}, {place},", name=str(place))


def _places(config: DictConfig) -> Iterator[tuple[str, Path]]:
    """Yield the overrides and the folder of each job, as a launcher will have them; nothing of a foreign sweeper's."""
    sweeper = config.hydra.sweeper
    if not str(sweeper.get("_target_", "")).endswith(f".{BasicSweeper.__name__}"):
        return
    loader = GlobalHydra.instance().config_loader()
    words = [f"{key}={value}" for key, value in (sweeper.params or {}).items()] + list(config.hydra.overrides.task)
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(words)
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    for number, job in enumerate(jobs):
        own = loader.load_sweep_config(config, list(job))
        own.hydra.job.id = own.hydra.job.num = number
        with _as_job(own):
            _check_named(own, "hydra.sweep.dir")
            _check_below(own, "hydra.sweep.subdir")
            yield " ".join(job), Path(str(own.hydra.sweep.dir), str(own.hydra.sweep.subdir))


@contextmanager
def _as_job(config: DictConfig) -> Iterator[None]:
    """Let `${hydra:...}` mean this job, as it will when the job begins."""
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.set_config(config)
    try:
        yield
    finally:
        hydra.cfg = before
