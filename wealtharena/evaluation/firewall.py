"""The wall between what an agent may learn from and what it is judged on.

`seal` takes a whole feature panel and gives back a `SealedPanel`. Training, tuning and selection get
`SealedPanel.training(fold)`, whose arrays end where validation ends (for `cpcv`: lack the rows of the test groups and
of the purge and embargo beside them) and own their memory. The other rows stand in a file without a name; nothing in
the process holds them until `SealedPanel.open_test`, or `open_rows` for a test window of another split, has written to the
ledger.
"""

from __future__ import annotations

import hashlib
import itertools
import mmap
import pickle
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from wealtharena.data.panel import Panel, Rows
from wealtharena.errors import FirewallError
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.evaluation.splits import Fold, Segment
from wealtharena.features.panel import FeaturePanel

OPEN_NAMES = frozenset({"timestamps", "simulated"})  # of a panel's fields: no secret behind the wall


class TrainingPanel(Panel):
    """A panel that ends where validation ends; asking it for a later bar raises FirewallError."""

    def take(self, rows: Rows) -> Panel:
        _guard(rows, self.bars)
        return super().take(rows)


class TrainingFeatures(FeaturePanel):
    """Features that end where validation ends; asking them for a later row raises FirewallError."""

    def take(self, rows: Rows) -> FeaturePanel:
        _guard(rows, self.bars)
        return super().take(rows)


@dataclass(frozen=True, eq=False)
class TrainingView:
    """What the training of one fold may see; segments index into `features`."""

    features: FeaturePanel
    train: tuple[Segment, ...]
    validation: Segment


@dataclass(frozen=True, eq=False)
class OpenedView:
    """What the judgement of one fold may see: all rows up to the last test row, so that windows reach back."""

    features: FeaturePanel
    test: tuple[Segment, ...]


def training_view(features: FeaturePanel, fold: Fold) -> TrainingView:
    """Return the fold's training rows as arrays of their own; no view of them leads to a later or removed row."""
    rows = _rows_kept(fold)
    kept = features.take(rows)
    panel = TrainingPanel(**{item.name: getattr(kept.panel, item.name) for item in fields(Panel)})
    view = TrainingFeatures(
        panel=panel, values=kept.values, names=kept.names, warmup_bars=kept.warmup_bars, lead=kept.lead
    )
    return TrainingView(view, tuple(_moved(s, rows) for s in fold.train), _moved(fold.validation, rows))


def _rows_kept(fold: Fold) -> npt.NDArray[np.int64]:
    """Return training and validation rows and the purged rows between them, never a test row or one near it."""
    parts = sorted((*fold.train, fold.validation))
    rows = [parts[0].rows()]
    for left, right in itertools.pairwise(parts):
        apart = any(test.start < right.start and left.stop < test.stop for test in fold.test)
        start = right.start if apart else left.stop
        rows.append(np.arange(start, right.stop, dtype=np.int64))
    return np.concatenate(rows)


def _moved(segment: Segment, rows: npt.NDArray[np.int64]) -> Segment:
    start = int(np.searchsorted(rows, segment.start))
    return Segment(start, start + segment.bars)


def seal(features: FeaturePanel, folds: tuple[Fold, ...]) -> SealedPanel:
    """Return the sealed panel; let go of your own references to `features` and to its panel afterwards.

    The rows are written to a file that has no name and that no other program can open; it vanishes with the process.
    Raises ValueError without folds, or for one that reaches beyond the rows.
    """
    if not folds:
        raise ValueError("no folds to seal")
    if max(segment.stop for fold in folds for segment in fold.test) > features.bars:
        raise ValueError(f"a fold reaches beyond the panel's {features.bars} rows")
    store = tempfile.TemporaryFile(prefix="wealtharena-")  # noqa: SIM115  # lives as long as the sealed panel
    places = []
    for item in (*(training_view(features, fold) for fold in folds), features):
        places.append(store.tell())
        pickle.dump(item, store, protocol=pickle.HIGHEST_PROTOCOL)
    store.flush()

    def read(item: int) -> Any:
        # not by the file's own position, which all threads and forked processes share
        with mmap.mmap(store.fileno(), 0, access=mmap.ACCESS_READ) as content:
            content.seek(places[item])
            return pickle.load(content)  # our own bytes, in a file that nothing else can reach

    panel = features.panel
    identity = Window(panel.fingerprint, (), panel.symbols, panel.frequency, panel.simulated, content_of(panel))
    sealed = SealedPanel(folds, read, market=identity, timestamps=panel.timestamps.copy())
    weakref.finalize(sealed, store.close)
    return sealed


def content_of(panel: Panel) -> str:
    """Return the sha256 of a panel's bars by their closes: the same for the same bars, whatever their symbols are called."""
    each = sorted(hashlib.sha256(np.ascontiguousarray(column).tobytes()).digest() for column in panel.close.T)
    times = panel.timestamps.astype("datetime64[ns]").astype(np.int64)
    return hashlib.sha256(times.tobytes() + b"".join(each)).hexdigest()


class SealedPanel:
    """A feature panel behind the wall: gives training rows freely, and others only after a line in the ledger."""

    def __init__(
        self,
        folds: tuple[Fold, ...],
        read: Callable[[int], Any],
        *,
        market: Window,
        timestamps: npt.NDArray[np.datetime64],
    ) -> None:
        self.folds = folds
        self._market = market
        self.timestamps = timestamps
        self.__read = read

    @property
    def bars(self) -> int:
        return int(self.timestamps.shape[0])

    @property
    def fingerprint(self) -> str:
        return self._market.fingerprint

    @property
    def simulated(self) -> bool:
        return self._market.simulated

    @property
    def window(self) -> Window:
        """Return the test window of all folds, as the ledger knows it."""
        return self._window([segment for fold in self.folds for segment in fold.test])

    @property
    def selection(self) -> Window:
        """Return the validation windows of all folds, as the ledger knows them; a day on which a fold's test begins is left out."""
        days = self.timestamps.astype("datetime64[D]")
        spans = []
        for fold in self.folds:
            tested = np.concatenate([days[segment.rows()] for segment in fold.test])
            own = days[fold.validation.rows()]
            own = own[~np.isin(own, tested)]
            spans += [(str(own[0]), str(own[-1]))] if own.size else []
        return replace(self._market, dates=tuple(spans))

    def window_and(self, rows: Segment) -> Window:
        """Return the test window of all folds and `rows` beside it, as the ledger knows it."""
        return self._window([*(segment for fold in self.folds for segment in fold.test), rows])

    def _window(self, segments: Sequence[Segment]) -> Window:
        return replace(self._market, dates=self.dates(tuple(segments)))

    def training(self, fold: int) -> TrainingView:
        """Return what the training of `folds[fold]` may see."""
        view = self.__read(self.folds.index(self.folds[fold]))
        assert isinstance(view, TrainingView)
        return view

    def dates(self, segments: tuple[Segment, ...]) -> tuple[tuple[str, str], ...]:
        """Return first and last date of each segment; dates are no secret."""
        days = self.timestamps.astype("datetime64[D]").astype(str)
        return tuple((str(days[s.start]), str(days[s.stop - 1])) for s in segments)

    def open_test(self, fold: int, *, ledger: Ledger, identity: RunIdentity) -> OpenedView:
        """Return the test rows of `folds[fold]`, after a line in the ledger that says so.

        Raises FirewallError where the ledger cannot be written.
        """
        chosen = self.folds[fold]
        features = self._open(chosen.test, fold=chosen.index, ledger=ledger, identity=identity)
        return OpenedView(features, chosen.test)

    def open_rows(self, rows: Segment, *, ledger: Ledger, identity: RunIdentity) -> FeaturePanel:
        """Return all rows up to the end of `rows`, the test window of another split, after the same line in the ledger."""
        return self._open((rows,), fold=None, ledger=ledger, identity=identity)

    def _open(
        self, rows: tuple[Segment, ...], *, fold: int | None, ledger: Ledger, identity: RunIdentity
    ) -> FeaturePanel:
        ledger.record_opening(identity, window=self._window(rows), fold=fold)
        features = self.__read(len(self.folds))
        assert isinstance(features, FeaturePanel)
        return features.slice(0, max(segment.stop for segment in rows))

    def __getattr__(self, name: str) -> NoReturn:
        if name in _CLOSED_NAMES:
            raise FirewallError(
                f"`{name}` of a sealed panel would show test rows", hint="use training(fold), or open_test once"
            )
        raise AttributeError(f"SealedPanel has no attribute {name!r}")

    def __getitem__(self, rows: object) -> NoReturn:
        raise FirewallError("a sealed panel gives no rows by index", hint="use training(fold), or open_test once")

    def __iter__(self) -> NoReturn:
        raise FirewallError("a sealed panel gives no rows by iteration", hint="use training(fold), or open_test once")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise FirewallError(
            "a sealed panel, and a study, which holds one, is not copied or sent to another process",
            hint="send training(fold) instead, and make a study there: Study.of(bars, ...)",
        )


_CLOSED_NAMES = (
    frozenset(
        {field.name for cls in (Panel, FeaturePanel) for field in fields(cls)}
        | {"take", "slice", "test", "panel", "to_numpy"}
    )
    - OPEN_NAMES
)


def _guard(rows: Rows, bars: int) -> None:
    last = (rows.stop or bars) - 1 if isinstance(rows, slice) else int(np.max(rows, initial=0))
    if last >= bars:
        raise FirewallError(
            f"row {last} lies beyond the {bars} rows of the training view", hint="only open_test gives later rows"
        )
