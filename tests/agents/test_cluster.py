from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from wealtharena.agents import cluster
from wealtharena.config import compose

pytestmark = pytest.mark.slow

START = """
from wealtharena.agents import cluster
from wealtharena.config import compose
from wealtharena.errors import TrainingError
try:
    cluster.connect(compose(["compute.num_cpus=1"]).compute)
except TrainingError as error:
    print(error)
"""


def test_a_deep_temporary_folder_is_named_when_ray_cannot_start(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", START], env=os.environ | {"TMPDIR": str(deep)}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the folder of temporary files is too deep for its sockets" in done.stdout
    assert "TMPDIR=/tmp" in done.stdout


def test_a_ray_that_starts_here_reports_to_nobody_unless_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._common.usage.usage_lib import usage_stats_enabled

    told: list[bool] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: told.append(usage_stats_enabled()))
    for own in (None, "1"):
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        if own is not None:
            monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", own)
        cluster.connect(compose(["compute.num_cpus=1"]).compute)
    assert told == [False, True]
