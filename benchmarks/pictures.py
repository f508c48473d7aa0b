"""The README's pictures: runs of the project's own, small and simulated, photographed in headless Chromium.

python benchmarks/pictures.py [--keep FOLDER]

Each picture is the top of a page that a person gets too, as WebP below 150 kB in docs/pictures. Prices are simulated, and
the pages say so. Needs Chromium and its driver.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.deployment.rooms import live  # noqa: E402  # after the path

PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
WIDTH, HEIGHT = 1280, 860
SMALL = (
    "data=simulated", "train.env_steps=40000", "evaluation.bootstrap_draws=2000", "tracking=quiet",
    "compute.torch_threads=1",
)  # fmt: skip
RUNS = (  # each command leaves what later ones and the pictures look at
    ("asset=etf", *SMALL, "hydra.run.dir=outputs/report"),
    ("-m", "asset=stocks,crypto,commodities", "seed=0,1", *SMALL, "hydra.sweep.dir=multirun/board"),
    ("task=inspect", "asset=crypto", "data=simulated", "tracking=quiet", "hydra.run.dir=outputs/inspection"),
    ("task=paper", "asset=etf", "data=simulated", "paper.checkpoints=[outputs/report]", "tracking=quiet",
     "risk=default", "hydra.run.dir=outputs/paper"),
)  # fmt: skip
ARENA = (
    "--courses", "short", "null", "--entrants", "ppo", "direct", "a2c", "--seeds", "2", "--jobs", "1", "--out", "outputs/arena",
    "train.env_steps=20000", "compute.torch_threads=1",
)  # fmt: skip
SHOTS = {  # picture: page
    "report": "outputs/report/report.html",
    "leaderboard": "multirun/board/leaderboard.html",
    "inspection": "outputs/inspection/inspection.html",
    "arena": "outputs/arena/arena.html",
}
SERVED = {  # picture: page of the service
    "trading": "/trading",
}


def played(folder: Path) -> None:
    """Run the commands in `folder`."""
    for words in RUNS:
        print(f"python run.py {' '.join(words)}", flush=True)
        subprocess.run([sys.executable, str(ROOT / "run.py"), *words], cwd=folder, check=True, timeout=900)
    command = [sys.executable, "-m", "benchmarks.arena", *ARENA]
    print("python -m benchmarks.arena", *ARENA, flush=True)
    subprocess.run(command, cwd=folder, check=True, timeout=1800, env=os.environ | {"PYTHONPATH": str(ROOT)})


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """Yield a headless Chromium."""
    from selenium import webdriver

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        raise SystemExit("error: pictures need chromium and chromedriver; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()


def photograph(opened: Any, page: str, picture: Path) -> int:
    """Write the top of a page as WebP and return its bytes; RuntimeError where it does not fit."""
    from PIL import Image

    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.get(page)
    with Image.open(io.BytesIO(opened.get_screenshot_as_png())) as image:
        image.convert("RGB").save(picture, "WEBP", quality=82, method=6)
    found = picture.stat().st_size
    if found > MOST_BYTES:
        raise RuntimeError(f"{picture.name} has {found:,} bytes, {MOST_BYTES:,} are allowed")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder of the runs; what it holds already is only photographed")
    chosen = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as temporary:
        folder = (chosen or Path(temporary, "runs")).resolve()
        if not (folder / "outputs").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            played(folder)
        PICTURES.mkdir(exist_ok=True)
        with browser(Path(temporary, "profile")) as opened:
            for name, page in SHOTS.items():
                size = photograph(opened, (folder / page).as_uri(), PICTURES / f"{name}.webp")
                print(f"docs/pictures/{name}.webp  {size / 1000:.0f} kB  of {page}")
            with live(folder, overrides=("paper.root=paper",)) as (address, _):
                for name, path in SERVED.items():
                    size = photograph(opened, address + path, PICTURES / f"{name}.webp")
                    print(f"docs/pictures/{name}.webp  {size / 1000:.0f} kB  of the service's {path}")


if __name__ == "__main__":
    main()
