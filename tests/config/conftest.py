"""The command line as a process sees it; one probe job stands in for the tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import Forks

PARALLEL = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
PROBE = """
import errno, fcntl, json, os, sys, time
from hydra.core.hydra_config import HydraConfig
from pathlib import Path
from wealtharena.config import parse
from wealtharena.config.composition import grid_name
from wealtharena.config.launch import forget_run, launch
from wealtharena.errors import ConfigError, DataError

@launch
def main(cfg):
    early = {"omp": os.environ.get("OMP_NUM_THREADS"), "torch": "torch" in sys.modules}
    spec = parse(cfg)
    if spec.seed == 99:
        raise DataError("no rows", hint="ask for more")
    if spec.seed == 98:
        raise RuntimeError("a bug")
    if spec.seed == 97:
        raise KeyboardInterrupt
    if spec.seed == 94:
        folder = Path(HydraConfig.get().runtime.output_dir)
        for name in ("run.json", ".lock", *spec.backtest.checkpoints):
            (folder / name).write_text("{}")
        (folder / "checkpoints" / "deep").mkdir(parents=True)
        (folder / "metrics.jsonl").touch()
        raise ConfigError("refused", hint="ask for less")
    if spec.seed == 90:
        def flock(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        fcntl.flock = flock
        raise ConfigError("its file system knows no locks", hint="name another")
    if spec.seed == 93:
        return forget_run() or 0
    if spec.seed == 92:
        raise SystemExit(0)
    if spec.seed == 91:
        raise SystemExit(7)
    if spec.seed == 96:
        os.kill(os.getpid(), 9)
    if spec.seed == 95:
        print("begun", os.getpid(), flush=True)
        time.sleep(600)
    print(json.dumps({"seed": spec.seed, "asset": spec.asset.name, "steps": spec.train.env_steps, "cwd": os.getcwd(),
        "folder": HydraConfig.get().runtime.output_dir,
        "full": os.environ.get("HYDRA_FULL_ERROR"), "grid": grid_name(), "path": spec.data.path, **early}))
    return 0

sys.exit(main())
"""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks("hydra", "wealtharena.config.launch")
    yield made
    made.close()


def bare() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "HYDRA_FULL_ERROR")}


@pytest.fixture
def probe(tmp_path: Path, forks: Forks):
    script = tmp_path / "probe.py"
    script.write_text(PROBE)

    def call(
        *arguments: str, env: dict[str, str] | None = None, out: str | None = None, whole: bool = False
    ) -> subprocess.CompletedProcess[str]:
        environment = bare() | (env or {})
        if not whole:
            return forks.run(tmp_path, script, arguments, env=environment, out=out)
        return subprocess.run(  # where it is a part of the point how a process ends that has workers
            [sys.executable, str(script), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return call
