"""The local store: raw and processed bars as Parquet, and the catalog that says what they are.

Every file is written beside its name and renamed, and every processed file carries its own description, so that the
catalog is an index which can be rebuilt: a process that dies at any moment leaves a store that reads. Writers take
one file lock; readers take none.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wealtharena import files
from wealtharena.data.bars import BAR_COLUMNS, RAW_COLUMNS, TIMESTAMP_DTYPE, Bars, RawBars
from wealtharena.errors import DataError

SCHEMA_VERSION: Final = 1
_KEY: Final = b"wealtharena"
_EMPTY: Final[dict[str, Any]] = {"schema_version": SCHEMA_VERSION, "bars": {}, "macro": {}, "refused": {}}
MACRO_COLUMNS: Final = ("series", "date", "realtime_start", "value")


@dataclass(frozen=True)
class Window:
    """The dates that were asked for; None is everything there is, on that side."""

    start: date | None
    end: date | None


class Store:
    """Bars and macro series below one folder (`data/` of the project, as a rule)."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._cached: tuple[tuple[int, int], dict[str, Any]] | None = None

    # -- names
    def processed_path(self, asset_class: str, symbol: str, interval: str) -> Path:
        """Return where a symbol's clean bars stand."""
        return self.root / "processed" / _safe(asset_class) / _file_name(symbol, interval)

    def raw_path(self, asset_class: str, provider: str, symbol: str, interval: str) -> Path:
        """Return where a symbol's bars stand as one provider gave them."""
        return self.root / "raw" / _safe(asset_class) / _safe(provider) / _file_name(symbol, interval)

    def macro_path(self, series: str) -> Path:
        """Return where a macro series stands."""
        return self.root / "raw" / "macro" / "fred" / f"{_safe(series)}.parquet"

    # -- reading
    def catalog(self) -> dict[str, Any]:
        """Return the catalog: `bars` by "class/symbol/interval", `macro` by series, `refused` with reasons.

        Raises:
            DataError: the file is not a catalog.
        """
        path = self.root / "catalog.json"
        try:
            status = path.stat()
        except FileNotFoundError:
            return json.loads(json.dumps(_EMPTY))  # type: ignore[no-any-return]  # a fresh copy of a dict
        stamp = (status.st_mtime_ns, status.st_ino)
        if self._cached is None or self._cached[0] != stamp:
            try:
                content = json.loads(path.read_text())
            except ValueError:
                content = None
            if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
                raise DataError(
                    f"{path.name} of the store is damaged or of another version",
                    hint="delete it: the next task=collect rebuilds it from the files",
                )
            self._cached = (stamp, content)
        return self._cached[1]

    def read(self, asset_class: str, symbol: str, interval: str) -> Bars:
        """Return a symbol's clean bars; never a mixture of two writes.

        Raises:
            DataError: the store has no such bars, or the file is not what the catalog says.
        """
        path = self.processed_path(asset_class, symbol, interval)
        for attempt in range(2):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                raise DataError(
                    f"the store has no {interval} bars of {symbol} ({asset_class})",
                    hint=f"python run.py task=collect asset={asset_class}",
                ) from None
            table, about = _parse(path, content)
            entry = self.catalog()["bars"].get(_key(asset_class, symbol, interval))
            if entry is None or entry["sha256"] == _sha(content) or about["fetched_at"] > entry["fetched_at"]:
                return _bars(table, about)
            self._cached = None  # a writer may have been between its two renames; look again
            if attempt:
                break
        raise DataError(
            f"the stored bars of {symbol} ({asset_class}, {interval}) differ from the catalog's checksum",
            hint=f"fetch them again: python run.py task=collect asset={asset_class} collect.refresh=true",
        )

    def read_raw(self, asset_class: str, provider: str, symbol: str, interval: str) -> RawBars | None:
        """Return a symbol's bars as `provider` gave them, if they are those the processed bars were made from."""
        entry = self.catalog()["bars"].get(_key(asset_class, symbol, interval))
        path = self.raw_path(asset_class, provider, symbol, interval)
        if entry is None or entry["provider"] != provider or not path.exists():
            return None
        content = path.read_bytes()
        if _sha(content) != entry["raw_sha256"]:
            return None
        table, about = _parse(path, content)
        return RawBars(
            provider=provider,
            symbol=symbol,
            interval=interval,
            table=_typed(table, RAW_COLUMNS),
            currency=about["currency"],
            volume_unit=about["volume_unit"],
            adjusted=about["adjusted"],
            fetched_at=datetime.fromisoformat(about["fetched_at"]),
        )

    def read_macro(self, series: str) -> pd.DataFrame:
        """Return a macro series with its vintages: columns series, date, realtime_start (both datetime64[ns]), value.

        Raises:
            DataError: the store has no such series, or its file is damaged.
        """
        path = self.macro_path(series)
        if not path.exists():
            raise DataError(
                f"the store has no macro series {series}",
                hint=f"python run.py task=collect data.macro.series=[{series}] with FRED_API_KEY set",
            )
        table, _ = _parse(path, path.read_bytes())
        frame: pd.DataFrame = table.to_pandas()
        for name in ("date", "realtime_start"):
            frame[name] = pd.to_datetime(frame[name]).dt.as_unit("ns")
        return frame[list(MACRO_COLUMNS)]

    def missing(
        self, asset_class: str, symbols: Iterable[str], interval: str, start: date | None, end: date | None
    ) -> tuple[str, ...]:
        """Return the symbols whose stored bars were not asked for as far as [start, end] reaches."""
        bars = self.catalog()["bars"]
        return tuple(
            symbol
            for symbol in symbols
            if not _reaches(bars.get(_key(asset_class, symbol, interval)), start, end)
            or not self.processed_path(asset_class, symbol, interval).exists()
        )

    def covers(
        self, asset_class: str, symbols: Iterable[str], interval: str, start: date | None, end: date | None
    ) -> bool:
        """Return True if every symbol is stored as far as [start, end] reaches; end None takes what the store has."""
        return not self.missing(asset_class, symbols, interval, start, end)

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
    ) -> dict[str, Any]:
        """Replace a symbol's raw and processed bars and its catalog entry; return the entry.

        `asked` is the window of the request, `quality` the report, `changes` the full record of repairs
        (timestamp, kind, field, before, after).
        """
        with self.lock():
            raw_file = self.raw_path(asset_class, raw.provider, raw.symbol, raw.interval)
            raw_sha = _write(raw_file, raw.table[list(RAW_COLUMNS)], _facts(raw))
            times = bars.table["timestamp"]
            about = {
                **_facts(bars),
                "asset_class": asset_class,
                "start": times.iloc[0].isoformat() if len(times) else None,
                "end": times.iloc[-1].isoformat() if len(times) else None,
                "rows": len(times),
                "asked_start": asked.start.isoformat() if asked.start else None,
                "asked_end": min(asked.end or bars.fetched_at.date(), bars.fetched_at.date()).isoformat(),
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
            sha = _write(path, bars.table[list(BAR_COLUMNS)], about)
            return self._enter(_key(asset_class, bars.symbol, bars.interval), self._entry(about, sha))

    def write_macro(self, series: str, frame: pd.DataFrame, *, fetched_at: datetime) -> dict[str, Any]:
        """Replace a macro series; `frame` has `MACRO_COLUMNS`."""
        with self.lock():
            about = {
                "series": series,
                "provider": "fred",
                "rows": len(frame),
                "start": str(frame["date"].min().date()) if len(frame) else None,
                "end": str(frame["date"].max().date()) if len(frame) else None,
                "fetched_at": fetched_at.isoformat(),
            }
            path = self.macro_path(series)
            sha = _write(path, frame[list(MACRO_COLUMNS)], about)
            catalog = self._fresh()
            catalog["macro"][series] = {**about, "path": self._relative(path), "sha256": sha}
            self._save(catalog)
            return dict(catalog["macro"][series])

    def refuse(self, asset_class: str, symbol: str, interval: str, *, provider: str, reason: str, at: datetime) -> None:
        """Note in the catalog that a symbol's new bars were refused; the bars already stored stay as they are."""
        with self.lock():
            catalog = self._fresh()
            catalog["refused"][_key(asset_class, symbol, interval)] = {
                "provider": provider,
                "reason": reason,
                "at": at.isoformat(),
            }
            self._save(catalog)

    def heal(self) -> tuple[str, ...]:
        """Bring the catalog up to the files after a crash; return the keys that changed.

        Left-over temporary files go; an entry whose file was replaced or removed is rewritten or removed.
        """
        if not self.root.exists():
            return ()
        with self.lock():
            for left in self.root.rglob(".*.tmp"):
                left.unlink(missing_ok=True)
            try:
                catalog = self._fresh()
            except DataError:
                catalog = json.loads(json.dumps(_EMPTY))
            found, changed = {}, []
            for path in sorted((self.root / "processed").glob("*/*.parquet")):
                content = path.read_bytes()
                try:
                    _, about = _parse(path, content)
                except DataError:
                    continue  # a damaged file is left out of the catalog, so that it is fetched again
                key = _key(about["asset_class"], about["symbol"], about["interval"])
                found[key] = self._entry(about, _sha(content))
                if catalog["bars"].get(key) != found[key]:
                    changed.append(key)
            changed += [key for key in catalog["bars"] if key not in found]
            if changed:
                self._save({**catalog, "bars": found})
            return tuple(changed)

    def lock(self) -> filelock.BaseFileLock:
        """Return the lock that writers hold; a process that dies gives it back."""
        self.root.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(self.root / ".lock", is_singleton=True)

    # -- inside
    def _entry(self, about: dict[str, Any], sha: str) -> dict[str, Any]:
        where = (about["asset_class"], about["symbol"], about["interval"])
        raw = self.raw_path(about["asset_class"], about["provider"], about["symbol"], about["interval"])
        paths = {"path": self._relative(self.processed_path(*where)), "raw_path": self._relative(raw)}
        return {**about, **paths, "sha256": sha}

    def _enter(self, key: str, entry: dict[str, Any]) -> dict[str, Any]:
        catalog = self._fresh()
        catalog["bars"][key] = entry
        catalog["refused"].pop(key, None)
        self._save(catalog)
        return entry

    def _fresh(self) -> dict[str, Any]:
        self._cached = None
        return json.loads(json.dumps(self.catalog()))  # type: ignore[no-any-return]  # a deep copy of a dict

    def _save(self, catalog: dict[str, Any]) -> None:
        files.write_json(self.root / "catalog.json", catalog)
        self._cached = None

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _safe(name: str) -> str:
    if name in ("", ".", ".."):
        raise DataError(f"{name!r} is no name for a symbol, a class or a provider")
    return quote(name, safe="=^-_.")


def _file_name(symbol: str, interval: str) -> str:
    return f"{_safe(symbol)}.parquet" if interval == "1d" else f"{_safe(symbol)}.{_safe(interval)}.parquet"


def _key(asset_class: str, symbol: str, interval: str) -> str:
    return f"{asset_class}/{symbol}/{interval}"


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _facts(bars: RawBars | Bars) -> dict[str, Any]:
    return {
        "provider": bars.provider,
        "symbol": bars.symbol,
        "interval": bars.interval,
        "currency": bars.currency,
        "volume_unit": bars.volume_unit,
        "adjusted": bars.adjusted,
        "fetched_at": bars.fetched_at.isoformat(),
    }


def _write(path: Path, frame: pd.DataFrame, about: Mapping[str, Any]) -> str:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({_KEY: json.dumps(about, allow_nan=False).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    content = buffer.getvalue()
    files.write_bytes(path, content)
    return _sha(content)


def _parse(path: Path, content: bytes) -> tuple[pa.Table, dict[str, Any]]:
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()
        return table, json.loads(table.schema.metadata[_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{path.parent.name}/{path.name} of the store is damaged",
            hint="delete it and run task=collect again",
        ) from None


def _typed(table: pa.Table, columns: tuple[str, ...]) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()[list(columns)]
    frame["timestamp"] = frame["timestamp"].astype(TIMESTAMP_DTYPE)
    return frame


def _bars(table: pa.Table, about: Mapping[str, Any]) -> Bars:
    return Bars(
        provider=about["provider"],
        symbol=about["symbol"],
        interval=about["interval"],
        table=_typed(table, BAR_COLUMNS),
        currency=about["currency"],
        volume_unit=about["volume_unit"],
        adjusted=about["adjusted"],
        fetched_at=datetime.fromisoformat(about["fetched_at"]),
        notes=tuple(about["notes"]),
    )


def _reaches(entry: Mapping[str, Any] | None, start: date | None, end: date | None) -> bool:
    if entry is None:
        return False
    asked_start = entry["asked_start"]
    early = asked_start is None or (start is not None and date.fromisoformat(asked_start) <= start)
    late = end is None or date.fromisoformat(entry["asked_end"]) >= end
    return early and late
