"""Where conf/ and sweeps/ stand: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def conf_dir() -> Path:
    """Return the folder of Hydra's groups."""
    return _resource("conf")


def sweeps_dir() -> Path:
    """Return the folder of search spaces."""
    return _resource("sweeps")


def reward_names() -> tuple[str, ...]:
    """Return the names of the rewards: the files of envs/rewards, without importing any."""
    return tuple(sorted(file.stem for file in (_PACKAGE / "envs" / "rewards").glob("[!_]*.py")))


def baseline_names() -> tuple[str, ...]:
    """Return the names of the baselines: the files of envs/baselines, without importing any."""
    return tuple(sorted(file.stem for file in (_PACKAGE / "envs" / "baselines").glob("[!_]*.py")))


def _resource(name: str) -> Path:
    packaged = _PACKAGE / f"_{name}"
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
