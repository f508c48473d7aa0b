"""Which dates a checkpoint learnt from and which it was kept from, by its own record, whatever split a command asks for.

Which rows are a test window is settled when a policy is trained: a later command that cuts time elsewhere makes none of
them unseen, and none of them free to look at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.agents.policy import WEIGHTS_FILE
from wealtharena.evaluation import records
from wealtharena.evaluation.splits import Segment
from wealtharena.registry.metadata import SCHEMA_VERSION
from wealtharena.tasks.pipeline import Prepared, split_of

BoolArray = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]
Spans = tuple[tuple[str, str], ...]  # first and last dates
_DEEP = 8  # folders that a candidate lies below its run directory, at most


@dataclass(frozen=True)
class Origin:
    """The dates of training and selection, and of the test window, as a run wrote them; both are empty where it wrote none."""

    learnt: Spans
    kept: Spans

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Origin:
        """Return what run.json or metadata.json says; of a version without `split` what its track record does."""
        split = facts.get("split") or {}
        shown = (facts.get("track_record") or {}).get("dates") or ()
        test = split.get("test") or ([shown[0], shown[-1]] if shown else ())
        return cls((*_spans(split.get("train")), *_spans(split.get("validation"))), _spans(test))

    @property
    def known(self) -> bool:
        return bool(self.learnt or self.kept)

    def keeps(self, days: Days) -> BoolArray:
        """Return which days are its test window: all after the last that it learnt from, and those that it says.

        All are where nothing is known.
        """
        if not self.known:
            return np.ones(days.shape, dtype=np.bool_)
        return self._after(days) | _within(days, self.kept)

    def learns(self, days: Days) -> BoolArray:
        """Return which rows, by their days, it learnt from or was chosen by; without a record of them all before its test.

        Of a day on which its selection ends and its test begins that is the first bar, the one that is surely not tested.
        """
        if not self.learnt:
            return ~self.keeps(days)
        found = _within(days, self.learnt)
        last = max(last for _, last in self.learnt)
        if any(first == last for first, _ in self.kept):
            found[np.flatnonzero(days == np.datetime64(last, "D"))[1:]] = False
        return found

    def _after(self, days: Days) -> BoolArray:
        if self.learnt:
            return days > np.datetime64(max(last for _, last in self.learnt), "D")
        return days >= np.datetime64(min(first for first, _ in self.kept), "D")


def origin_of(place: Path, facts: Mapping[str, Any]) -> Origin:
    """Return the origin of a checkpoint by its `facts` or, of a candidate's folder, by the run directory around it."""
    own, place = Origin.of(facts), place.resolve()
    if own.known:
        chosen = (facts.get("checkpoint") or {}).get("path")
        return _of_fold(facts, Path(str(chosen))) if chosen else own
    around = _around(place)
    return _of_fold(records.known(around[0]).content, place.relative_to(around[0])) if around else own


def facts_of(place: Path) -> Mapping[str, Any]:
    """Return what a version says of itself, or the run that a run directory or a candidate's folder is of; nothing where none does."""
    if own := records.facts(place / "metadata.json", known=SCHEMA_VERSION):
        return own
    found = [folder for folder in (place.resolve(), *_around(place.resolve())) if (folder / records.RUN_FILE).is_file()]
    return dict(records.known(found[0]).content) if found else {}


def trained_as(place: Path, facts: Mapping[str, Any], policy: Path) -> tuple[str, int | None]:
    """Return hash of configuration and seed of a checkpoint, of a candidate's folder those of its run.

    Where nobody says them, as of a candidate that was copied out of its run, the hash of what it learned stands for the
    configuration: without one a look at it would be no trial, and any number of them could be compared on a test window.
    """
    around = () if facts.get("config_hash") else _around(place.resolve())
    said = records.known(around[0]).content if around else facts
    chosen = said.get("checkpoint") or {}
    inside = place.resolve().relative_to(around[0]) if around else Path()
    # of a search, whose run.json is the winner's
    if inside.parts[:1] == ("finalists",) and str(inside) != chosen.get("path"):
        return _learned(policy), None
    return str(said.get("config_hash") or _learned(policy)), chosen.get("seed", said.get("seed"))


def _learned(policy: Path) -> str:
    return hashlib.sha256((policy / WEIGHTS_FILE).read_bytes()).hexdigest()[:16]


def _around(place: Path) -> list[Path]:
    return [folder for folder in place.parents[:_DEEP] if (folder / records.RUN_FILE).is_file()]


def _of_fold(run: Mapping[str, Any], inside: Path) -> Origin:
    """Return the origin of a candidate by its path in the run; run.json's `split` has the last fold's training and selection.

    Of another fold whose own are not written down nobody knows what it learnt from: all up to the end of the test then.
    """
    split, folds = Origin.of(run), run.get("folds") or ()
    if len(inside.parts) < 2 or inside.parts[0] != "folds":
        return split
    index = int(inside.parts[1])
    if run.get("status") == "completed" and folds and folds[-1].get("index") == index:
        return split
    dates = next((fold.get("dates") for fold in folds if fold.get("index") == index), None)
    if dates is None:
        spans = (*split.learnt, *split.kept)
        return Origin(_hull(spans), split.kept) if spans else split
    fold = Origin.of({"split": dates})
    return Origin(fold.learnt, (*fold.kept, *split.kept))


def kept(origins: Sequence[Origin], prepared: Prepared, window: Segment) -> BoolArray:
    """Return which rows of a window are a test window: of the split at hand, or of any policy that is played."""
    found = _tested(prepared)
    for origin in _foreign(origins, prepared):
        found |= origin.keeps(_days(prepared))
    return found[window.start : window.stop]


def beside(origins: Sequence[Origin], prepared: Prepared, window: Segment) -> Segment | None:
    """Return the rows of a window from its first test row on, where some of these are none of the split at hand."""
    rows = kept(origins, prepared, window)
    if not (rows & ~_tested(prepared)[window.start : window.stop]).any():
        return None
    return Segment(window.start + int(np.argmax(rows)), window.stop)


def seen_in(origins: Sequence[Origin], prepared: Prepared, window: Segment, *, unseen: int) -> bool:
    """Return whether training or selection saw a row of the window; by the split at hand from row `unseen` on none was.

    The split at hand speaks too where an origin does not say what it learnt from: the tests of all folds, which is all
    that it has, lie in part in the training of the last.
    """
    foreign = [origin for origin in _foreign(origins, prepared) if origin.known]
    if any(origin.learns(_days(prepared))[window.start : window.stop].any() for origin in foreign):
        return True
    telling = [origin for origin in foreign if origin.learnt]
    return len(telling) < max(len(origins), 1) and window.start < unseen


def _foreign(origins: Sequence[Origin], prepared: Prepared) -> list[Origin]:
    """Return the origins in another split than the one at hand, whose borders are known to the row."""
    here = Origin.of({"split": split_of(prepared)})
    return [origin for origin in origins if origin != here]


def _tested(prepared: Prepared) -> BoolArray:
    found = np.zeros(prepared.sealed.bars, dtype=np.bool_)
    for fold in prepared.folds:
        for segment in fold.test:
            found[segment.start : segment.stop] = True
    return found


def _days(prepared: Prepared) -> Days:
    return prepared.sealed.timestamps.astype("datetime64[D]")


def _spans(dates: Any) -> Spans:
    """Return `[first, last]`, or several of them, as pairs."""
    if not dates:
        return ()
    pairs = [dates] if isinstance(dates[0], str) else dates
    return tuple((str(first), str(last)) for first, last in pairs)


def _hull(spans: Spans) -> Spans:
    return ((min(first for first, _ in spans), max(last for _, last in spans)),)


def _within(days: Days, spans: Spans) -> BoolArray:
    found = np.zeros(days.shape, dtype=np.bool_)
    for first, last in spans:
        found |= (days >= np.datetime64(first, "D")) & (days <= np.datetime64(last, "D"))
    return found
