from __future__ import annotations

from pathlib import Path

import pytest

from tests.reporting.made_up import report_data
from wealtharena.reporting import plots
from wealtharena.reporting.data import ReportData


@pytest.mark.slow
def test_the_main_figures_are_written_as_pictures(tmp_path: Path) -> None:
    written = plots.write(tmp_path / "plots", report_data(bars=60, shorts=True, simulated=True))
    assert [path.name for path in written] == ["equity.png", "drawdown.png", "weights.png", "training.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert sorted(tmp_path.joinpath("plots").iterdir()) == sorted(written)


def test_figures_without_data_are_left_out(tmp_path: Path) -> None:
    assert plots.write(tmp_path, ReportData(run={})) == ()
