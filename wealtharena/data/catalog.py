"""The catalog of the store: an index of its files that can be made again from them, and is checked when it is read."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator

from wealtharena.config.specs.data import DataSpec
from wealtharena.data.stored import BarFacts, MacroFacts
from wealtharena.errors import DataError

SCHEMA_VERSION: Final = 1
_JUDGE: Final = Path(__file__).parent / "quality"


class _BarEntry(BarFacts):
    path: str
    raw_path: str
    sha256: str
    source_symbol: str | None = None  # the name asked for at the source, as data.provider_symbols has it
    form: str | None = None  # what else the source's numbers depend on
    compared_at: AwareDatetime | None = None  # when the whole history was last fetched

    @field_validator("asked_start", "asked_end")
    @classmethod
    def _is_date(cls, value: str | None) -> str | None:
        if value is not None:
            date.fromisoformat(value)
        return value


class _MacroEntry(MacroFacts):
    path: str
    sha256: str
    source_symbol: str | None = None


class _Refusal(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    provider: str
    reason: str
    at: str

    @field_validator("at")
    @classmethod
    def _is_time(cls, value: str) -> str:
        datetime.fromisoformat(value)
        return value


class _Catalog(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: Literal[1]
    bars: dict[str, _BarEntry]
    macro: dict[str, _MacroEntry]
    refused: dict[str, _Refusal]


def empty() -> dict[str, Any]:
    """Return the catalog of a store without files."""
    return {"schema_version": SCHEMA_VERSION, "bars": {}, "macro": {}, "refused": {}}


def read(path: Path) -> dict[str, Any]:
    """Return the catalog, of which every entry has what an entry has.

    Raises:
        DataError: the file is not a catalog, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _Catalog.model_validate_json(text)
        content: dict[str, Any] = json.loads(text)
    except (ValidationError, OSError, ValueError, RecursionError):
        raise DataError(
            f"{path.name} of the store is damaged or of another version",
            hint="the next task=collect makes it again from the files",
        ) from None
    return content


def key(asset_class: str, symbol: str, interval: str) -> str:
    """Return the name of a symbol's bars in the catalog."""
    return f"{asset_class}/{symbol}/{interval}"


def reaches(entry: dict[str, Any] | None, start: date | None, end: date | None) -> bool:
    """Return whether an entry's bars were asked for as far as [start, end] reaches."""
    if entry is None:
        return False
    asked_start = entry["asked_start"]
    early = asked_start is None or (start is not None and date.fromisoformat(asked_start) <= start)
    return early and (end is None or asked_end(entry) >= end)


def asked_end(entry: dict[str, Any]) -> date:
    """Return the last date of which every bar was asked for.

    Entries that do not say what was asked for at the source are older, and count the day of fetching as a whole one.
    """
    told = date.fromisoformat(entry["asked_end"])
    if "source_symbol" in entry:
        return told
    return min(told, datetime.fromisoformat(entry["fetched_at"]).date() - timedelta(days=1))


def is_of(entry: dict[str, Any] | None, named: str | None) -> bool:
    """Return whether an entry's bars may be those of the source's own name `named`; older entries do not say theirs."""
    return named is None or entry is None or entry.get("source_symbol") in (None, named)


def failed_since(known: dict[str, Any], name: str) -> str:
    """Return why the bars of an entry of the catalog `known` could not be gone on with; "" where they were, or nobody tried.

    What failed before a day was over that the bars lack took nothing from them.
    """
    entry, refused = known["bars"].get(name), known["refused"].get(name)
    if entry is None or refused is None or refused["at"] <= entry["fetched_at"]:
        return ""
    if asked_end(entry) >= date.fromisoformat(refused["at"][:10]) - timedelta(days=1):
        return ""
    return f"{refused['provider']}: {refused['reason']}"


@cache
def judge() -> str:
    """Return a digest of what judges bars here: a release that judges otherwise is other rules, whatever the settings."""
    code = hashlib.sha256()
    for path in sorted(_JUDGE.glob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()


def rules_of(data: DataSpec) -> str:
    """Return a hash of the rules that bars are judged by."""
    rules = f"{judge()} {data.quality.model_dump_json()} {data.max_repaired_share}"
    return hashlib.sha256(rules.encode()).hexdigest()[:16]
