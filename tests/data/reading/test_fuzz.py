from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.reading import fuzz
from wealtharena.data import Panel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return fuzz.honest_panel(tmp_path_factory.mktemp("honest"))


@pytest.mark.parametrize("part", range(4))
def test_an_edited_file_is_the_honest_panel_a_note_that_names_the_edit_or_a_refusal(
    truth: Panel, tmp_path: Path, part: int
) -> None:
    outcomes = [
        fuzz.play(seed, tmp_path, truth) for seed in range(part, 100, 4)
    ]  # benchmarks/file_fuzz.py plays thousands
    assert [outcome for outcome in outcomes if outcome.kind in ("silent", "crashed")] == []
    kinds = {outcome.kind for outcome in outcomes}
    assert kinds == {"honest", "noted", "refused"}


def test_the_judge_of_the_fuzz_sees_a_silent_wrong_figure(truth: Panel, tmp_path: Path) -> None:
    bars = fuzz.honest.honest_bars(bars=fuzz.BARS)
    bars.assign(close=bars["close"] * 1.001).to_csv(tmp_path / "wrong.csv", index=False)
    edit = fuzz.Edit("prices", lambda frame, rng: frame)
    assert fuzz._judged(tmp_path / "wrong.csv", (edit,), "comma", truth).kind == "silent"
