"""The command line around a job: help, resume, Hydra, and errors that people can read."""

from __future__ import annotations

import functools
import io
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wealtharena.config import flags, grid, machine, plugins, speech
from wealtharena.config.answers import answering, answering_by_hydra
from wealtharena.config.choices import check_choices
from wealtharena.config.composition import (
    PRIMARY,
    grid_name,
    known_mode,
    prepare,
    without_search_path,
)
from wealtharena.config.ending import WHY, Codes, keep_why, show
from wealtharena.config.folders import Refused, grid_folder, let_go
from wealtharena.config.help import help_text
from wealtharena.config.identity import has_state, refuse_other_settings
from wealtharena.config.paths import conf_dir, own_config_dirs, use_config_dirs
from wealtharena.config.preset_files import with_preset_files
from wealtharena.config.problems import UNREADABLE, composition_error
from wealtharena.config.resume import resumed_argv
from wealtharena.config.signals import ctrl_c_heard, hear_ctrl_c, let_ctrl_c_end, sigterm_as_ctrl_c
from wealtharena.config.spelling import command_line, going_on, key_of, list_of, plain, with_quoted_paths
from wealtharena.config.threads import set_threads, thread_variables
from wealtharena.errors import ConfigError, Interrupted, UsedFolderError, WealthArenaError
from wealtharena.files import NO_LOCKS, NO_ROOM, relative, tell, temporary_folder
from wealtharena.version import version

Job = Callable[[DictConfig], int]
_OF_A_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def launch(job: Job) -> Callable[[], int]:
    """Return the command that runs `job` under Hydra and returns the exit code of the worst of its jobs.

    An expected error is one line on stderr and its exit code, 2 for a wrong configuration, and so is what came up in a plugin
    of a package; anything else keeps its traceback. With HYDRA_FULL_ERROR=1 every error does.
    """

    @functools.wraps(job)
    def command() -> int:
        argv = sys.argv[1:]
        _open_streams()
        logging.raiseExceptions = (
            False  # what a logger cannot say, since its reader has gone, has a traceback otherwise
        )
        machine.keep_room_to_speak()
        machine.name_a_home()
        machine.be_no_client()
        try:
            hear_ctrl_c()
            said = _said(argv)
            if said is None:
                with ctrl_c_heard():
                    return _run(job, argv)
            with answering():
                print(said)  # noqa: T201  # answers are what stdout is for
            return 0
        except WealthArenaError as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            return show(error)
        except KeyboardInterrupt:
            return show(Interrupted("interrupted"))
        except Exception as error:  # Hydra's and the system's are told in a line, all others end in their traceback
            told = _expected(error)
            if told is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            return show(told)
        finally:
            let_ctrl_c_end()

    return command


def _open_streams() -> None:
    """Give the process its standard streams where it was started without (`>&-`): its files would have their numbers.

    A letter that an encoding lacks (`>log.txt` on Windows, LC_ALL=de_DE.ISO-8859-1) is written as an escape, and ends no run.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  # as long as the process
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _said(argv: Sequence[str]) -> str | None:
    """Return the answer to a question about the command itself; None where there is a job to do."""
    if "--help" in argv or "-h" in argv:
        _without_search_path(_without_config_dir(argv))
        return help_text(sys.argv[0], argv)
    return f"wealtharena {version()}" if "--version" in argv else None


def _run(job: Job, argv: Sequence[str]) -> int:
    argv = plain(argv)
    speech.use("json" if "log=json" in argv else "text")
    prepare()
    argv = _without_search_path(_without_config_dir(argv))
    check_choices(argv)  # --cfg too, which has no job
    if _is_grid(argv):
        _refuse_grid_of(argv)
    argv = resumed_argv(argv)
    try:
        argv = with_preset_files(argv)
    except yaml.YAMLError as error:
        raise composition_error(error, argv) from error
    argv = flags.in_front(with_quoted_paths(argv, grid=_is_grid(argv)))
    if not _is_grid(argv):
        return _run_hydra(job, argv, Codes())
    grid.check_launcher(argv)
    argv = grid.check(argv)
    quiet = any(item.lower() in ("quiet=true", "quiet=1") for item in argv)
    if (quiet or speech.as_json()) and not any(item.startswith("hydra/hydra_logging=") for item in argv):
        argv = [*argv, "hydra/hydra_logging=disabled"]  # the launcher's own lines are no objects, nor answers
    with sigterm_as_ctrl_c(), temporary_folder("codes") as folder:
        return _run_grid(job, argv, Codes(folder))


def _without_config_dir(argv: Sequence[str]) -> list[str]:
    """Return the arguments without `--config-dir`, which workers of a grid and of Ray learn from the environment."""
    rest: list[str] = []
    folders: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag not in ("--config-dir", "-cd"):
            rest.append(word)
            continue
        folders.append(value if equals else next(words, ""))
        if not folders[-1]:
            raise ConfigError("--config-dir names no folder", hint="try --config-dir my_conf")
    if folders:
        use_config_dirs(folders)
    return rest


def _without_search_path(argv: Sequence[str]) -> list[str]:
    """Return the arguments without `hydra.searchpath`, whose folders are from here on those of `--config-dir`."""
    rest, folders = without_search_path(argv)
    if folders:
        use_config_dirs([*own_config_dirs(), *folders])
    return rest


def _run_grid(job: Job, argv: Sequence[str], codes: Codes) -> int:
    """Run the jobs of a grid; of one that is stopped it is said how its jobs are seen and gone on with."""
    try:
        code = _run_hydra(job, argv, codes)
    except KeyboardInterrupt:
        raise Interrupted("interrupted", hint=_left_by_jobs(argv)) from None
    if set(codes.all()) == {ConfigError.exit_code}:
        _forget_jobs()
    if code == Interrupted.exit_code and (left := _left_by_jobs(argv)) and not speech.as_json():
        tell(f"{left[0].upper()}{left[1:]}", sys.stderr)
    return code


def _forget_jobs() -> None:
    """Remove the folders of the jobs of a grid that were all refused: it may be asked for again, mended, under the same name."""
    folder = grid_folder()
    for why in list(folder.rglob(str(WHY))) if folder is not None else ():
        job = why.parents[1]
        if not any(_says_more(entry) for entry in job.iterdir()):
            shutil.rmtree(job)


def _left_by_jobs(argv: Sequence[str]) -> str:
    """Return how what the jobs of a stopped grid of trainings have left is seen and gone on with; nothing where none had begun."""
    folder, others = grid_folder(), [word for word in argv if key_of(word) == "task" and word != "task=train"]
    if folder is None or others or not any(folder.rglob("run.json")):
        return ""
    seen = command_line(["task=compare", f"compare.runs={list_of([relative(folder)])}"])
    return f"what the jobs of the grid have come to is told by: {seen}; each that was stopped goes on by resume=<its folder>"


def _run_hydra(job: Job, argv: Sequence[str], codes: Codes) -> int:
    threads = thread_variables()
    full_error = os.environ.get("HYDRA_FULL_ERROR")
    begun = False

    @hydra.main(config_path=str(conf_dir()), config_name=PRIMARY, version_base="1.3")
    def run(cfg: DictConfig) -> None:
        nonlocal begun
        begun = True
        _set_variable("HYDRA_FULL_ERROR", full_error)
        for name, value in threads.items():  # a launcher sets its own
            _set_variable(name, value)
        code = _job(job, cfg, codes, full_error == "1")
        codes.add(code)
        _set_variable("HYDRA_FULL_ERROR", "1")
        if code == Interrupted.exit_code:
            raise SystemExit(code)  # the jobs that have not begun are left out

    with _arguments(argv), _own_errors(full_error), known_mode(argv):
        try:
            with answering_by_hydra(argv):
                run()
        except Refused as refused:
            raise refused.error from None
        except (HydraException, OmegaConfBaseException, *UNREADABLE) as error:
            if full_error == "1" or (begun and isinstance(error, UNREADABLE)):
                raise
            raise composition_error(error, [item for item in argv if not item.startswith("-")]) from error
        except OSError as error:
            if error.errno in NO_ROOM:  # of what Hydra writes: how the job, or the grid, was called
                raise machine.no_room(
                    error, "multirun.yaml" if _is_grid(argv) else ".hydra/ in the run directory"
                ) from error
            if codes.all() or not error.filename:
                raise
            raise ConfigError(
                f"cannot write the run directory {error.filename}: {error.strerror}",
                hint=f"choose another with hydra.{'sweep' if _is_grid(argv) else 'run'}.dir=<folder>",
            ) from error
        except BrokenProcessPool as error:
            raise WealthArenaError(
                "the process of a job was killed, most likely by the system for want of memory; the others were stopped",
                hint="; ".join(filter(None, ("lower hydra.launcher.n_jobs", _left_by_jobs(argv)))),
            ) from error
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    for line in codes.repeated():
        tell(line, sys.stderr)
    return max(codes.all(), default=0)


def _job(job: Job, cfg: DictConfig, codes: Codes, full_error: bool) -> int:
    set_threads(_requested_threads(cfg))
    try:
        if cfg.resume is not None:
            refuse_other_settings(cfg, Path(cfg.resume))
        machine.require_addresses(str(cfg.task))
        return job(cfg)
    except WealthArenaError as error:
        if full_error:
            raise
        _refuse(error, cfg)
        return codes.show(error)
    except KeyboardInterrupt:
        return show(_interrupted(Path(HydraConfig.get().runtime.output_dir)))
    except SystemExit as stop:
        ended = plugins.failure(stop)
        if stop.code and ended is None:
            raise
        if ended is None:
            where = "something that it called left it by SystemExit, a module of your own"
            ended = WealthArenaError(f"the job has not come to its end: {where}", hint="raise an error there instead")
        if full_error:
            raise ended from stop
        return codes.show(ended)
    except Exception as error:  # as in `command`
        told = _expected(error)
        if told is None or full_error:
            raise
        _refuse(told, cfg)
        return codes.show(told)


def _refuse(error: WealthArenaError, cfg: DictConfig) -> None:
    """Remove the folder of a job that was refused; one of a grid of trainings stays, since its leaderboard tells of each."""
    if isinstance(error, UsedFolderError):
        return
    if grid_name() is not None and cfg.task == "train":
        keep_why(error)
    elif isinstance(error, ConfigError):
        forget_run()


def _interrupted(folder: Path) -> Interrupted:
    """Return what a job ends with that was stopped at once, with the command that goes on with what its folder has kept."""
    return Interrupted("interrupted", hint=f"go on with: {going_on(folder)}" if has_state(folder) else "")


def _expected(error: Exception) -> WealthArenaError | None:
    """Return the error for what a machine, a plugin or an installation without all of its packages brings; None for a fault of ours."""
    return machine.of_the_machine(error) or plugins.failure(error) or not_installed(error)


def not_installed(error: Exception) -> ConfigError | None:
    """Return the error for a package that a module of ours imports and that is not there; None for any other exception."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    package, frames = error.name.partition(".")[0], traceback.walk_tb(error.__traceback__)
    names = [str(frame.f_globals.get("__name__", "")) for frame, _ in frames]
    asking = [name for name in names if "importlib" not in name]  # whose line it was
    if package == "wealtharena" or not asking or not asking[-1].startswith("wealtharena."):
        return None
    return ConfigError(
        f"this needs {package}, which is not installed here",
        hint="install wealtharena with all that it depends on; `--group serve` and the service's image have what task=serve needs alone",
    )


def forget_run() -> None:
    """Remove the folder of a job that was refused, or only asked: it holds no more than records of how it was called.

    So do empty files and folders, which were made for what did not begin. A folder in which anything else stands, or that
    belongs to an earlier run or to a process at work, is left as it is.
    """
    if not HydraConfig.initialized() or HydraConfig.get().output_subdir != ".hydra":  # a resumed run writes none
        return
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not folder.is_dir() or any(_says_more(entry) for entry in folder.iterdir()):
        return
    let_go(folder)
    try:
        filelock.FileLock(folder / ".lock").acquire(timeout=0).lock.release()
    except OSError as error:  # held, which is a TimeoutError, or another's
        if error.errno not in NO_LOCKS:
            return
    shutil.rmtree(folder)
    if _OF_A_DAY.fullmatch(folder.parent.name):  # Hydra's own; another may be one that somebody has made, and works in
        with suppress(OSError):  # unless other runs stand in it; and outputs/ if it was the first day
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def _says_more(entry: Path) -> bool:
    """Return whether an entry of a run's folder holds more than how the run was called."""
    if entry.name in (".hydra", "run.json", ".lock"):
        return False
    return any(map(_says_more, entry.iterdir())) if entry.is_dir() else entry.stat().st_size > 0


def _requested_threads(cfg: DictConfig) -> int:
    value = OmegaConf.select(cfg, "compute.torch_threads")
    return value if isinstance(value, int) else 0


def _is_grid(argv: Sequence[str]) -> bool:
    return any(item in ("-m", "--multirun") or item == f"hydra.mode={RunMode.MULTIRUN.name}" for item in argv)


def _refuse_grid_of(argv: Sequence[str]) -> None:
    """Raise ConfigError for a grid of what is one job: going on with a run, and a search."""
    resumed = [item for item in argv if item.startswith("resume=") and item != "resume=null"]
    if resumed:
        raise ConfigError(f"-m with {resumed[-1]} would go on with one run several times", hint="leave out -m")
    searches = [item for item in argv if item.startswith("sweep=") and item != "sweep=none"]
    if searches:
        of_grids = ("-", "sweep=", "hydra.mode=", "hydra/launcher=", "hydra.launcher.")
        rest = " ".join([searches[-1], *(item for item in argv if not item.startswith(of_grids))])
        raise ConfigError(
            f"-m with {searches[-1]} would start a search for every job of a grid",
            hint=f"a search is one job that runs its own trials: {speech.COMMAND} {rest}",
        )


@contextmanager
def _arguments(argv: Sequence[str]) -> Iterator[None]:
    old = sys.argv
    sys.argv = [old[0], *argv]
    try:
        yield
    finally:
        sys.argv = old


@contextmanager
def _own_errors(full_error: str | None) -> Iterator[None]:
    """Let Hydra raise instead of printing its errors and leaving with exit code 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        _set_variable("HYDRA_FULL_ERROR", full_error)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
