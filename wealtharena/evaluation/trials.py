"""What counts against a result: the looks, configurations and runs of the ledger that bear on one test window.

An entry bears on the window of a judgement where its own test window shares a date with it and its market is the same: the
same bars, whatever agent or symbols are called, or, on real data, at least one common symbol; of an agent of another name,
most symbols. Other features, a longer download or another label do not make a window unseen; another year, other symbols or
another simulated market are no trials of this one. What the judged runs wrote themselves, such as the trials of their search, were choices for this window and
count wherever they were made.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wealtharena.evaluation.ledger import Ledger, Window

SAME_SHARPE = 1e-6  # relative
SHOWING = ("backtest", "paper")  # tasks that show a window and leave no result: costs and dates are a command's


@dataclass(frozen=True)
class Trials:
    """What the deflation of a Sharpe ratio needs to know about everything that was tried."""

    configurations: int  # distinct ones, this one included
    sharpe_variance: float | None = None  # of annual Sharpe ratios over all that was tried; None for fewer than two
    left_out: tuple[str, ...] = ()  # completed runs of this configuration that the judged group does not hold
    tested: int = 1  # of `configurations`, those that showed the window, this one included; the others were tried on validation data
    elsewhere: int = 0  # real test windows of the agent that were opened beside this one, of other dates or symbols
    lacking: int = 0  # seeds that other configurations showed here and the judged group does not have

    @property
    def count(self) -> int:
        """Return how many results the judged one may have been chosen from."""
        return self.configurations + len(self.left_out) + self.lacking


def tried(configurations: int, left_out: int, lacking: int) -> str:
    """Return, in words, what the fields of `Trials` of these names count."""
    text = f"{_counted(configurations, 'configuration')} tried"
    if left_out:
        text += f" and {_counted(left_out, 'run')} left out"
    return f"{text} and {_counted(lacking, 'seed')} of others that it lacks" if lacking else text


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'s' if number != 1 else ''}"


@dataclass(frozen=True)
class Completed:
    """A run that showed its test window."""

    run_id: str
    seed: int | None  # None where nobody says, as of a policy that a notebook was given
    sharpe: float | None  # a year; None or NaN where it is not defined

    def repeats(self, other: Completed) -> bool:
        """Return whether this run gave the other's seed the same figure again, and so shows nothing new.

        Where one of the two does not know its seed the figure alone tells.
        """
        if None not in (self.seed, other.seed) and self.seed != other.seed:
            return False
        ours, theirs = (math.nan if run.sharpe is None else run.sharpe for run in (self, other))
        same = math.isclose(ours, theirs, rel_tol=SAME_SHARPE, abs_tol=SAME_SHARPE)
        return same or (math.isnan(ours) and math.isnan(theirs))


@dataclass(frozen=True)
class History:
    """The entries of the ledger that bear on one window, oldest first."""

    entries: tuple[Mapping[str, Any], ...]
    relabelled: frozenset[str] = frozenset()  # configurations that had these bars under another agent or other names
    alike: frozenset[str] = frozenset()  # all that had these bars, those among them
    elsewhere: int = 0  # as `Trials.elsewhere`

    @classmethod
    def of(cls, ledger: Ledger, agent: str, window: Window, *, run_ids: Iterable[str] = ()) -> History:
        """Return what the ledger knows that bears on the window of a judgement of the runs `run_ids`."""
        known = tuple(ledger.entries())
        places = {_run(entry): entry for entry in known if entry["kind"] == "open"}
        bars = {window.fingerprint, window.content}
        bars |= {str(e["content"]) for e in known if e["fingerprint"] == window.fingerprint and "content" in e}
        market, judged = _Market(agent, window, frozenset(bars - {""})), set(run_ids)
        bearing = tuple(e for e in known if market.holds(e, places.get(_run(e)), judged))
        of_bars = [e for e in bearing if market.is_of(e)]
        return cls(
            bearing,
            relabelled=frozenset(e["config_hash"] for e in of_bars if market.relabels(e)),
            alike=frozenset(e["config_hash"] for e in of_bars),
            elsewhere=0 if window.simulated else market.others(known, bearing),
        )

    def openings(self, config_hash: str | None = None, *, but: str | None = None) -> int:
        """Return how often the window was looked at, by anyone or by one configuration; the run `but` left out.

        A run that opens every fold of a split writes a line for each, and has looked once.
        """
        opened = [e for e in self.entries if e["kind"] == "open" and (but is None or e.get("run_id") != but)]
        counted = [entry for entry in opened if config_hash is None or entry["config_hash"] == config_hash]
        return len({(entry.get("run_id") or at, entry["config_hash"]) for at, entry in enumerate(counted)})

    def told(self, config_hash: str, run_id: str) -> str | None:
        """Return that a configuration has looked at this window before, in words; None where no run but `run_id` has."""
        looks = self.openings(config_hash, but=run_id) if config_hash else 0
        if not looks:
            return None
        times = f"{looks} time{'s' if looks != 1 else ''}"
        return f"This configuration has looked at this test window {times} before; a comparison counts every run of it."

    def left_out(self, config_hash: str, group: Sequence[Completed]) -> tuple[str, ...]:
        """Return the runs of a configuration that showed this window and are not in `group`.

        A run that gave a seed of the group, or of one named already, the same Sharpe ratio again is a repetition and
        shows nothing new. A configuration of these bars under another label that showed what one of the group did is
        this one, and so is any other of these bars of which each seed of the group showed the same. A seed that was played
        over the window by a backtest, or on paper, was seen as well as one that was tested.
        """
        known = {run.run_id for run in group}
        own = {config_hash, *self._twins(group)} - {""} if config_hash else set()
        found: list[Completed] = []
        for entry in self.entries:
            if entry["kind"] != "result" or entry["config_hash"] not in own:
                continue
            if str(entry.get("run_id")) not in known:
                found += [run for run in runs_of(entry) if not any(run.repeats(other) for other in (*group, *found))]
        seen = {run.seed for run in (*group, *found)}
        looks = {} if None in seen else {seed: str(e.get("run_id")) for e in self.entries for seed in _played(e, own)}
        return (*(run.run_id for run in found), *(run_id for seed, run_id in looks.items() if seed not in seen))

    def _twins(self, group: Sequence[Completed]) -> set[str]:
        """Return the configurations that are the group's: by seed and figure, under another label by one run, else by all.

        A key that changes nothing makes another hash of the same policies, and by it the best seeds could be run again as
        if there were no others. Two policies may well be equal all the same, as two that stay at their anchor are, so that all
        that both have must be, and must differ among themselves.
        """
        defined = [run for run in group if run.sharpe is not None and math.isfinite(run.sharpe)]
        shown: dict[str, list[Completed]] = {}
        for entry in self.entries:
            if entry["kind"] == "result" and entry["config_hash"] in self.alike:
                shown.setdefault(entry["config_hash"], []).extend(runs_of(entry))
        found = set()
        for who, runs in shown.items():
            shared = [
                one for one in defined if any(None in (run.seed, one.seed) or run.seed == one.seed for run in runs)
            ]
            same = [any(run.repeats(one) for run in runs) for one in shared]
            figures = [run.sharpe for run in shared if run.sharpe is not None]
            telling = bool(figures) and max(figures) - min(figures) > SAME_SHARPE  # else all may be one anchor's
            if any(same) if who in self.relabelled else telling and all(same):
                found.add(who)
        return found

    def trials(self, config_hash: str, *, left_out: Sequence[str] = (), group: Sequence[Completed] = ()) -> Trials:
        """Return the configurations tried, `config_hash` among them, and the runs left out, with the variance of all.

        A configuration's Sharpe ratio is the mean of its test results, repetitions once, or, without any, of its
        validation results; a run that is left out stands for itself. `group` is what is judged, where its results are not
        in the ledger yet. A look without a configuration, a baseline's, is no trial. A seed that another configuration
        showed and `group` lacks counts once: its seeds may have been chosen by what they showed there.
        """
        tested: dict[str, list[Completed]] = {config_hash: []}
        validated: dict[str, list[float]] = {}
        twins = self._twins(group)
        for entry in self.entries:
            if not entry["config_hash"]:
                continue
            who = config_hash if entry["config_hash"] in twins else entry["config_hash"]
            runs = tested.setdefault(who, [])
            if entry["kind"] == "result":
                fresh = (run for run in runs_of(entry) if run.sharpe is not None)
                runs += [run for run in fresh if run.run_id in left_out or not any(run.repeats(one) for one in runs)]
            elif entry["kind"] == "trial" and (sharpe := _sharpe(entry)) is not None:
                validated.setdefault(who, []).append(sharpe)
        own = tested[config_hash]
        apart = {run.run_id: run.sharpe for run in own if run.run_id in left_out and run.sharpe is not None}
        unknown = [run for run in group if run.sharpe is not None and math.isfinite(run.sharpe)]
        unknown = [run for run in unknown if not any(run.repeats(one) for one in own)]
        tested[config_hash] = [run for run in own if run.run_id not in apart] + unknown
        shown: list[list[float]] = [[sharpe] for sharpe in apart.values()]
        for name, runs in tested.items():
            shown.append([run.sharpe for run in runs if run.sharpe is not None] or validated.get(name, []))
        known = [float(np.mean(values)) for values in shown if values]
        variance = float(np.var(known, ddof=1)) if len(known) > 1 else None
        others = sum(bool(runs) for name, runs in tested.items() if name != config_hash)
        lacking = self._lacking({config_hash, *twins}, group, own)
        return Trials(
            len(tested), variance, tuple(left_out), tested=1 + others, elsewhere=self.elsewhere, lacking=lacking
        )

    def _lacking(self, own: set[str], group: Sequence[Completed], shown: Sequence[Completed]) -> int:
        """Return how many seeds other configurations showed that neither the group nor its own configuration has.

        Luck goes with the seed where another configuration is nearly this one: a learning rate changed by a millionth gives
        the policies of the same seeds again, nearly to the digit. What the group did itself, such as its search, is no choice of seeds.
        Policies whose seeds nobody said, as a notebook's, may be of the group's for as many as it has.
        """
        ours = {run.seed for run in (*group, *shown)}
        judged = {run.run_id for run in group}
        if not group or None in ours:
            return 0
        others = [e for e in self.entries if str(e.get("run_id")) not in judged]
        theirs = {seed for e in others for who, seed in _seeds(e) if who and who not in own}
        return len(theirs - ours - {None}) + max(0, _nameless(others, own) - len(ours))


@dataclass(frozen=True)
class _Market:
    """The window of a judgement, whose agent it is of, and by what digests its bars are known."""

    agent: str
    window: Window
    bars: frozenset[str]

    def holds(self, entry: Mapping[str, Any], opening: Mapping[str, Any] | None, judged: set[str]) -> bool:
        """Return whether an entry counts; `opening` is its run's, for entries from before each said where it belongs."""
        if entry["kind"] == "trial" and str(entry.get("run_id")) in judged:
            return True
        same = self.is_of(entry)
        place = entry if "window" in entry else opening
        if place is None:
            return same
        if self.window.dates and not _overlap(place["window"], self.window.dates):
            return False
        if same:
            return True
        if self.window.simulated or place.get("simulated", False):
            return False
        return self._shares(entry["agent"], place.get("symbols"))

    def others(self, known: Sequence[Mapping[str, Any]], bearing: Sequence[Mapping[str, Any]]) -> int:
        """Return how many real test windows of the agent were opened by runs that opened nothing of this one."""
        near, found = {_run(e) for e in bearing if e["kind"] == "open"}, dict[tuple[str, str], set[str]]()
        for entry in known:
            real = entry["config_hash"] and not entry.get("simulated", False)
            if real and entry["kind"] == "open" and entry["agent"] == self.agent and _run(entry) not in near:
                said = f"{entry.get('window')} of {sorted(entry.get('symbols', ()))}"
                found.setdefault(_run(entry), set()).add(said)  # a fold each
        return len({frozenset(windows) for windows in found.values()})

    def relabels(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry of the same bars is under another agent or has other names of their symbols."""
        names = entry.get("symbols", self.window.symbols)
        return bool(entry["agent"] != self.agent or set(names) != set(self.window.symbols))

    def is_of(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry is of the same bars, by either digest."""
        return not self.bars.isdisjoint((entry["fingerprint"], str(entry.get("content", ""))))

    def _shares(self, agent: str, symbols: Sequence[str] | None) -> bool:
        """Return whether other bars are of this market by their symbols.

        Two agents may well have a symbol in common and still be of two markets; a universe under a second label is one.
        """
        if symbols is None or not self.window.symbols:
            return agent == self.agent
        ours, theirs = set(self.window.symbols), set(symbols)
        common = len(ours & theirs)
        return common > 0 if agent == self.agent else 2 * common > len(ours | theirs)


def _played(entry: Mapping[str, Any], own: Iterable[str]) -> list[int]:
    """Return the seeds of these configurations that an entry is a look at, by themselves or in a mean; it does not say what they showed."""
    if entry["kind"] != "open" or entry.get("purpose") not in SHOWING:
        return []
    return [seed for who, seed in _seeds(entry) if who in own and seed is not None]


def _seeds(entry: Mapping[str, Any]) -> list[tuple[str, int | None]]:
    """Return configuration and seed of each policy that an entry is about, by itself, in a mean or in a group."""
    who = entry["config_hash"]
    shown = [(who, one.get("seed")) for one in entry.get("shown", ())]
    return [(who, entry.get("seed")), *map(tuple, entry.get("members", ())), *shown]


def _nameless(entries: Iterable[Mapping[str, Any]], own: Collection[str]) -> int:
    """Return the most policies that any other configuration showed without a seed, each figure once."""
    shown: dict[str, list[Completed]] = {}
    for entry in entries:
        who = entry["config_hash"]
        if entry["kind"] == "result" and who and who not in own:
            known = shown.setdefault(who, [])
            known += [run for run in runs_of(entry) if run.seed is None and not any(run.repeats(one) for one in known)]
    return max(map(len, shown.values()), default=0)


def _run(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["agent"], str(entry.get("run_id"))


def _overlap(windows: Iterable[Sequence[str]], others: Sequence[Sequence[str]]) -> bool:
    return any(first <= end and start <= last for first, last in windows for start, end in others)


def runs_of(entry: Mapping[str, Any]) -> tuple[Completed, ...]:
    """Return what a `result` showed: one run or, of a look at several policies, each of them by its place."""
    run_id, several = str(entry.get("run_id")), entry.get("shown")
    if not several:
        return (Completed(run_id, entry.get("seed"), _sharpe(entry)),)
    return tuple(
        Completed(f"{run_id}#{place}", one.get("seed"), _sharpe(one)) for place, one in enumerate(several, start=1)
    )


def _sharpe(entry: Mapping[str, Any]) -> float | None:
    """Return an entry's annual Sharpe ratio; one from before figures were annual has no unit and is not read."""
    value = entry.get("sharpe_annual")
    return float(value) if isinstance(value, int | float) else None
