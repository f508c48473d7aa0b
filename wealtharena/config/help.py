"""What --help says: the groups as they stand on disk, and the commands that people need first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wealtharena.config.composition import groups

_TEXT = """\
WealthArena: reinforcement-learning trading agents, trained, tested once on held-out data and judged honestly.

usage: {program} [group=choice ...] [key=value ...] [flags]

groups (group=choice)
{groups}

common keys (key=value)
  train.env_steps=1000000        how long to train
  seed=1                         another seed; the same seed gives the same numbers
  data.start=2018-01-01          first bar; data.end, data.interval=1h
  universe.max_symbols=5         only the first symbols of the universe
  asset.costs.commission_bps=2   any cost, limit or contract fact of the asset
  resume=outputs/<date>/<run>    go on from a run that was stopped

examples
  {program} asset=crypto algo=ppo
  {program} asset=forex data=ecb train.env_steps=500000 seed=1
  {program} asset=crypto data=files data.path=bars.parquet
  {program} task=inspect asset=crypto data=files data.path=bars.csv    what a file's bars are taken for
  {program} -m asset=stocks,forex,crypto,etf,commodities seed=0,1,2    one job for each combination

flags
  -m, --multirun                 run every combination of comma-separated values, into multirun/
  --config-dir FOLDER            further groups of your own beside conf/: FOLDER/asset/bonds.yaml is asset=bonds
  --cfg job [--package algo]     print the composed configuration (or one part) and stop
  --info [defaults|searchpath]   explain how it is composed
  --shell-completion install=bash|zsh|fish    print what completes groups and keys on Tab
  --version                      print the version and stop
  --hydra-help                   all flags of Hydra
"""

MEANING = {
    "task": "what to do",
    "asset": "what is traded",
    "universe": "its symbols",
    "data": "where bars come from",
    "algo": "the learner",
    "env": "rules of the portfolio",
    "reward": "what the learner is paid for",
    "features": "what it sees",
    "split": "training, validation, test",
    "model": "the network",
    "compute": "where it runs",
    "tracking": "where figures go",
    "risk": "between agent and broker",
    "broker": "who carries orders out",
    "sweep": "search for settings",
    "evaluation": "baselines and verdict",
    "zoo": "settings that a search has found",
    "experiment": "presets",
    "debug": "presets for a quick look",
    "data/simulator": "simulated markets, by asset class",
}

_REFUSED = {"data": ("fred",)}  # it has series and no bars; conf/data/fred.yaml lets it be refused in words


def help_text(argv0: str) -> str:
    """Return the help, with every group and choice that conf/ and sweeps/ hold now."""
    known = groups()
    order = [*(name for name in MEANING if name in known), *(name for name in known if name not in MEANING)]
    lines = [f"  {name:<15} {MEANING.get(name, ''):<32} {', '.join(_offered(name, known))}" for name in order]
    return _TEXT.format(program=program(argv0), groups="\n".join(lines))


def _offered(group: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    return [choice for choice in known[group] if choice not in _REFUSED.get(group, ())]


def program(argv0: str) -> str:
    """Return how the command was called, as one would type it."""
    name = Path(argv0).name
    if name == "__main__.py":
        return "python -m wealtharena"
    return f"python {name}" if name.endswith(".py") else name
