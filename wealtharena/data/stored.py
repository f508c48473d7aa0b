"""The form of one file of the store: a Parquet table, what it is, and a digest over both.

A changed byte is seen from the file alone, so that no index has to be trusted, and none can make damage look whole.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from wealtharena import files
from wealtharena.data.bars import (
    BAR_COLUMNS,
    RAW_COLUMNS,
    TIMESTAMP_DTYPE,
    Adjustment,
    Bars,
    RawBars,
    Repairs,
    VolumeUnit,
)
from wealtharena.errors import DataError

MACRO_COLUMNS: Final = ("series", "date", "realtime_start", "value")
_KEY: Final = b"wealtharena"
_DIGEST: Final = "content_sha256"


class Facts(BaseModel):
    """What any file of bars says of itself; more may stand beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    provider: str
    symbol: str
    interval: str
    currency: str
    volume_unit: VolumeUnit
    adjusted: Adjustment
    fetched_at: AwareDatetime


class Judgement(BaseModel):
    """What a file of clean bars says of how they were judged; the rest of it is for people."""

    model_config = ConfigDict(extra="allow", strict=True)

    rows_in: int = 0
    repaired: dict[str, int] = {}


class BarFacts(Facts):
    """What a file of clean bars says of itself beyond that: the class, the window asked for, the judgement."""

    asset_class: str
    start: datetime | None
    end: datetime | None
    rows: int
    asked_start: str | None
    asked_end: str
    raw_sha256: str
    notes: list[str]
    quality: Judgement


class MacroFacts(BaseModel):
    """What a file of a macro series says of itself."""

    model_config = ConfigDict(extra="allow", strict=True)

    series: str
    provider: str
    rows: int
    start: str | None
    end: str | None
    fetched_at: AwareDatetime


F = TypeVar("F", bound=BaseModel)


@dataclass(frozen=True, eq=False)
class Stored:
    """A file as it was read: its table, what it says of itself, and whether its digest is there and right."""

    table: pd.DataFrame
    about: dict[str, Any]
    proven: bool


def write(path: Path, frame: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """Replace a file by a table and what it is; return the sha256 of the file."""
    about = json.loads(json.dumps(about, allow_nan=False))
    described = {**about, _DIGEST: digest(frame, about)}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({_KEY: json.dumps(described).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    content = buffer.getvalue()
    files.write_bytes(path, content)
    return sha256(content)


def parse(name: str, content: bytes, columns: tuple[str, ...], facts: type[F]) -> Stored:
    """Return what a file holds; `proven` is False where it carries no digest, as those written before there was one.

    Raises:
        DataError: it is no file of the store, of another kind, or not what was written.
    """
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()
        about = json.loads((table.schema.metadata or {})[_KEY])
        claimed = about.pop(_DIGEST, None)
        facts.model_validate_json(json.dumps(about))
        frame = _typed(table.to_pandas(), columns)
        proven = claimed is not None and claimed == digest(frame, about)
    except (
        pa.ArrowException,
        ValidationError,
        OSError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ):
        raise damaged(name) from None
    if claimed is not None and not proven:
        raise damaged(name)
    return Stored(frame, about, proven)


def damaged(name: str) -> DataError:
    """Return the error for a file of the store that is not what was written."""
    return DataError(f"{name} of the store is damaged", hint="the next task=collect makes it again or fetches it")


def digest(frame: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """Return the sha256 of a table's values, column by column, and of what is said about it."""
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in frame.columns:
        content = _bytes(frame[name])
        found.update(f"{name}:{len(content)}:".encode())
        found.update(content)
    return found.hexdigest()


def _bytes(values: pd.Series[Any]) -> bytes:
    """Return a column's values as bytes that do not depend on how they are kept: every NaN is the same one."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return pd.DatetimeIndex(values).as_unit("ns").asi8.tobytes()
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isnan(numbers), np.nan, numbers).tobytes()
    return json.dumps(values.tolist()).encode()


def sha256(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def facts_of(bars: RawBars | Bars) -> dict[str, Any]:
    """Return what a file of these bars says of itself, whichever kind they are."""
    return {
        "provider": bars.provider,
        "symbol": bars.symbol,
        "interval": bars.interval,
        "currency": bars.currency,
        "volume_unit": bars.volume_unit,
        "adjusted": bars.adjusted,
        "fetched_at": bars.fetched_at.isoformat(),
    }


def as_raw(found: Stored) -> RawBars:
    """Return the raw bars of a file."""
    return RawBars(**_common(found))


def as_bars(found: Stored) -> Bars:
    """Return the clean bars of a file."""
    judged = Judgement.model_validate(found.about["quality"])
    repairs = Repairs(judged.rows_in, tuple(judged.repaired.items()))
    return Bars(**_common(found), notes=tuple(found.about["notes"]), repairs=repairs)


def _common(found: Stored) -> dict[str, Any]:
    about = found.about
    return {
        "provider": about["provider"],
        "symbol": about["symbol"],
        "interval": about["interval"],
        "table": found.table,
        "currency": about["currency"],
        "volume_unit": about["volume_unit"],
        "adjusted": about["adjusted"],
        "fetched_at": datetime.fromisoformat(about["fetched_at"]),
    }


def _typed(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return exactly the columns that the kind of file has, in their types; KeyError where one is lacking."""
    frame = frame[list(columns)]
    if columns == MACRO_COLUMNS:
        return frame.assign(
            **{name: pd.to_datetime(frame[name]).dt.as_unit("ns") for name in ("date", "realtime_start")}
        )
    numbers = {name: frame[name].astype("float64") for name in RAW_COLUMNS[1:]}
    flags = {"tradable": frame["tradable"].astype("bool")} if columns == BAR_COLUMNS else {}
    return frame.assign(timestamp=frame["timestamp"].astype(TIMESTAMP_DTYPE), **numbers, **flags)
