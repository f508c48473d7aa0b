"""Compiled functions and where their machine code is kept between runs."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config
import numpy as np
import numpy.typing as npt
from numba import njit
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.errors import NumbaExperimentalFeatureWarning
from numba.extending import intrinsic

from wealtharena import files
from wealtharena.config import plugins, speech

Float64 = npt.NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])

machine: Callable[[Callable[..., Any]], Any] = intrinsic  # a function that emits machine code where it is called

COMPILING = "compiling the market kernel (once on this machine, some 20 seconds)"
_SAID: list[str] = []  # what was said in this process; its second part is compiled later and needs no second line


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return the folder of the compiled kernel, made if need be; None where no place can be written.

    It lies below NUMBA_CACHE_DIR, or XDG_CACHE_HOME, or ~/.cache, or the system's temporary folder, whichever can be
    written first, and never inside the installed package. Its name carries a digest of every source file of this room
    and of numba's version, and of rewards of packages, because numba itself looks at one file only and would go on using a kernel whose reward
    function has changed.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in (*sorted(Path(__file__).parent.rglob("*.py")), *plugins.sources_offered("envs.rewards")):
        digest.update(source.read_bytes())
    name = f"kernel-{digest.hexdigest()[:16]}"
    for root in _roots():
        folder = root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def _roots() -> Iterator[Path]:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        yield Path(chosen)
    own, caches = files.home(), os.environ.get("XDG_CACHE_HOME")
    if caches or own:
        yield (Path(caches) if caches else Path(own or "", ".cache")) / "wealtharena"
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a number that no list of users names
        user = str(os.getuid())
    yield Path(tempfile.gettempdir()) / f"wealtharena-{user}"


class Apart(CompilerBase):
    """Numba's own pipeline, told that no two array arguments overlap: none of the kernel's ever do."""

    def define_pipelines(self) -> list[Any]:
        """Return numba's default pipeline."""
        self.state.flags.noalias = True
        passes: Any = DefaultPassBuilder
        return [passes.define_nopython_pipeline(self.state)]


# Rewards are a tuple of functions, which numba types through its newest machinery and inlines all the same.
warnings.filterwarnings("ignore", ".*First-class function type feature", NumbaExperimentalFeatureWarning)


def compiled(function: Function) -> Function:
    """Return the function compiled on first call, inlined where it is called, and kept on disk.

    Arithmetic is strict IEEE, nothing is reordered, and the GIL is released.
    """
    folder = cache_folder()
    config: Any = numba.core.config
    before = config.CACHE_DIR
    try:
        if folder is not None:
            config.CACHE_DIR = str(folder)
        make = njit(cache=folder is not None, nogil=True, error_model="numpy", forceinline=True, pipeline_class=Apart)
        return cast(Function, make(function))
    finally:
        config.CACHE_DIR = before


def is_kept(function: Callable[..., Any]) -> bool:
    """Return whether machine code of the function is already in memory or on disk."""
    if getattr(function, "overloads", None):
        return True
    folder = cache_folder()
    name = getattr(function, "__name__", "")
    return folder is not None and any(folder.rglob(f"*.{name}-*.nbc"))


@contextlib.contextmanager
def compile_status(*functions: Callable[..., Any]) -> Iterator[None]:
    """Show a status line on standard error while the functions are compiled; silent where they are kept already."""
    if speech.is_quiet() or all(is_kept(function) for function in functions):
        yield
        return
    if not sys.stderr.isatty():
        if not _SAID:
            sys.stderr.write(f"{COMPILING}\n")
            sys.stderr.flush()
            _SAID.append(COMPILING)
        yield
        return
    from wealtharena.terminal import Screen

    with Screen(stderr=True).status(COMPILING):
        yield
