"""Whether a training has room: what its processes, its networks and what it remembers take at the least, before any is made.

A process that takes more than there is gets killed by the system, without a word of what was too large.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wealtharena.config.specs.agent import ModelSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.threads import usable_cores
from wealtharena.envs.observation import ObservationLayout, account_width
from wealtharena.errors import ConfigError

CGROUPS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NUMBER: Final = 4  # bytes of a float32
_COPIES: Final = 4  # of a weight: itself, its slope and two moments of the optimiser
_GIB: Final = 2.0**30
_PROCESS: Final = 0.4 * _GIB  # of a process of Ray with torch and RLlib in it, before it does anything
_CROWD: Final = 8  # threads a core: a few too many are slow, and a run of a larger machine may go on here
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


def least_bytes(spec: ExperimentSpec, layout: ObservationLayout) -> tuple[float, float]:
    """Return what networks, with an update's numbers between their layers, and what observations take at the least."""
    model, symbols = spec.model, len(layout.symbols)
    seen = layout.window * len(layout.feature_names)  # of one symbol
    apart = model.name in ("shared", "attention")  # one network answers for each symbol by itself
    inputs = seen * (1 if apart else symbols)
    rows = spec.algo.least_rows() * (symbols if apart else 1)
    between = sum(model.hidden) + max(model.hidden)  # what the layers gave, and the slopes of the widest
    networks = _COPIES * spec.algo.least_networks() * _weights(model, inputs) + rows * between
    kept = spec.algo.least_kept(spec) * (seen * symbols + account_width(symbols))
    return _NUMBER * float(networks), _NUMBER * float(kept)


def _weights(model: ModelSpec, inputs: int) -> int:
    count = sum(one * other for one, other in itertools.pairwise((inputs, *model.hidden)))
    return count + _GATES.get(model.name, 0) * model.recurrent_size * (model.hidden[0] + model.recurrent_size)


def check_processes(spec: ExperimentSpec) -> None:
    """Raise ConfigError where the threads, or the processes that Ray would start here, are more than this machine can have.

    A cluster has what its machines have: it is asked once it answers (`cluster.require_actors`).
    """
    compute, cores = spec.compute, usable_cores()
    if compute.address is not None:
        return
    if compute.torch_threads > _CROWD * cores:
        raise ConfigError(
            f"compute.torch_threads={compute.torch_threads}: this process may use {cores} core{'s' * (cores > 1)}",
            hint="lower it; compute.torch_threads=0 takes them all",
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


def check_room(spec: ExperimentSpec, layout: ObservationLayout) -> None:
    """Raise ConfigError where a training in this process cannot fit this machine; a GPU says so by itself."""
    if spec.compute.name == "gpu" or spec.compute.learners:
        return
    networks, kept = least_bytes(spec, layout)
    there = usable_bytes()
    if networks + kept <= there:
        return
    needs = f"GiB of memory at the least in an update of algo={spec.algo.name}, and there are {there / _GIB:.3g}"
    if kept > networks:
        raise ConfigError(
            f"{spec.algo.least_kept(spec):,} observations of {len(layout.symbols)} symbols, kept at once, need "
            f"{kept / _GIB:.3g} {needs}",
            hint="lower algo.rollout_steps, compute.envs, env.window or, where there is one, algo.buffer",
        )
    widths = f"model.hidden=[{','.join(map(str, spec.model.hidden))}]"
    if spec.model.name in _GATES:
        widths += f" model.recurrent_size={spec.model.recurrent_size}"
    raise ConfigError(
        f"{widths} needs {networks / _GIB:.3g} {needs}",
        hint="take fewer units, or fewer rows an update: algo.minibatch, algo.batch, or algo.windows and algo.members",
    )
