"""What a process that trains sets for itself: torch's threads and generator, what becomes of freed memory, the GPU."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from typing import Final

import torch

from wealtharena.config.specs.agent import ComputeSpec
from wealtharena.config.threads import usable_cores
from wealtharena.errors import NoGpuError, TrainingError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE, _NEVER = 2**25, 2**30  # the largest threshold that glibc takes for mmap; more than is ever free
_LOADED_IN: Final = os.getpid()
_DRAWING: Final = threading.Lock()  # torch's own generator, which first weights are drawn from, is one for all threads


def _alone() -> None:
    """Let a forked process compute by itself: OpenMP waits for ever for threads that its parent has, and a fork has not."""
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_alone)


def set_threads(threads: int) -> int:
    """Set torch's threads on purpose (0: the cores this process may use) and return their number, 1 in a forked process.

    Torch's own default counts the machine's cores, and on a shared one the threads spend their time waiting.
    """
    count = (threads or usable_cores()) if os.getpid() == _LOADED_IN else 1
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count


@contextlib.contextmanager
def own_torch() -> Iterator[None]:
    """Train in somebody's own process as in one of ours: with gradients, on the CPU where nothing is said, and give torch its threads back.

    TrainingError where torch's default is no float32: that is one for all threads, and not ours to change.
    """
    if torch.get_default_dtype() != torch.float32:
        raise TrainingError(
            f"torch makes {torch.get_default_dtype()} here where nothing is said, and agents compute in torch.float32",
            hint="call torch.set_default_dtype(torch.float32) before the training",
        )
    before = torch.get_num_threads()
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        try:
            yield
        finally:
            if torch.get_num_threads() != before:
                torch.set_num_threads(before)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Have torch's own generator start at `seed` for the block, one thread at a time, and put it back as it was.

    Two trainings in threads of one process would otherwise draw from one another's first weights.
    """
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next allocation, and return whether it could be told to.

    Every minibatch allocates the same few megabytes. Given back to the system and asked for again, they cost thousands
    of page faults an iteration, a tenth of its time; kept, the process is no larger at its peak.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    wanted = ((_MMAP_THRESHOLD, _LARGE), (_TRIM_THRESHOLD, _NEVER))
    return mallopt is not None and all(mallopt(option, value) == 1 for option, value in wanted)


def require_gpu(compute: ComputeSpec) -> None:
    """Raise NoGpuError where `compute=gpu` is asked for and torch sees no GPU."""
    if compute.name == "gpu" and not torch.cuda.is_available():
        raise NoGpuError(
            "compute=gpu: torch sees no GPU here",
            hint="choose compute=local or compute=workers, or install a CUDA build of torch and its driver",
        )


def no_room(what: str) -> TrainingError:
    """Return the error of a GPU that has no room for `what`."""
    return TrainingError(
        f"CUDA out of memory: the GPU has no room for {what}",
        hint="lower algo.minibatch, algo.batch or algo.rollout_steps (algo.windows of direct), look with nvidia-smi who else uses the GPU, "
        "or choose compute=local",
    )


@contextlib.contextmanager
def room_on_the_gpu() -> Iterator[None]:
    """Raise TrainingError with a way out where the body, or a learner that it asked, found no room on the GPU."""
    try:
        yield
    except Exception as error:  # torch's own, or Ray's around one of a learner in an actor
        if isinstance(error, TrainingError) or "CUDA out of memory" not in str(error):
            raise
        raise no_room("this training") from error
