"""What an update of algo=direct costs, by symbols, members and bars, and how long a default run takes from command to report.

python benchmarks/direct_speed.py            # processor time of updates, and what of it the account takes; a minute
python benchmarks/direct_speed.py --runs     # seconds of whole runs, each a process of its own; four minutes
python benchmarks/direct_speed.py --gpu      # time of slopes on this machine's cores and on its GPU; two minutes
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import features_of
from wealtharena.agents.direct.account import Path as Accounts
from wealtharena.agents.direct.account import Tape, opened, scan
from wealtharena.agents.direct.crew import Here
from wealtharena.agents.direct.engine import DirectEngine
from wealtharena.agents.direct.floor import GpuFloor
from wealtharena.agents.direct.pathwise import Drawn, Pathwise
from wealtharena.agents.engine import Workbench
from wealtharena.agents.process import keep_freed_memory, set_threads
from wealtharena.config import compose, plugins
from wealtharena.envs.anchors import beside
from wealtharena.envs.market import Market
from wealtharena.features.panel import Scaler

ROOT = Path(__file__).resolve().parents[1]
RUNS = {
    "10 symbols, 7,000 daily bars": ("asset=crypto", "data.simulator.bars=7000"),
    "100 symbols, 2,520 daily bars": (
        "asset=stocks",
        "data.simulator.bars=2520",
        "universe.max_symbols=null",
        f"universe.symbols=[{','.join(f'S{n:02d}.AX' for n in range(100))}]",
    ),
}
BASE = {"assets": 10, "members": 8, "windows": 16}
ON_A_GPU = (
    BASE,
    {"assets": 100, "members": 8, "windows": 64},
    {"assets": 100, "members": 32, "windows": 256},
)
VARIED = {"assets": (10, 20, 40, 80), "members": (2, 4, 8, 16), "windows": (8, 16, 32, 64)}


def engine(*, assets: int, members: int, windows: int, action: str) -> DirectEngine:
    """Return an engine over ten years of random walks, every cost on."""
    spec = compose(
        [
            "asset=stocks",
            "algo=direct",
            f"env.action={action}",
            f"algo.members={members}",
            f"algo.windows={windows}",
            "algo.updates=1",
            "compute.torch_threads=1",
        ]
    )
    features = features_of(assets=assets, count=8)
    env = spec.env.model_copy(update={"action": action})
    scaler = Scaler.fit(features, clip=5.0)
    scaler = beside(scaler) if env.tilt is not None else scaler
    market = Market.build(features, env, scaler)
    bench = Workbench(spec, env, action, market, ((0, market.length),), scaler, features.panel, 10**9)
    built: DirectEngine = plugins.load("agents.algorithms", "direct").build(bench)
    return built


def milliseconds(function: Callable[[], object], *, times: int = 12) -> float:
    """Return the processor time of the fastest of several runs, the first left out."""
    function()
    spent = []
    for _ in range(times):
        began = time.process_time()
        function()
        spent.append(time.process_time() - began)
    return 1e3 * min(spent)


def accounts(built: DirectEngine) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the account alone, forward and backward, compiled and in torch."""
    members, windows, steps = built.algo.members, built.algo.windows, built.windows.steps
    firsts = built.windows.draw((members, windows), torch.Generator().manual_seed(0))
    shape = (members, windows, steps, len(built.bench.market.symbols))
    asked = (0.1 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    factors = torch.ones(members * windows, dtype=torch.float64)
    assert isinstance(built.crew, Here)
    pathwise = built.crew.pathwise
    assert pathwise.floor is not None
    floor = replace(pathwise.floor, rate=0.0)
    tape = Tape.of(built.bench.market)

    def compiled() -> None:
        equity, _, _ = floor.trade(asked.flatten(0, 1), firsts.flatten(), factors=factors)
        equity.log().sum().backward()

    def by_torch() -> None:
        state = opened(pathwise.terms, (members, windows), shape[-1])
        path: Accounts = scan(tape.cut(firsts, steps + 1), asked.movedim(2, 0), pathwise.terms, state=state)
        path.equity.log().sum().backward()

    yield "compiled", compiled
    yield "torch", by_torch


def wall(function: Callable[[], object], *, times: int) -> float:
    """Return the median of the milliseconds that a function takes, the first call left out."""
    spent = []
    for _ in range(times + 1):
        began = time.perf_counter()
        function()
        torch.cuda.synchronize()
        spent.append(1e3 * (time.perf_counter() - began))
    return median(spent[1:])


def on_a_gpu(sizes: dict[str, int], device: torch.device) -> None:
    """Print what the slope of one update takes on this machine's cores, and on its GPU with and without Triton."""
    built = engine(**sizes, action="tilt")
    drawn, bench = built._drawn(built.chances[0]), built.bench
    there = Pathwise.of(
        bench.market, bench.env, built.algo, action=bench.action, steps=built.windows.steps, device=device
    )
    members = copy.deepcopy(built.online).to(device).stack()
    moved = Drawn(drawn.firsts.to(device), drawn.factors.to(device), [one.to(device) for one in drawn.kept])
    here = wall(lambda: built.crew.slopes(built.online.stack(), [drawn]), times=3)
    by_torch = wall(lambda: replace(there, floor=None).slope(members, moved), times=3)
    print(f"{sizes}: cores {here:.1f}", end=", ")
    if GpuFloor.possible():
        print(f"GPU {wall(lambda: there.slope(members, moved), times=20):.1f}", end=", ")
    print(f"GPU by torch {by_torch:.1f}", flush=True)


def run(overrides: tuple[str, ...]) -> tuple[float, float]:
    """Return the seconds of a default run from command to report, and of its training alone."""
    with tempfile.TemporaryDirectory() as folder:
        places = [f"paths.{name}={folder}/{name}" for name in ("checkpoints", "results", "ledger")]
        words = ["algo=direct", "data=simulated", "tracking=quiet", f"hydra.run.dir={folder}/run", *places, *overrides]
        began = time.monotonic()
        subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *words], check=True, cwd=folder, stdout=subprocess.DEVNULL
        )
        whole = time.monotonic() - began
        assert (Path(folder) / "run" / "report.html").is_file()
        return whole, float(json.loads((Path(folder) / "run" / "run.json").read_text())["training"]["seconds"])


def tables() -> None:
    """Print a table for each thing that is varied."""
    set_threads(1)
    keep_freed_memory()
    for action in ("weights", "tilt"):
        for name, sizes in VARIED.items():
            print(f"env.action={action}, {name}: " + ", ".join(map(str, sizes)))
            spent = [milliseconds(engine(**{**BASE, name: size}, action=action)._update) for size in sizes]
            print("  ms an update   " + "  ".join(f"{ms:8.1f}" for ms in spent))
            print("  ms for each    " + "  ".join(f"{ms / size:8.3f}" for ms, size in zip(spent, sizes, strict=True)))
    built = engine(**BASE, action="weights")
    for name, run_once in accounts(built):
        print(f"the account alone, forward and backward, {name}: {milliseconds(run_once, times=5):.1f} ms")


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    asked = parser.parse_args()
    if asked.gpu:
        set_threads(1)
        keep_freed_memory()
        print(f"{torch.cuda.get_device_name()}; ms for the slope of one update, tilts, every cost on")
        for sizes in ON_A_GPU:
            on_a_gpu(sizes, torch.device("cuda"))
        return
    if not asked.runs:
        tables()
        return
    run(
        (*next(iter(RUNS.values())), "data.simulator.bars=2000", "train.env_steps=8192")
    )  # compiles what isn't kept yet
    for name, overrides in RUNS.items():
        whole, training = run(overrides)
        print(f"{name}: {whole:.1f} s from command to report, {training:.1f} of them training", flush=True)


if __name__ == "__main__":
    main()
