"""Hostile folders and graphs against a registry: how long each takes to be refused, while another thread asks who is in production.

python -m benchmarks.attacks.registry
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.attacks import folders, graphs

LIMIT_SECONDS = 5.0
ZEROS = np.zeros((3, 2, 2), dtype=np.float32)
Spoil = Callable[[Path], str]  # does it to a version's folder, and returns what has to be named


@dataclass
class Asked:
    """What a client of the version in production saw meanwhile."""

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0


def main() -> int:
    """Hand over every folder and every graph; print each that is not refused by its name in time, then the slowest."""
    spoils: dict[str, Spoil] = {name: _folder(name) for name in folders.MUTATIONS}
    spoils |= {f"graph: {name}": _graph(change) for name, change in {**graphs.HOSTILE, **graphs.ON_TRIAL}.items()}
    took: dict[str, float] = {}
    asked, bad = Asked(), 0
    for name, spoil in spoils.items():
        seconds, problem = _refused(spoil, asked)
        took[name] = seconds
        if problem or seconds > LIMIT_SECONDS:
            bad += 1
            print(f"NOT REFUSED AS IT SHOULD BE  {name}: {problem or 'too late'}, {seconds:.2f} s", flush=True)
    for kind, wanted in (("folders", False), ("graphs", True)):
        of_kind = {name: value for name, value in took.items() if name.startswith("graph: ") is wanted}
        slowest = sorted(of_kind, key=of_kind.__getitem__, reverse=True)[:3]
        told = ", ".join(f"{name} {of_kind[name]:.2f} s" for name in slowest)
        print(f"{len(of_kind)} {kind}: median {np.median(list(of_kind.values())):.3f} s, slowest: {told}")
    print(
        f"meanwhile the version in production answered {len(asked.seconds)} times, {asked.wrong} wrong, "
        f"p99 {np.quantile(asked.seconds, 0.99) * 1e3:.1f} ms, longest {max(asked.seconds) * 1e3:.0f} ms"
    )
    return int(bad > 0 or asked.wrong > 0)


def _folder(name: str) -> Spoil:
    return lambda folder: folders.spoil(folder, name)


def _graph(change: graphs.Change) -> Spoil:
    from wealtharena.registry.integrity import write_manifest

    def spoil(folder: Path) -> str:
        path = folder / "policy.onnx"
        path.write_bytes(graphs.changed(path.read_bytes(), change))
        write_manifest(folder)
        return "policy.onnx"

    return spoil


def _refused(spoil: Spoil, asked: Asked) -> tuple[float, str]:
    """Return how long a hostile version took to be refused, and what was wrong with that, nothing where nothing was."""
    from tests.registry.shelf import AGENT, save, stocked
    from wealtharena.prediction.manager import ProductionModelManager

    with tempfile.TemporaryDirectory() as place:
        store = stocked(Path(place))
        manager = ProductionModelManager(store.root)
        manager.refresh()
        named = spoil(save(store, "v2", verdict="promotable", weights=(0.0, 0.0, 0.9)))
        folders.hand_over(store.root, AGENT, "v2")
        with _asking(manager, AGENT, asked):
            began = time.perf_counter()
            manager.refresh()
            seconds = time.perf_counter() - began
        told = manager.problems.get(AGENT, "")
        wanted = "answers differ" if named == "weights" else named
        return seconds, "" if wanted in told else f"said {told!r} where {wanted} was to be named"


@contextlib.contextmanager
def _asking(manager: object, agent: str, asked: Asked) -> Iterator[None]:
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.002):
            began = time.perf_counter()
            answer = manager.get_model_prediction(agent, ZEROS)
            asked.seconds.append(time.perf_counter() - began)
            asked.wrong += (answer.version, answer["BTC-USD"]) != ("v1", 0.5)

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield
    finally:
        stop.set()
        client.join()


if __name__ == "__main__":
    sys.exit(main())
