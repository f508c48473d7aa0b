"""Whether a training has room: what its processes, its networks and the observations held at once take, before any is made.

A process that takes more than there is gets killed by the system, without a word of what was too large.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wealtharena.config.specs.agent import ModelSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.threads import usable_cores
from wealtharena.envs.observation import ObservationLayout, account_width
from wealtharena.errors import ConfigError

log = logging.getLogger(__name__)
CGROUPS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NUMBER: Final = 4  # bytes of a float32
_GIB: Final = 2.0**30
_PROCESS: Final = 0.4 * _GIB  # of a process of Ray with torch and RLlib in it, before it does anything
_TRAINING: Final = 0.6 * _GIB  # of a process that has trained what takes no room
_LEFT: Final = 0.9  # of a machine's memory, beside its system
_AUDITED: Final = 2  # observations of every bar, while another future is played
_CROWD: Final = 8  # threads a core: a few too many are slow, and a run of a larger machine may go on here
_SMALLER: Final = (
    ("env", "window"),
    ("algo", "rollout_steps"),
    ("algo", "buffer"),
    ("algo", "passes"),
    ("algo", "windows"),
)
_GATES: Final = {"gru": 3, "lstm": 4}


def usable_bytes(cgroups: Sequence[Path] = CGROUPS) -> int:
    """Return the memory that this process may take: the machine's, cut to the container's limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for place in cgroups:
        try:
            limits.append(int(place.read_text()))
        except (OSError, ValueError):  # no such cgroup, or its limit is the word `max`
            continue
    return min(limits)


def free_bytes(table: Path = Path("/proc/meminfo")) -> float:
    """Return the memory that others leave free now; no limit where the system does not tell."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", table.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return math.inf if found is None else 1024.0 * int(found[1])


@dataclass(frozen=True)
class Need:
    """Bytes that a training takes at its peak: measured peaks lay within a third of it."""

    networks: float  # with an update's numbers between their layers
    observations: float
    count: int  # of observations

    @property
    def whole(self) -> float:
        return _TRAINING + self.networks + self.observations


def needed(spec: ExperimentSpec, layout: ObservationLayout, bars: int) -> Need:
    """Return what a training over `bars` of a market takes, its look-ahead audit included, which comes after it."""
    model, symbols = spec.model, len(layout.symbols)
    seen = layout.window * len(layout.feature_names)  # of one symbol
    apart = model.name in ("shared", "attention")  # one network answers for each symbol by itself
    inputs = seen * (1 if apart else symbols)
    rows = spec.algo.passed() * (symbols if apart else 1)
    between = sum(model.hidden) + max(model.hidden)  # what the layers gave, and the slopes of the widest
    if model.name == "attention":
        between += 6 * model.hidden[-1]  # query, key and value, what is mixed of them, merged and added
    kept = spec.algo.weights_kept(recurrent=model.name in _GATES)
    networks = kept * _weights(model, inputs) + rows * between + spec.algo.beside()
    count = max(spec.algo.least_kept(spec, bars=bars, apart=apart), _AUDITED * bars)
    observations = count * (seen * symbols + account_width(symbols))
    return Need(_NUMBER * float(networks), _NUMBER * float(observations), count)


def _weights(model: ModelSpec, inputs: int) -> int:
    count = sum(one * other for one, other in itertools.pairwise((inputs, *model.hidden)))
    return count + _GATES.get(model.name, 0) * model.recurrent_size * (model.hidden[0] + model.recurrent_size)


def check_processes(spec: ExperimentSpec) -> None:
    """Raise ConfigError where the threads, or the processes that Ray would start here, are more than this machine can have.

    And where `compute.address` names no cluster.

    A cluster has what its machines have: it is asked once it answers (`cluster.require_actors`).
    """
    compute, cores = spec.compute, usable_cores()
    if compute.address is not None:
        _check_address(compute.address)
        return
    if compute.torch_threads > _CROWD * cores:
        raise ConfigError(
            f"compute.torch_threads={compute.torch_threads}: this process may use {cores} core{'s' * (cores > 1)}",
            hint="lower it; compute.torch_threads=0 takes them all",
        )
    if spec.sweep.name != "none" and spec.sweep.cpus_per_trial > (here := compute.num_cpus or cores):
        raise ConfigError(
            f"sweep.cpus_per_trial={spec.sweep.cpus_per_trial:g}: a search on this machine has {here} core{'s' * (here > 1)}"
            f"{' (compute.num_cpus)' * bool(compute.num_cpus)} for its trials",
            hint="lower it, or choose compute=cluster with the address of one whose machines have as many",
        )
    if spec.sweep.name == "none":
        asked = {"compute.runners": compute.runners, "compute.learners": compute.learners}
    else:  # a trial rolls out and learns in its own process
        asked = {"sweep.concurrency": spec.sweep.concurrency}
    if any(asked.values()):
        asked["compute.num_cpus"] = compute.num_cpus  # Ray starts a process for each beforehand
    most, there = max(1, int(usable_bytes() / _PROCESS)), usable_bytes() / _GIB
    for key, count in asked.items():
        if count > most:
            raise ConfigError(
                f"{key}={count}: this machine has memory for {most} such processes, {there:.3g} GiB at {_PROCESS / _GIB:g} each, "
                f"and {cores} core{'s' * (cores > 1)}",
                hint=f"lower {key}, about one a core, or choose compute=cluster with the address of one that has more",
            )


def _check_address(address: str) -> None:
    """Raise ConfigError for what Ray takes for an address and is none of a cluster: it would start one by rules of its own."""
    if address == "local":
        raise ConfigError(
            "compute.address=local names no cluster: a Ray of this machine starts where no address is given",
            hint="choose compute=workers, or compute.address=null",
        )
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"compute.address={address} is where a cluster shows its page and takes jobs, and no address to join it by",
            hint="give the head's own, compute.address=<head>:6379, or compute.address=auto on one of its machines",
        )


def check_room(spec: ExperimentSpec, layout: ObservationLayout, bars: int, *, at_once: int = 1) -> None:
    """Raise ConfigError where trainings over `bars` of a market, `at_once` of them, cannot fit this machine.

    A GPU says so by itself, and a cluster's machines have what they have.
    """
    if spec.compute.name == "gpu" or spec.compute.learners:
        return
    need, there = needed(spec, layout, bars), _LEFT * usable_bytes()
    if need.whole * at_once <= there:
        if need.whole * at_once > (free := free_bytes()):
            log.warning(
                "%s, and %.3g are free now: the system may end it; end what else runs, or make room: %s",
                f"{'this training takes' if at_once == 1 else f'{at_once} at once take'} about {need.whole * at_once / _GIB:.3g} GiB",
                free / _GIB,
                _what_fits(spec, layout, bars, _LEFT * free / at_once),
            )
        return
    words = f"about {need.whole / _GIB:.3g} GiB of memory"
    if at_once > 1:
        words += f", {need.whole * at_once / _GIB:.3g} for {at_once} at once,"
    words += f" for algo={spec.algo.name}, and of {usable_bytes() / _GIB:.3g} a tenth is left to the system"
    if at_once > 1 and need.whole <= there:
        raise ConfigError(
            f"each training takes {words}",
            hint=f"let {int(there / need.whole)} run at once: sweep.concurrency in a search, hydra.launcher.n_jobs in a grid",
        )
    if need.observations > need.networks:
        raise ConfigError(
            f"{need.count:,} observations of {len(layout.symbols)} symbols, held at once, need {words}",
            hint=_what_fits(spec, layout, bars, there),
        )
    widths = f"model.hidden=[{','.join(map(str, spec.model.hidden))}]"
    if spec.model.name in _GATES:
        widths += f" model.recurrent_size={spec.model.recurrent_size}"
    raise ConfigError(
        f"{widths} needs {words}",
        hint="take fewer units, or fewer rows an update: algo.minibatch, algo.batch, or algo.windows and algo.members",
    )


def _what_fits(spec: ExperimentSpec, layout: ObservationLayout, bars: int, there: float) -> str:
    """Return the keys that alone make the training fit once they are halved often enough, with their values."""
    found = []
    for block, name in _SMALLER:
        part = getattr(spec, block)
        value = getattr(part, name, None) or 0
        while value > 1:
            value //= 2
            other = spec.model_copy(update={block: part.model_copy(update={name: value})})
            if needed(other, replace(layout, window=other.env.window), bars).whole <= there:
                found.append(f"{block}.{name}={value}")
                break
    return f"{' or '.join(found)} would fit" if found else "take fewer symbols, features or bars"
