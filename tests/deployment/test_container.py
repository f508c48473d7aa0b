"""What the service's image must hold: no more than the group `serve` brings, neither torch nor ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deployment.rooms import REPOSITORY
from tests.registry.shelf import stocked

pytestmark = pytest.mark.slow


def test_serving_imports_neither_torch_nor_ray_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stocked(tmp_path)
    code = (
        "import sys, numpy as np\n"
        "from wealtharena.deployment.app import build\n"
        "from wealtharena.deployment import server\n"
        "import wealtharena.tasks.serve\n"
        "from wealtharena.prediction.cleaning import warm\n"
        "from wealtharena.prediction.manager import ProductionModelManager\n"
        "manager = ProductionModelManager(sys.argv[1])\n"
        "warm(manager.load_agent_model('crypto').metadata)\n"
        "manager.get_model_prediction('crypto', np.zeros((3, 2, 2)))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'ray', 'wandb', 'onnx', 'numba'}))"
    )
    places = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "temporary", "XDG_CACHE_HOME": tmp_path / "home"}
    for place in places.values():
        place.mkdir(exist_ok=True)
    known = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "checkpoints")],
        cwd=REPOSITORY,
        env=known | {name: str(place) for name, place in places.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    kept = [path for place in places.values() for path in place.rglob("*")]
    assert kept == [], "the runtime keeps a number of this machine and reports to its makers"


def test_the_container_holds_all_that_serving_imports(tmp_path: Path) -> None:
    """The Dockerfile installs `[dependency-groups] serve`; with everything else out of reach, bars are answered."""
    stocked(tmp_path)
    owners = metadata.packages_distributions()
    held = serving_distributions() | {"wealtharena"}
    absent = [module for module, names in owners.items() if not held & {canonicalize_name(name) for name in names}]
    code = (
        "import json, sys\n"
        "class Absent:\n"
        "    names = frozenset(json.loads(sys.argv[2]))\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in self.names:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import numpy as np, pandas as pd, uvicorn\n"
        "import wealtharena.cli, wealtharena.tasks.serve\n"
        "from wealtharena.config import compose\n"
        "from wealtharena.deployment import app, server\n"
        "from wealtharena.prediction.manager import ProductionModelManager\n"
        "compose(['task=serve'])\n"
        "days = pd.date_range('2026-01-01', periods=40, tz='UTC')\n"
        "bars = pd.concat([pd.DataFrame({'timestamp': days, 'symbol': s, 'close': 1.0 + np.arange(40)}) "
        "for s in ('BTC-USD', 'ETH-USD', 'SOL-USD')])\n"
        "print(ProductionModelManager(sys.argv[1]).get_model_prediction('crypto', bars).version)"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "checkpoints"), json.dumps(absent)]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "v1", done.stderr
    assert {"torch", "ray", "wandb", "numba", "scipy"} <= set(absent)


@pytest.mark.parametrize(
    "words", ["task=inspect data=simulated", "asset=crypto data=simulated", "task=paper asset=crypto"]
)
def test_what_the_container_cannot_do_is_one_line_there(tmp_path: Path, words: str) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('numba', 'pyarrow', 'ray', 'torch')))\n"
        "from wealtharena import cli\n"
        "sys.exit(cli.main())"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: this needs (numba|pyarrow), which is not installed here; .*\n", done.stderr)
    assert list(tmp_path.rglob("run.json")) == []
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == [], "nothing begun, nothing left"


def serving_distributions() -> set[str]:
    """Return the distributions that the group `serve` brings along."""
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    wanted = [Requirement(text) for text in groups["serve"]]
    known: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in known:
            continue
        known.add(name)
        for needed in map(Requirement, metadata.requires(name) or ()):
            asked = ("", *requirement.extras)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in asked):
                wanted.append(needed)
    return known
