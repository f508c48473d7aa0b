from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.reading import honest
from tests.data.specs import compose, with_data
from wealtharena.data import Panel, load

_EVERY = {"1d": 2, "1h": 4}


def _load(path: Path, interval: str) -> Panel:
    spec = with_data(compose(["asset=crypto", "data=files", f"data.interval={interval}"]), path=str(path))
    return load(spec.asset, spec.data, seed=0)


@pytest.fixture(scope="module")
def fingerprints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    found = {}
    for interval in _EVERY:
        path = tmp_path_factory.mktemp(interval) / "bars.parquet"
        honest.honest_bars(interval=interval).to_parquet(path)
        panel = _load(path, interval)
        assert panel.symbols == honest.SYMBOLS
        assert panel.volume_unit == "units"
        found[interval] = panel.fingerprint
    return found


@pytest.mark.slow
@pytest.mark.parametrize("interval", _EVERY)
@pytest.mark.parametrize("layout", [*honest.ANY, *honest.TEXT])
def test_the_same_bars_are_the_same_panel_in_any_layout_and_any_spelling_of_time(
    fingerprints: dict[str, str], tmp_path: Path, layout: str, interval: str
) -> None:
    frame = honest.honest_bars(interval=interval)
    different = []
    kinds = (".csv", ".parquet") if layout in honest.ANY else (".csv",)
    place = list(honest.ANY | honest.TEXT).index(layout)
    for number, (spelling, spell) in enumerate(honest.SPELLINGS.items()):
        if (number + place) % _EVERY[
            interval
        ]:  # each spelling in every second or fourth layout, each layout in as many spellings
            continue
        turn = (number // 2 + place) % len(kinds)
        for suffix in kinds[turn : turn + 1]:  # in one of the two kinds, by turns from layout to layout
            if layout == "compressed":
                suffix = ".csv.gz"
            path = tmp_path / f"{spelling}{suffix}"
            (honest.ANY | honest.TEXT)[layout](frame, spell(frame["timestamp"]), path)
            if _load(path, interval).fingerprint != fingerprints[interval]:
                different.append(path.name)
    assert different == []


@pytest.mark.parametrize("exporter", honest.OWN)
def test_the_usual_exports_give_that_panel_too(fingerprints: dict[str, str], tmp_path: Path, exporter: str) -> None:
    honest.OWN[exporter](honest.honest_bars(), tmp_path / "export")
    panel = _load(honest.written(tmp_path / "export"), "1d")
    assert panel.symbols == honest.SYMBOLS
    assert panel.fingerprint == fingerprints["1d"]
