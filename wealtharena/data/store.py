"""The local store: raw and processed bars as Parquet, and the catalog that says what they are.

Every file is written beside its name and renamed, and carries its own description and a digest of its content, so that
the catalog is an index which can be rebuilt, and damage is never taken for bars: a process that dies at any moment
leaves a store that reads, a changed byte one that says so. Writers take one file lock; readers take none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import filelock
import pandas as pd

from wealtharena import files
from wealtharena.config import speech
from wealtharena.data import catalog, places, stored
from wealtharena.data.bars import BAR_COLUMNS, RAW_COLUMNS, Bars, RawBars
from wealtharena.data.stored import MACRO_COLUMNS, BarFacts, Facts, MacroFacts, Stored
from wealtharena.errors import DataError

ANY: Final = "any"
_LOCK_SECONDS: Final = 120.0  # a writer holds the lock for one file; a longer wait means one that hangs


class ChangedError(DataError):
    """Another process has replaced the bars since they were looked at."""


@dataclass(frozen=True)
class Window:
    """The dates that were asked for; None is everything there is, on that side."""

    start: date | None
    end: date | None


@dataclass(frozen=True)
class Healing:
    """What came of bringing the catalog up to the files: keys that changed, and those whose file is damaged."""

    changed: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


class Store:
    """Bars and macro series below one folder (`data/` of the project, as a rule)."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._cached: tuple[tuple[int, int], dict[str, Any]] | None = None

    # -- names
    def processed_path(self, asset_class: str, symbol: str, interval: str) -> Path:
        """Return where a symbol's clean bars stand."""
        return self.root / "processed" / places.safe(asset_class) / places.file_name(symbol, interval)

    def raw_path(self, asset_class: str, provider: str, symbol: str, interval: str) -> Path:
        """Return where a symbol's bars stand as one provider gave them."""
        return self.root / "raw" / places.safe(asset_class) / places.safe(provider) / places.file_name(symbol, interval)

    def macro_path(self, series: str) -> Path:
        """Return where a macro series stands."""
        return self.root / "raw" / "macro" / "fred" / f"{places.safe(series)}.parquet"

    # -- reading
    def catalog(self) -> dict[str, Any]:
        """Return the catalog: `bars` by "class/symbol/interval", `macro` by series, `refused` with reasons.

        Raises:
            DataError: the file is not a catalog, or `data.root` no folder.
        """
        path = self.root / "catalog.json"
        try:
            status = path.stat()
        except FileNotFoundError:
            return catalog.empty()
        except OSError as error:
            raise places.unusable(self.root, error) from None
        stamp = (status.st_mtime_ns, status.st_ino)
        if self._cached is None or self._cached[0] != stamp:
            self._cached = (stamp, catalog.read(path))
        return self._cached[1]

    def read(self, asset_class: str, symbol: str, interval: str) -> Bars:
        """Return a symbol's clean bars; never a mixture of two writes, never others than were written.

        Raises:
            DataError: the store has no such bars, or the file is not what was written.
        """
        path = self.processed_path(asset_class, symbol, interval)
        key = catalog.key(asset_class, symbol, interval)
        for attempt in range(2):
            try:
                content = places.content(path)
            except (FileNotFoundError, NotADirectoryError):
                self.catalog()
                raise DataError(
                    f"the store has no {interval} bars of {symbol} ({asset_class})",
                    hint=f"{speech.COMMAND} task=collect asset={asset_class}",
                ) from None
            found = self._parse_bars(path, content)
            if self._is_the_one(found, content, self.catalog()["bars"].get(key)):
                return stored.as_bars(found)
            self._cached = None  # a writer may have been between its two renames; look again
            if attempt:
                break
        raise DataError(
            f"the stored bars of {symbol} ({asset_class}, {interval}) differ from the catalog's checksum",
            hint=f"{speech.COMMAND} task=collect asset={asset_class} makes or fetches them again",
        )

    def is_whole(self, asset_class: str, symbol: str, interval: str) -> bool:
        """Return whether `read` would return the symbol's bars."""
        try:
            self.read(asset_class, symbol, interval)
        except DataError:
            return False
        return True

    def read_raw(self, asset_class: str, provider: str, symbol: str, interval: str) -> RawBars | None:
        """Return a symbol's bars as `provider` gave them, if they are those the processed bars were made from."""
        entry = self.catalog()["bars"].get(catalog.key(asset_class, symbol, interval))
        path = self.raw_path(asset_class, provider, symbol, interval)
        if entry is None or entry["provider"] != provider or not path.exists():
            return None
        try:
            content = places.content(path)
        except DataError:
            return None
        if stored.sha256(content) != entry["raw_sha256"]:
            return None
        return stored.as_raw(stored.parse(places.label(path), content, RAW_COLUMNS, Facts))

    def read_macro(self, series: str) -> pd.DataFrame:
        """Return a macro series with its vintages: columns series, date, realtime_start (both datetime64[ns]), value.

        Raises:
            DataError: the store has no such series, or its file is not what was written.
        """
        path = self.macro_path(series)
        if not path.exists():
            self.catalog()
            raise DataError(
                f"the store has no macro series {series}",
                hint=f"{speech.COMMAND} task=collect data.macro.series=[{series}] with FRED_API_KEY set",
            )
        content = places.content(path)
        found = self._parse_macro(path, content)
        entry = self.catalog()["macro"].get(series)
        if not found.proven and (entry is None or entry["sha256"] != stored.sha256(content)):
            raise stored.damaged(places.label(path))
        return found.table

    def missing(
        self,
        asset_class: str,
        symbols: Iterable[str],
        interval: str,
        start: date | None,
        end: date | None,
        *,
        names: Mapping[str, str] | None = None,
    ) -> tuple[str, ...]:
        """Return the symbols whose stored bars were not asked for as far as [start, end] reaches.

        So are those that were asked for by another name than `names`, which is `data.provider_symbols`, gives them.
        """
        bars = self.catalog()["bars"]
        entries = {symbol: bars.get(catalog.key(asset_class, symbol, interval)) for symbol in symbols}
        return tuple(
            symbol
            for symbol, entry in entries.items()
            if not catalog.reaches(entry, start, end)
            or not catalog.is_of(entry, (names or {}).get(symbol))
            or not self.processed_path(asset_class, symbol, interval).exists()
        )

    # -- writing
    def write(
        self,
        asset_class: str,
        bars: Bars,
        *,
        raw: RawBars,
        asked: Window,
        quality: Mapping[str, Any],
        changes: pd.DataFrame | None = None,
        request: Mapping[str, Any] | None = None,
        over: str | None = ANY,
    ) -> dict[str, Any]:
        """Replace a symbol's raw and processed bars and its catalog entry; return the entry.

        `asked` is the window of the request, in which every bar was over; `quality` the report, `changes` the full
        record of repairs (timestamp, kind, field, before, after), `request` what else the entry says of the request.

        Raises:
            ChangedError: the bars that are to be replaced are not those of the checksum `over` (None: there were none).
        """
        key = catalog.key(asset_class, bars.symbol, bars.interval)
        with self.lock():
            if over != ANY and self._fresh()["bars"].get(key, {}).get("sha256") != over:
                raise ChangedError(f"another process has changed the bars of {bars.symbol}", hint="run it again")
            raw_file = self.raw_path(asset_class, raw.provider, raw.symbol, raw.interval)
            raw_sha = stored.write(raw_file, raw.table[list(RAW_COLUMNS)], stored.facts_of(raw))
            times, fetched = bars.table["timestamp"], bars.fetched_at.date()
            about = {
                **(request or {}),
                **stored.facts_of(bars),
                "asset_class": asset_class,
                "start": times.iloc[0].isoformat() if len(times) else None,
                "end": times.iloc[-1].isoformat() if len(times) else None,
                "rows": len(times),
                "asked_start": asked.start.isoformat() if asked.start else None,
                "asked_end": min(asked.end or fetched - timedelta(days=1), fetched).isoformat(),
                "raw_sha256": raw_sha,
                "notes": list(bars.notes),
                "quality": dict(quality),
            }
            path = self.processed_path(asset_class, bars.symbol, bars.interval)
            log = path.with_name(path.name.removesuffix(".parquet") + ".changes.csv")
            if changes is not None and len(changes):
                files.write_text(log, changes.to_csv(index=False))
            else:
                log.unlink(missing_ok=True)
            sha = stored.write(path, bars.table[list(BAR_COLUMNS)], about)
            return self._enter(key, self._entry(about, sha))

    def write_macro(
        self, series: str, frame: pd.DataFrame, *, fetched_at: datetime, named: str | None = None
    ) -> dict[str, Any]:
        """Replace a macro series; `frame` has `MACRO_COLUMNS`, `named` is what it is called at its source, if not so."""
        with self.lock():
            about = {
                "series": series,
                "source_symbol": named or series,
                "provider": "fred",
                "rows": len(frame),
                "start": str(frame["date"].min().date()) if len(frame) else None,
                "end": str(frame["date"].max().date()) if len(frame) else None,
                "fetched_at": fetched_at.isoformat(),
            }
            path = self.macro_path(series)
            sha = stored.write(path, frame[list(MACRO_COLUMNS)], about)
            content = self._fresh()
            content["macro"][series] = {**about, "path": self._relative(path), "sha256": sha}
            self._save(content)
            return dict(content["macro"][series])

    def refuse(self, asset_class: str, symbol: str, interval: str, *, provider: str, reason: str, at: datetime) -> None:
        """Note in the catalog that a symbol's new bars were refused; the bars already stored stay as they are."""
        with self.lock():
            content = self._fresh()
            content["refused"][catalog.key(asset_class, symbol, interval)] = {
                "provider": provider,
                "reason": reason,
                "at": at.isoformat(),
            }
            self._save(content)

    def heal(self) -> Healing:
        """Bring the catalog up to the files after a crash, and name the files that are not what was written.

        Left-over temporary files go; an entry whose file was replaced or removed is rewritten or removed. A damaged
        file never becomes an entry; one that has an entry keeps it, so that it goes on being refused and the collector
        knows what to bring back.
        """
        with self.lock():
            for left in places.left_over(self.root):
                left.unlink(missing_ok=True)
            try:
                known = self._fresh()
            except DataError:
                known = catalog.empty()
            bars, spoilt = self._found_bars(known["bars"])
            macro, lost = self._found_macro(known["macro"])
            changed = [key for key in {**bars, **known["bars"]} if bars.get(key) != known["bars"].get(key)]
            changed += [name for name in {**macro, **known["macro"]} if macro.get(name) != known["macro"].get(name)]
            if changed or not (self.root / "catalog.json").exists():
                self._save({**known, "bars": bars, "macro": macro})
            return Healing(tuple(changed), (*spoilt, *lost))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the writers; a process that dies gives it back.

        Raises:
            DataError: another process has held it for two minutes, or `data.root` cannot be written to.
        """
        held = filelock.FileLock(self.root / ".lock", is_singleton=True)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            held.acquire(timeout=_LOCK_SECONDS)
        except filelock.Timeout:
            raise DataError(
                f"another process has held the lock of the store for {_LOCK_SECONDS:g} s",
                hint=f"see what holds {self.root.name}/.lock, end it and run the command again",
            ) from None
        except OSError as error:
            raise places.unusable(self.root, files.lockless(error, self.root)) from None
        try:
            yield
        finally:
            held.release()

    # -- inside
    def _parse_bars(self, path: Path, content: bytes) -> Stored:
        """Return the bars of a file, which must stand where bars of that name stand."""
        found = stored.parse(places.label(path), content, BAR_COLUMNS, BarFacts)
        about = found.about
        if path != self.processed_path(about["asset_class"], about["symbol"], about["interval"]):
            raise stored.damaged(places.label(path))
        return found

    def _parse_macro(self, path: Path, content: bytes) -> Stored:
        found = stored.parse(places.label(path), content, MACRO_COLUMNS, MacroFacts)
        if path != self.macro_path(found.about["series"]):
            raise stored.damaged(places.label(path))
        return found

    def _is_the_one(self, found: Stored, content: bytes, entry: Mapping[str, Any] | None) -> bool:
        """Return whether a file is the catalog's, or one that proves itself and is newer than the catalog."""
        if entry is not None and entry["sha256"] == stored.sha256(content):
            return True
        return found.proven and (entry is None or found.about["fetched_at"] > entry["fetched_at"])

    def _found_bars(self, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the entries of the processed files as they are, and the names of those that are damaged."""
        by_path = {entry["path"]: key for key, entry in known.items()}
        found: dict[str, Any] = {}
        damaged: list[str] = []
        for path in sorted((self.root / "processed").glob("*/*.parquet")):
            key = by_path.get(self._relative(path))
            entry = known.get(key or "")
            try:
                content = places.content(path)
                bars = self._parse_bars(path, content)
            except DataError:
                bars = None
            if bars is not None and (bars.proven or (entry and entry["sha256"] == stored.sha256(content))):
                about = bars.about
                name = catalog.key(about["asset_class"], about["symbol"], about["interval"])
                found[name] = self._entry(about, stored.sha256(content))
            else:
                damaged.append(key or self._relative(path))
                if key:
                    found[key] = entry
        return found, damaged

    def _found_macro(self, known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the entries of the macro files as they are, and the names of those that are damaged."""
        found: dict[str, Any] = {}
        damaged: list[str] = []
        for path in sorted((self.root / "raw" / "macro" / "fred").glob("*.parquet")):
            try:
                content = places.content(path)
                series = self._parse_macro(path, content)
            except DataError:
                series = None
            sums = {entry["sha256"] for entry in known.values()}
            if series is not None and (series.proven or stored.sha256(content) in sums):
                about = series.about
                found[about["series"]] = {**about, "path": self._relative(path), "sha256": stored.sha256(content)}
            else:
                damaged.append(self._relative(path))  # without an entry, it is fetched again
        return found, damaged

    def _entry(self, about: dict[str, Any], sha: str) -> dict[str, Any]:
        where = (about["asset_class"], about["symbol"], about["interval"])
        raw = self.raw_path(about["asset_class"], about["provider"], about["symbol"], about["interval"])
        paths = {"path": self._relative(self.processed_path(*where)), "raw_path": self._relative(raw)}
        return {**about, **paths, "sha256": sha}

    def _enter(self, key: str, entry: dict[str, Any]) -> dict[str, Any]:
        content = self._fresh()
        content["bars"][key] = entry
        content["refused"].pop(key, None)
        self._save(content)
        return entry

    def _fresh(self) -> dict[str, Any]:
        self._cached = None
        return json.loads(json.dumps(self.catalog()))  # type: ignore[no-any-return]  # a deep copy of a dict

    def _save(self, content: dict[str, Any]) -> None:
        files.write_json(self.root / "catalog.json", content)
        self._cached = None

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
