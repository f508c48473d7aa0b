"""Which finished runs are seeds of one another: by configuration, data and test window, in one group each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import CheckpointError
from wealtharena.evaluation import tables
from wealtharena.evaluation.records import RunResult

Dates = tuple[str, str]


@dataclass(frozen=True)
class Group:
    """Completed runs of one configuration on one data set over one test window, one a seed.

    A backtest and the record of a search are a group each: the seed of neither is that of a training.
    """

    runs: tuple[RunResult, ...]
    older: tuple[RunResult, ...] = ()  # what a newer one replaced
    beside: tuple[RunResult, ...] = ()  # of other groups of this configuration, data and window

    @property
    def newest(self) -> RunResult:
        return self.runs[-1]

    @property
    def alone(self) -> bool:
        """Return whether this is a record that is no seed of a group."""
        return self.newest.played or self.together

    @property
    def together(self) -> bool:
        """Return whether this is one record of several seeds, as a search leaves it: its verdict is the group's already."""
        return self.newest.searched

    @property
    def stream(self) -> str:
        """Return the name of the group's random numbers, which do not depend on what else stands on a board."""
        return f"{self.newest.agent}/{self.newest.config_hash}/{self.newest.fingerprint[:8]}"

    @property
    def key(self) -> str:
        """Return a name that no other group has."""
        own = self.newest.run_id if self.alone else "seeds"
        return "/".join((self.stream, self.newest.fingerprint, *(self.newest.window or ()), own))

    @property
    def tests(self) -> tuple[Mapping[str, object], ...]:
        """Return the test measures of each seed."""
        return self.newest.seed_tests if self.together else tuple(run.test for run in self.runs)

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """Return the seeds behind `tests`; None for one that its record does not name."""
        return self.newest.seed_numbers if self.together else tuple(run.seed for run in self.runs)


@dataclass(frozen=True, eq=False)
class Paths:
    """The backtests of a group, all over the same bars."""

    agents: tuple[Trajectory, ...]
    baselines: Mapping[str, Trajectory]


def group(runs: Iterable[RunResult]) -> tuple[Group, ...]:
    """Return completed runs by agent, configuration, data and test window; of two trainings with one seed the newer counts.

    A group's runs stand in the order of their seeds: jobs at once start in any order, and the verdict must not know it.
    """
    completed = [run for run in runs if run.status == "completed"]
    known = _windows(completed)
    found: dict[tuple[object, ...], dict[object, list[RunResult]]] = {}
    for run in completed:
        own = run.run_id if run.played or run.searched else ""
        seeds = found.setdefault((_bars(run), run.window or known.get(_bars(run)), own), {})
        seeds.setdefault(run.run_id if run.seed is None else run.seed, []).append(run)
    ordered = [sorted(seeds.values(), key=lambda of_one: _by_seed(of_one[-1])) for seeds in found.values()]
    groups = [
        Group(tuple(of_one[-1] for of_one in seeds), tuple(run for of_one in seeds for run in of_one[:-1]))
        for seeds in ordered
    ]
    places = [place[:2] for place in found]
    return tuple(replace(one, beside=_beside(at, places, groups)) for at, one in enumerate(groups))


def _beside(at: int, places: Sequence[tuple[object, ...]], groups: Sequence[Group]) -> tuple[RunResult, ...]:
    """Return the trainings and searches of the groups that stand at the same place as the one `at`."""
    others = [one for i, one in enumerate(groups) if i != at and places[i] == places[at]]
    return tuple(run for one in others for run in one.runs if not run.played)


def _bars(run: RunResult) -> tuple[str, str, str]:
    return run.agent, run.config_hash, run.fingerprint


def _windows(runs: Sequence[RunResult]) -> dict[tuple[str, str, str], Dates]:
    """Return the test window of the trainings of a configuration, for those whose record lacks it: a registry's."""
    return {_bars(run): run.window for run in runs if run.window is not None and not run.played}


def _by_seed(run: RunResult) -> tuple[bool, int, str]:
    return run.seed is None, run.seed or 0, run.run_id


def load(found: Group) -> Paths | None:
    """Return the group's backtests; None where one is missing or they do not share their bars and baselines."""
    try:
        read = [tables.read(run.folder) for run in found.runs]
    except CheckpointError:
        return None
    agents = tuple(agent for agent, _ in read)
    if any(not np.array_equal(agent.timestamps, agents[0].timestamps) for agent in agents):
        return None
    shared = set.intersection(*(set(baselines) for _, baselines in read))
    return Paths(agents, {name: path for name, path in read[0][1].items() if name in shared and name != "random"})


def configurations(found: Group, groups: Sequence[Group]) -> tuple[Group, ...]:
    """Return one group a configuration on this data, `found` for its own; a training before its backtests.

    What an agent is called makes no other market: what the ledger counts as tried here is what is compared.
    """
    here = [one for one in groups if one.newest.fingerprint == found.newest.fingerprint]
    chosen = {found.newest.config_hash: found}
    for one in sorted(here, key=lambda one: one.newest.played):
        chosen.setdefault(one.newest.config_hash, one)
    return tuple(one for one in here if chosen[one.newest.config_hash] is one)
