"""Compiled functions and where their machine code is kept between runs.

What is compiled is kept by what it was compiled from and not by where that lies, so that every clone, wheel and copy of
the same sources uses the same machine code; and one process compiles while the others that want the same wait for it.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config
import numpy as np
import numpy.typing as npt
from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.errors import NumbaExperimentalFeatureWarning
from numba.extending import intrinsic

from wealtharena import files, shown
from wealtharena.config import plugins, speech

Float64 = npt.NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])

machine: Callable[[Callable[..., Any]], Any] = intrinsic  # a function that emits machine code where it is called

PACKAGE = Path(__file__).parents[1]
# what machine code is made from, of this room: the functions and what they read; a test looks that none is left out
MADE_FROM = (
    "kernel",
    "rewards",
    *(f"{name}.py" for name in ("actions", "compiled", "logarithm", "observation", "tiles", "vector")),
)
PATIENCE_SECONDS = 300.0  # how long another process may compile before this one does it too
_WRITING_SECONDS = 10.0
COMPILING = "compiling the market kernel (once on this machine, some 20 seconds)"
_SAID: list[str] = []  # what was said in this process; its second part is compiled later and needs no second line


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Return the folder of the compiled kernel, made if need be; None where no place can be written.

    It lies below NUMBA_CACHE_DIR, or XDG_CACHE_HOME, or ~/.cache, or the system's temporary folder, whichever can be
    written first, and never inside the installed package. Its name carries a digest of all that it is made from,
    of numba's version, and of packages that offer rewards, whole and by name, because numba itself looks at one file only and would go on using a
    kernel whose reward, or what that calls, has changed.
    """
    offered = plugins.modules_offered("envs.rewards")  # machine code names its module: of a renamed copy there is none
    digest = hashlib.sha256("\n".join((numba.__version__, *offered)).encode())
    for source in (*sources(), *plugins.sources_offered("envs.rewards")):
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


def sources() -> list[Path]:
    """Return the files of this room that machine code is made from, in the order of their names."""
    room = Path(__file__).parent
    return sorted(
        path
        for name in MADE_FROM
        for path in ((room / name).rglob("*.py") if (room / name).is_dir() else [room / name])
    )


def _roots() -> Iterator[Path]:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        yield Path(chosen)
    own, caches = shown.home(), os.environ.get("XDG_CACHE_HOME")
    if caches or own:
        yield (Path(caches) if caches else Path(own or "", ".cache")) / "wealtharena"
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a number that no list of users names
        user = str(os.getuid())
    yield Path(tempfile.gettempdir()) / f"wealtharena-{user}"


class Turn:
    """One process at a time compiles, or writes what it has compiled; within a process a turn can be taken again."""

    def __init__(self) -> None:
        self._mine = threading.RLock()
        self._depth = 0

    @contextlib.contextmanager
    def taken(self, seconds: float) -> Iterator[bool]:
        """Yield whether it is this process's turn: False after `seconds` of waiting for another one."""
        folder = cache_folder()
        with self._mine, contextlib.ExitStack() as stack:
            if folder is not None and not self._depth:
                try:
                    stack.enter_context(files.held(folder / ".turn", seconds=seconds))
                except TimeoutError:
                    yield False
                    return
                except OSError:  # a file system that knows no locks: each compiles for itself, as numba does everywhere
                    pass
            self._depth += 1
            try:
                yield True
            finally:
                self._depth -= 1


_TURN = Turn()


def _numbas(part: Any) -> Any:
    """Return what is numba's, which is typed in part only."""
    return part


class ByContent(UserProvidedCacheLocator):
    """Keeps the code of a file of this package in a folder that is named after its content, wherever the file lies."""

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        """Return the folder's name; for files of others numba's own, which tells their places apart."""
        file = Path(py_file).resolve()
        if not file.is_relative_to(PACKAGE.resolve()):
            return str(_numbas(super()).get_suitable_cache_subpath(py_file))
        content = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        return "-".join((*file.relative_to(PACKAGE.resolve()).parent.parts, content))


class _Kept(CompileResultCacheImpl):
    _locator_classes: Any = (ByContent,)


class Cache(FunctionCache):
    """The code of one function on disk, written by one process at a time.

    numba's own numbers a new file by an index that it has read before: two processes that each compile another signature of a
    function may give both the same number, and the index of the one then names the code of the other.
    """

    _impl_class = _Kept

    def __init__(self, function: Callable[..., Any]) -> None:
        _numbas(super()).__init__(function)
        self._settled: set[tuple[Any, ...]] = set()

    def compile_once(self, signature: tuple[Any, ...], target: Any, compile_it: Callable[[], Any]) -> Any:
        """Return the code that another process has compiled meanwhile, else what `compile_it` gives, which is saved."""
        with _TURN.taken(PATIENCE_SECONDS):
            code = _numbas(self).load_overload(signature, target)
            if code is None:
                code = compile_it()
                self.save_overload(signature, code)
            else:  # numba's own of a cache does it too: what is compiled after this may call it
                target.insert_user_function(code.entry_point, code.fndesc, [code.library])
            self._settled.add(signature)
            return code

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the code, unless it lies there; where others keep the folder busy it is compiled again another time."""
        if tuple(sig) in self._settled:
            return
        with _TURN.taken(_WRITING_SECONDS) as mine:
            if mine:
                _numbas(super()).save_overload(sig, data)


_CACHES: dict[Callable[..., Any], Cache] = {}


class Apart(CompilerBase):
    """Numba's own pipeline, told that no two array arguments overlap: none of the kernel's ever do."""

    def define_pipelines(self) -> list[Any]:
        """Return numba's default pipeline."""
        self.state.flags.noalias = True
        passes: Any = DefaultPassBuilder
        return [passes.define_nopython_pipeline(self.state)]

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile in turn with other processes, and take what one of them has compiled meanwhile."""
        compile_it, cache = partial(_numbas(super()).compile_extra, func), _CACHES.get(func)
        return (
            compile_it()
            if cache is None
            else cache.compile_once(tuple(self.state.args), self.state.targetctx, compile_it)
        )


# Rewards are a tuple of functions, which numba types through its newest machinery and inlines all the same.
warnings.filterwarnings("ignore", ".*First-class function type feature", NumbaExperimentalFeatureWarning)


def compiled(function: Function) -> Function:
    """Return the function compiled on first call, inlined where it is called, and kept on disk.

    Arithmetic is strict IEEE, nothing is reordered, and the GIL is released.
    """
    return kept(function, error_model="numpy", forceinline=True, pipeline_class=Apart)


def kept(function: Function, **options: Any) -> Function:
    """Return the function compiled on first call by numba's `options`, and kept on disk where a place can be written; the GIL is released."""
    made: Any = njit(nogil=True, **options)(function)
    if (folder := cache_folder()) is not None:
        config: Any = numba.core.config
        before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            made._cache = _CACHES[function] = Cache(function)
        finally:
            config.CACHE_DIR = before
    return cast(Function, made)


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
