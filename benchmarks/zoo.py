"""Search settings on recorded bars and write them as choices of the group `zoo`, each with the study that found it.

    python benchmarks/zoo.py MARKET_FOLDER [--only crypto_direct ...] [--trials 8] [--steps 100000] [--out outputs/zoo]

MARKET_FOLDER holds long-form Parquet files; currency pairs come from the ECB rates that the package carries. A search sees the
first four fifths of a record: of those, `sweep=<algo>` trains on three fifths, chooses on the fourth and tests its winner once on
the last. The defaults are trained over the finalists' seeds beside it, and what the settings gained on validation is written
down, also where it is nothing. A pair that stands in --out already is not searched again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.real_markets import FILES, source_of  # noqa: E402  # after the path
from wealtharena import data  # noqa: E402  # after the path
from wealtharena.config import compose  # noqa: E402  # after the path
from wealtharena.config.composition import groups  # noqa: E402  # after the path
from wealtharena.config.preset import read_override  # noqa: E402  # after the path

ALGOS = ("direct", "ppo")
SEEN = 0.8  # share of a record that a search may look at
FIRST_SEED = 1_000  # of the finalists, with seed=0
TILTS = {"ppo": ("env.action=tilt",)}  # whose action the settings are of; direct tilts by itself
HEAD = """# @package _global_
# What a search found, and no promise. Study {study} of {found}: {trials} trials of {env_steps:,} steps of sweep={algo} on {symbols}
# symbols from {source}, {first} to {last}, the first four fifths of the record; chosen on {validation}.
# Validation Sharpe ratio, median over {seeds} fresh seeds: {score:+.2f} with these settings, {default:+.2f} with the defaults.
# It was chosen by that figure, which flatters it. Nothing is claimed of a test window.
# Made by benchmarks/zoo.py.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("market", type=Path, help="folder of recorded bars")
    parser.add_argument("--only", nargs="*", default=[f"{asset}_{algo}" for algo in ALGOS for asset in FILES])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=2, help="fresh seeds of each finalist, and of the defaults")
    parser.add_argument("--out", type=Path, default=Path("outputs/zoo"))
    asked = parser.parse_args()
    for name in asked.only:
        asset, _, algo = name.partition("_")
        entry = search(asset, algo, asked)
        (ROOT / "conf" / "zoo" / f"{name}.yaml").write_text(entry, encoding="utf-8")
        print(entry, flush=True)
    return 0


def search(asset: str, algo: str, asked: argparse.Namespace) -> str:
    """Return the file of a class and an algorithm, from a search and a training of the defaults."""
    out = (asked.out / f"{asset}_{algo}").resolve()
    common = [f"asset={asset}", f"algo={algo}", *source_of(FILES[asset], asked.market.resolve()), *TILTS.get(algo, ())]
    last = last_seen(common)
    common += [f"data.end={last}", "tracking=none", "compute.torch_threads=1"]
    common += [
        f"paths.{key}={out / name}" for key, name in (("ledger", "ledger.jsonl"), ("checkpoints", "checkpoints"))
    ]
    study = f"zoo_{asset}_{algo}"
    if not (out / "sweep" / "sweep.json").exists() or read(out / "sweep" / "sweep.json").get("status") != "completed":
        budget = [f"sweep.trials={asked.trials}", f"sweep.env_steps={asked.steps}", "sweep.finalists=1"]
        budget += [f"sweep.finalist_seeds={asked.seeds}", "sweep.startup_trials=4", f"paths.results={out / 'results'}"]
        run(*common, f"sweep={algo}", *budget, "train.publish=false", f"hydra.run.dir={out / 'sweep'}")
    scores = []
    for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
        place = out / f"default-{seed}"
        if not (place / "run.json").exists() or read(place / "run.json").get("status") != "completed":
            run(*common, f"train.env_steps={asked.steps}", f"seed={seed}", "train.test=false", f"hydra.run.dir={place}")
        scores.append(read(place / "run.json")["metrics"]["validation"]["sharpe"] or 0.0)  # null: it stayed in cash
    return written(
        study, asset, algo, read(out / "sweep" / "sweep.json"), read(out / "sweep" / "run.json"), scores, asked.steps
    )


def last_seen(words: list[str]) -> str:
    """Return the last date of the first four fifths of a record."""
    spec = compose(words)
    stamps = data.load(spec.asset, spec.data, seed=0).timestamps
    return str(stamps[int(SEEN * len(stamps)) - 1])[:10]


def written(
    study: str, asset: str, algo: str, found: dict[str, Any], record: dict[str, Any], default: list[float], steps: int
) -> str:
    """Return the file's text: its head for people, then the same as keys, and the settings."""
    winner, about, split = found["winner"], record["data"], record["split"]
    facts = {
        "study": study,
        "found": dt.date.today().isoformat(),
        "trials": len(found["trials"]),
        "env_steps": steps,
        "source": about["source"],
        "dates": [about["start"], about["end"]],
        "score": round(float(winner["median"]), 3),
        "default": round(float(median(default)), 3),
    }
    chosen: dict[str, str] = {"asset": asset, "algo": algo}
    values: dict[str, Any] = {"train": {"env_steps": facts["env_steps"]}}
    for override in (*TILTS.get(algo, ()), *winner["overrides"]):
        key, value = read_override(override)
        if key in groups():
            chosen[key] = value
        else:
            group, _, name = key.partition(".")
            values.setdefault(group, {})[name] = value
    head = HEAD.format(
        **facts, algo=algo, symbols=len(about["symbols"]), first=about["start"], last=about["end"], seeds=len(default),
        validation=" to ".join(split["validation"]),
    )  # fmt: skip
    tree = {"defaults": [{f"override /{group}": choice} for group, choice in chosen.items()], **values, "zoo": facts}
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def run(*words: str) -> None:
    """Run a job of the command line; CalledProcessError where it fails."""
    print("python run.py", *words, flush=True)
    subprocess.run([sys.executable, str(ROOT / "run.py"), *words], cwd=ROOT, check=True)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    sys.exit(main())
