from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
