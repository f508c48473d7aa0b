"""What --help says: the groups as they stand on disk, and the commands that people need first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from wealtharena.config.composition import defaults_for, groups, literal
from wealtharena.config.specs.base import Spec
from wealtharena.config.specs.experiment import ExperimentSpec

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

{keys}flags
  -m, --multirun                 run every combination of comma-separated values, into multirun/
  --config-dir FOLDER            further groups of your own beside conf/: FOLDER/asset/bonds.yaml is asset=bonds; again for another
  --cfg job [--package algo]     print the composed configuration (or one part) and stop
  --info [defaults|searchpath]   explain how it is composed
  --shell-completion install=bash|zsh|fish    print what completes groups and keys on Tab
  task=<verb> --help             this, with the verb's own keys
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

_OF_TASK = {"report": ("returns", "returns_unit")}  # keys that stand in no block of the task's name
_REFUSED = {"data": ("fred",)}  # it has series and no bars; conf/data/fred.yaml lets it be refused in words


def help_text(argv0: str, argv: Sequence[str] = ()) -> str:
    """Return the help, with every group and choice that conf/ and sweeps/ hold now, and the keys of the task that `argv` names."""
    known = groups()
    order = [*(name for name in MEANING if name in known), *(name for name in known if name not in MEANING)]
    lines = [f"  {name:<15} {MEANING.get(name, ''):<32} {', '.join(_offered(name, known))}" for name in order]
    tasks = [word.partition("=")[2] for word in argv if word.startswith("task=")]
    return _TEXT.format(program=program(argv0), groups="\n".join(lines), keys=_keys_of(tasks[-1]) if tasks else "")


def _keys_of(task: str) -> str:
    """Return the keys that are of one task alone, with defaults, choices and meanings; nothing where there are none."""
    if task not in groups()["task"]:
        return ""
    block = getattr(ExperimentSpec.model_fields.get(task), "annotation", None)
    if isinstance(block, type) and issubclass(block, Spec):
        fields = {f"{task}.{name}": field for name, field in block.model_fields.items()}
    else:
        fields = {name: ExperimentSpec.model_fields[name] for name in _OF_TASK.get(task, ())}
    values = defaults_for(())
    typed = {key: f"{key}={literal(values[key])}" for key in fields}
    width = max(map(len, typed.values()), default=0)
    lines = [f"  {typed[key]:<{width}}  {field.description}{_choices(field)}\n" for key, field in fields.items()]
    return "".join([f"keys of task={task} (key=value)\n", *lines, "\n"]) if lines else ""


def _choices(field: FieldInfo) -> str:
    """Return the words that a key takes, where it takes no others."""
    parts = [field.annotation, *get_args(field.annotation)]
    words = [word for part in parts for word in get_args(part) if isinstance(word, str)]
    return f" [{', '.join(words)}]" if words else ""


def _offered(group: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    return [choice for choice in known[group] if choice not in _REFUSED.get(group, ())]


def program(argv0: str) -> str:
    """Return how the command was called, as one would type it."""
    name = Path(argv0).name
    if name == "__main__.py":
        return "python -m wealtharena"
    return f"python {name}" if name.endswith(".py") else name
