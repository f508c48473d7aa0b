"""What was typed and nothing reads: refused where another task or source was meant, told of anywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from wealtharena.config.readers import rules
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import key_of
from wealtharena.errors import ConfigError

# blocks of options -> the tasks that read them; where things are kept may be said to all
_READERS: Final[Mapping[str, tuple[str, ...]]] = {
    "train": ("train", "demo"),
    "collect": ("collect",),
    "backtest": ("backtest",),
    "compare": ("compare",),
    "deploy": ("deploy",),
    "serve": ("serve", "demo"),
    "audit": ("audit",),
    "paper": ("paper",),
    "returns_unit": ("report",),
}
_PLACES: Final = ("paper.root", "serve.keys_file", "serve.audit_file")
_NOTHING: Final = ("", "null", "[]", "{}", "none")
_OF_DEMO: Final = (
    *("task", "asset", "seed", "quiet", "log", "hydra", "data.simulator.bars", "data.simulator.end"),
    *("evaluation.bootstrap_draws", "train.env_steps", "train.evaluations", "serve.port"),
)


def refuse(spec: ExperimentSpec, words: Sequence[str]) -> None:
    """Raise ConfigError where a word is of another task, of a search that was not asked for, or of a file that is not read."""
    for word in words:
        if found := _mistaken(spec, word):
            raise ConfigError(found[0], hint=found[1])


def told(spec: ExperimentSpec, words: Sequence[str], *, resumed: bool = False) -> list[str]:
    """Return a line for each word that sets what nothing reads; of a run that goes on also what is refused elsewhere."""
    found: dict[str, str] = {}
    for word in words:
        why = next(_reasons(spec, key_of(word)), "")
        if resumed and (mistaken := _mistaken(spec, word)):
            why = mistaken[0]
        if why:
            found[word] = f"{word} has no effect: {why}"
    return list(found.values())


def _mistaken(spec: ExperimentSpec, word: str) -> tuple[str, str] | None:
    """Return what is to be said against a word, and the way out; None where nothing is."""
    key, value = key_of(word), word.partition("=")[2].strip("'\" ")
    if value in _NOTHING or key in _PLACES or word.startswith("~"):
        return None
    block = key.partition(".")[0]
    if block in _READERS and spec.task not in _READERS[block]:
        meant = next(iter(_READERS[block]))
        return f"task={spec.task} does not read {word}", f"leave it out, or say task={meant}"
    if block == "sweep" and spec.task != "train":
        return f"task={spec.task} does not search, and does not read {word}", "leave it out, or say task=train"
    if block == "sweep" and spec.sweep.name == "none":
        return f"sweep=none does not search, and does not read {word}", "leave it out, or choose a search: sweep=<name>"
    if (spec.task, key, spec.deploy.agents) == ("deploy", "asset", ()):
        named = f"say 'deploy.agents=[{value}]'" if spec.deploy.action != "verify" else "leave it out"
        return f"task=deploy goes through all agents, and does not read {word}", named
    if key == "data.path" and spec.data.source != "files":
        return f"data={spec.data.source} does not read {word}", "say data=files, or leave it out"
    return None


def _reasons(spec: ExperimentSpec, key: str) -> Iterator[str]:
    """Yield why nothing reads a key, or a group that was chosen; nothing where something does."""
    if spec.task == "demo" and not is_of(key, _OF_DEMO) and (key, spec.data.source) != ("data", "simulated"):
        yield "task=demo plays steps of its own, and takes over asset, seed, quiet and the lengths that conf/task/demo.yaml names"
    for keys, why in rules(spec):
        if is_of(key, keys) and (text := why(spec)):
            yield text


def is_of(key: str, keys: Sequence[str]) -> bool:
    """Return whether a key is one of `keys` or below it; of one that ends with a dot what is below it alone, with = itself alone."""
    return any(
        f"{key}=" == one or key == one or key.startswith(one if one.endswith(".") else (f"{one}.", f"{one}/"))
        for one in keys
    )
