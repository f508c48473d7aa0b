"""What callbacks are told of a run's end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tasks.conftest import SMALL
from wealtharena.config import compose
from wealtharena.errors import TrainingError
from wealtharena.tasks import dispatch

pytestmark = pytest.mark.slow

MODULE = """
import json
from pathlib import Path
class Fails:
    def on_iteration(self, record):
        raise KeyError("first")
class Hides:
    def on_end(self, run):
        Path("told.json").write_text(json.dumps([run["status"], run["error"]["message"]]))
        raise ValueError("second")
"""


def test_what_ended_a_run_is_told_to_callbacks_and_hidden_by_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ends_of_runs.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = "train.callbacks=[ends_of_runs:Fails,ends_of_runs:Hides]"
    with pytest.raises(TrainingError, match=r"Fails\.on_iteration raised KeyError"):
        dispatch(compose([*SMALL, names]))
    (record,) = Path().glob("outputs/*/*/run.json")
    left = json.loads(record.read_text())
    status, message = json.loads(Path("told.json").read_text())
    assert (status, message) == ("failed", left["error"]["message"])
    assert (left["status"], "Fails.on_iteration" in message) == ("failed", True)
    assert "Hides.on_end raised ValueError: second" in caplog.text
