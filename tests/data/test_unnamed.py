"""Bars of which the catalog does not say by what name they were asked for: compared, never replaced unseen."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.data.rooms import Room, history

NAMED: Final[dict[str, Any]] = {"provider_symbols": {"AAPL": "GOOG"}}


@pytest.fixture
def old(tmp_path: Path) -> Room:
    """Return a store that was collected by another name, when the catalog did not yet tell what was asked for."""
    room = Room(str(tmp_path))
    room.collect(**NAMED)
    path = tmp_path / "catalog.json"
    content = json.loads(path.read_text())
    for key in ("source_symbol", "form", "compared_at"):
        del content["bars"]["stocks/AAPL/1d"][key]
    path.write_text(json.dumps(content))
    return room


@pytest.mark.parametrize("days", [0, 7])
def test_the_same_bars_by_the_same_name_go_on_and_the_name_is_told_from_then_on(old: Room, days: int) -> None:
    old.now += timedelta(days=days)
    outcome = old.collect(**NAMED)
    assert (outcome.status, outcome.note) == ("updated", "")
    assert old.entry["source_symbol"] == "GOOG"
    assert old.collect(**NAMED).status == "current"


def test_a_poorer_history_does_not_replace_them_until_told(old: Room) -> None:
    before = len(old.bars())
    whole = history()
    old.table = whole[[place % 5 < 2 for place in range(len(whole))]]
    old.now += timedelta(days=7)
    poor = old.collect(**NAMED)
    assert poor.status == "failed"
    assert f"of the {before} bars that are stored" in poor.cause
    assert len(old.bars()) == before
    assert old.collect(refresh=True, **NAMED).status == "refetched"
