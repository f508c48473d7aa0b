from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "told"),
    [({}, "test window"), ({"backtest": {"window": "all"}}, "window played"), ({"algo": "returns"}, "record")],
)
def test_a_picture_says_what_was_played(changes: dict[str, object], told: str) -> None:
    """Bars of training, and returns from outside, had grown "over the test window"."""
    from matplotlib.figure import Figure

    data, axes = report_data(bars=60), Figure().add_subplot()
    plots._equity(axes, dataclasses.replace(data, run={**data.run, **changes}))
    assert axes.get_title() == f"growth over the {told}"


def test_figures_without_data_are_left_out(tmp_path: Path) -> None:
    assert plots.write(tmp_path, ReportData(run={})) == ()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write to")
def test_where_matplotlib_keeps_its_fonts_is_not_said_to_who_has_no_home() -> None:
    """A container's user read two lines of it amid his run."""
    done = subprocess.run(
        [sys.executable, "-c", "from wealtharena.reporting import plots; import matplotlib.figure"],
        env={**os.environ, "HOME": "/proc"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
