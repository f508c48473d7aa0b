"""Who reads what: for each task, and for each choice among options, the keys that nothing reads, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from wealtharena.config import plugins
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.specs.env import OF_TILTS
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.runs import WandbSpec

Rule = tuple[
    tuple[str, ...], Callable[[ExperimentSpec], str]
]  # keys, or the blocks above them -> why none is read, or ""

_REWARDS: Final[Mapping[str, str]] = {  # key -> the reward of ours that reads it
    "eta": "differential_sharpe",
    "risk_aversion": "mean_variance",
    "drawdown_penalty": "drawdown",
}
# what a checkpoint brings with it wherever it is played
_TRAINED: Final = (
    *("env.window", "env.action", *(f"env.{key}" for key in OF_TILTS)),
    *("asset.limits", "asset.anchor", "features", "data.symbols", "universe.max_symbols"),
)
OF_EVERY_CLASS: Final = ("deploy", "serve", "compare")  # tasks that are about the agents of all of them
_MACHINES: Final = ("compute=", *(f"compute.{key}" for key in ("address", "num_cpus", "envs", "runners", "learners")))
_LEARNING: Final = ("algo.", "model", "reward", "env.episode_bars", "env.random_start", "env.randomisation", *_MACHINES)
_OF_A_RUN: Final = (  # what is no matter of agents that are trained
    *("data=", *(f"data.{name}" for name in DataSpec.model_fields if name != "root")),
    *("universe", "features", "env", "split", "evaluation", "algo", "asset."),
)
# what a task has no use for as a whole; where things are kept may be said to all
_NO_USE: Final[Mapping[str, tuple[str, ...]]] = {
    "inspect": ("features", "env", "split", "evaluation", "algo"),
    "collect": ("env", "split", "evaluation", "algo"),
    "audit": ("split", "evaluation", "algo", "model", *_MACHINES),
    "report": ("split", "algo"),
    "deploy": _OF_A_RUN,
    "serve": _OF_A_RUN,
    "compare": (
        *(part for part in _OF_A_RUN if part != "evaluation"),
        *("evaluation.baselines", "evaluation.momentum_bars", "evaluation.lookback_bars"),
        *("evaluation.rebalance_bars", "evaluation.random_seeds", "evaluation.stress"),
    ),
}
_PAGES: Final = ("train", "backtest", "paper", "compare")  # tasks that may leave the report of a run


def rules(spec: ExperimentSpec) -> Iterator[Rule]:
    """Yield what may be unread of a configuration, the most general first: keys, and why none of them is read or nothing."""
    if keys := _NO_USE.get(spec.task):
        yield (keys, _always(f"task={spec.task} has no use for it"))
    yield from _OF_DATA
    yield from _OF_TRACKING
    if spec.task in ("train", "backtest", "paper"):
        yield from _OF_SPLITS
    if spec.task == "train":
        yield from _OF_TRAINING
        if spec.train.retrain is not None:
            yield _RETRAINED_ON_FILES if spec.data.source == "files" else _RETRAINED
        elif spec.sweep.name == "none":  # a search may vary what reads them
            yield from _of_learning(spec)
        else:
            yield from _OF_SEARCHES
    elif spec.task not in ("audit", "demo"):
        yield (_LEARNING, _always(f"task={spec.task} trains nothing"))
    if spec.task == "backtest":
        yield from _OF_BACKTESTS
    if spec.task == "paper":
        yield from _OF_PAPER
    elif spec.task != "demo":
        yield (("broker",), _always("only task=paper sends orders"))
    if spec.task in OF_EVERY_CLASS:
        yield (("asset=",), _always(f"task={spec.task} is about agents of every class"))
    if spec.task == "deploy":
        yield from _OF_DEPLOYMENTS
    if spec.task == "serve":
        names_one = spec.serve.action in ("create_key", "revoke_key")
        yield (("serve.key_name",), _always(_unless(names_one, f"serve.action={spec.serve.action} is about no key")))


def _of_learning(spec: ExperimentSpec) -> Iterator[Rule]:
    """Yield what is not read of what a training learns by: the algorithm's own answers, then the network's and the reward's."""
    action: str = plugins.load("agents", "engine").check_action(spec)
    for key, why in spec.algo.unread(spec, action=action).items():
        yield ((key,), _always(why))
    if action != "tilt":
        keys = (*(f"env.{key}" for key in OF_TILTS), "asset.anchor")
        yield (keys, _always(f"env.action={action} has no anchor, env.action=tilt has"))
    elif not spec.env.limits.long_only:
        yield (("env.tilt_scale",), _always("with asset.limits.long_only=false a tilt is of risk, in equal parts"))
    if action == "allocation":
        yield (
            ("model.initial_log_std",),
            _always("env.action=allocation chooses among whole portfolios, without a spread"),
        )
    yield from _OF_LEARNING


def _always(why: str) -> Callable[[ExperimentSpec], str]:
    return lambda _: why


def _unless(read: bool, why: str) -> str:
    return "" if read else why


def _reward(key: str, reader: str) -> Rule:
    ours = ("log_return", *_REWARDS.values())  # one of a package may read any of them

    def why(spec: ExperimentSpec) -> str:
        name = spec.env.reward.name
        return _unless(name == reader or name not in ours, f"reward={name} does not read it, reward={reader} does")

    return (f"reward.{key}",), why


_OF_LEARNING: Final[tuple[Rule, ...]] = (
    *(_reward(key, reader) for key, reader in _REWARDS.items()),
    (
        ("model.recurrent_size", "model.sequence_bars"),
        lambda spec: _unless(
            spec.model.name in ("gru", "lstm"), f"model={spec.model.name} remembers nothing, model=gru and lstm do"
        ),
    ),
    (
        ("model.heads",),
        lambda spec: _unless(spec.model.name == "attention", f"model={spec.model.name} has none, model=attention does"),
    ),
    (
        ("algo.target_entropy",),
        lambda spec: _unless(
            getattr(spec.algo, "alpha_learning_rate", 1.0) > 0, "algo.alpha_learning_rate=0 keeps the temperature"
        ),
    ),
    (
        ("env.randomisation.cost_low", "env.randomisation.cost_high"),
        lambda spec: _unless(spec.env.randomisation.enabled, "env.randomisation.enabled is false"),
    ),
)
_OF_TRAINING: Final[tuple[Rule, ...]] = (
    (
        ("train.warm_start",),
        lambda spec: _unless(
            spec.train.retrain is not None or not spec.train.warm_start, "it is of train.retrain, which names no agent"
        ),
    ),
    (
        ("train.publish",),
        lambda spec: _unless(
            spec.train.test or not spec.train.publish, "train.test is false, and no version is published unseen"
        ),
    ),
)
_KEPT: Final = (
    *("asset.", "features", "env", "reward", "universe", "split", "algo", "model", "evaluation"),
    *(f"data.{name}" for name in DataSpec.model_fields if name not in ("end", "path", "root")),
)
_RETRAINED: Final[Rule] = (
    (*_KEPT, "data="),
    lambda spec: f"train.retrain={spec.train.retrain} trains with the configuration that is in production",
)
_RETRAINED_ON_FILES: Final[Rule] = (_KEPT, _RETRAINED[1])
_OF_TRACKING: Final[tuple[Rule, ...]] = (
    (
        tuple(f"tracking.wandb.{name}" for name in WandbSpec.model_fields if name != "mode"),
        lambda spec: _unless(
            spec.tracking.wandb.mode != "disabled", "tracking.wandb.mode=disabled sends nothing to Weights & Biases"
        ),
    ),
    (
        ("tracking.wandb.registry",),
        lambda spec: _unless(spec.task == "deploy", "only task=deploy links a version there"),
    ),
    (
        ("tracking.report",),
        lambda spec: _unless(spec.task in _PAGES, f"task={spec.task} leaves no report of a run"),
    ),
    (
        ("tracking.mirrors", *(f"tracking.wandb.{name}" for name in ("group", "tags", "timeout_seconds", "code"))),
        lambda spec: _unless(spec.task == "train", f"task={spec.task} keeps no figures of a run there"),
    ),
    (
        ("tracking.wandb.project", "tracking.wandb.entity"),
        lambda spec: _unless(spec.task in ("train", "deploy"), f"task={spec.task} sends nothing to Weights & Biases"),
    ),
)
_OF_SEARCHES: Final[tuple[Rule, ...]] = (
    (
        ("tracking.mirrors",),
        _always("of a search Weights & Biases alone is told"),
    ),
    (
        ("tracking=",),
        lambda spec: _unless(
            not spec.tracking.mirrors or spec.tracking.wandb.mode != "disabled",
            "of a search Weights & Biases alone is told, which it turns off",
        ),
    ),
    (
        ("sweep.grace_evaluations",),
        lambda spec: _unless(spec.sweep.scheduler != "none", "sweep.scheduler=none stops no trial"),
    ),
    (
        ("sweep.reduction_factor",),
        lambda spec: _unless(spec.sweep.scheduler == "asha", f"sweep.scheduler={spec.sweep.scheduler} has no rungs"),
    ),
)
_OF_SPLITS: Final[tuple[Rule, ...]] = (
    (
        ("split.folds",),
        lambda spec: _unless(
            spec.split.name != "holdout", "split=holdout has one fold; split=walk_forward and cpcv have several"
        ),
    ),
    (
        ("split.test_folds", "split.embargo_bars"),
        lambda spec: _unless(
            spec.split.name == "cpcv",
            f"split={spec.split.name} trains on nothing behind a test window; split=cpcv does",
        ),
    ),
    (
        ("split.test_share",),
        lambda spec: _unless(spec.split.name != "cpcv", "with split=cpcv the groups are the tests"),
    ),
    (
        ("split.window",),
        lambda spec: _unless(
            spec.split.name == "walk_forward",
            f"split={spec.split.name} has no windows that grow or roll; split=walk_forward has",
        ),
    ),
)
_OF_DATA: Final[tuple[Rule, ...]] = (
    (
        ("data.volume_unit", "data.adjusted"),
        lambda spec: _unless(
            spec.data.source == "files", f"data={spec.data.source} knows it of its own bars; it is asked of data=files"
        ),
    ),
    (
        ("data.simulator",),
        lambda spec: _unless(spec.data.source in ("simulated", "auto"), f"data={spec.data.source} simulates nothing"),
    ),
    (
        ("data.manners",),
        lambda spec: _unless(
            spec.data.source not in ("files", "simulated", "ecb", "store"), f"data={spec.data.source} asks no server"
        ),
    ),
    (
        ("data.probe_timeout_seconds",),
        lambda spec: _unless(spec.data.source == "auto", "only data=auto looks whether a source can be reached"),
    ),
    (
        ("features",),
        lambda spec: _unless(
            spec.task != "collect" or spec.data.store_features, "data.store_features=false stores no features"
        ),
    ),
    (
        ("data.store_features",),
        lambda spec: _unless(
            spec.task == "collect" or not spec.data.store_features, "only task=collect stores features"
        ),
    ),
    (
        ("asset.chain",),
        lambda spec: _unless(spec.data.source == "auto", f"data={spec.data.source} names the source"),
    ),
    (
        ("asset.benchmark",),
        lambda spec: _unless(
            "benchmark" in (*spec.evaluation.baselines, *spec.evaluation.verdict.beats, spec.backtest.baseline),
            "evaluation.baselines does not name `benchmark`",
        ),
    ),
    (("universe.max_symbols",), lambda spec: _unless(spec.data.symbols is None, "data.symbols names the symbols")),
)
_OF_BACKTESTS: Final[tuple[Rule, ...]] = (
    (
        _TRAINED,
        lambda spec: _unless(not spec.backtest.checkpoints, "a checkpoint is played with what it was trained with"),
    ),
    (
        ("backtest.window",),
        lambda spec: _unless(
            not (spec.backtest.start or spec.backtest.end), "backtest.start and backtest.end stand instead of it"
        ),
    ),
)
_OF_PAPER: Final[tuple[Rule, ...]] = (
    (_TRAINED, _always("a version is traded with what it was trained with")),
    (
        ("paper.window", "paper.start", "paper.end", "paper.speed"),
        lambda spec: _unless(
            spec.paper.feed == "replay", "paper.feed=live takes bars as they come; these are of a replay"
        ),
    ),
    (
        ("paper.window",),
        lambda spec: _unless(not (spec.paper.start or spec.paper.end), "paper.start and paper.end stand instead of it"),
    ),
    (
        ("paper.bar_patience", "paper.bar_poll"),
        lambda spec: _unless(spec.paper.feed == "live", "it is of live bars: paper.feed=live"),
    ),
    (
        ("paper.retrain",),
        lambda spec: _unless(
            spec.paper.feed == "live" or spec.paper.retrain == "never", "an agent is trained again on live bars only"
        ),
    ),
    (("paper.retrain_days",), lambda spec: _unless(spec.paper.retrain != "never", "paper.retrain is never")),
    (
        ("paper.reason",),
        lambda spec: _unless(spec.paper.action == "release", f"paper.action={spec.paper.action} takes no reason"),
    ),
)
_OF_DEPLOYMENTS: Final[tuple[Rule, ...]] = (
    (
        ("deploy.agents",),
        lambda spec: _unless(spec.deploy.action != "verify", "deploy.action=verify goes through the whole registry"),
    ),
    (
        ("deploy.checkpoints", "deploy.force_reason", "deploy.stage", "deploy.keep"),
        lambda spec: _unless(
            spec.deploy.action not in ("list", "verify"), f"deploy.action={spec.deploy.action} changes nothing"
        ),
    ),
    (
        ("deploy.checkpoints",),
        lambda spec: _unless(
            spec.deploy.action in ("promote", "adopt"),
            f"deploy.action={spec.deploy.action} takes no version; it goes by the stage",
        ),
    ),
    (
        ("deploy.stage",),
        lambda spec: _unless(
            spec.deploy.action not in ("adopt", "mend"), f"deploy.action={spec.deploy.action} is about no stage"
        ),
    ),
    (
        ("deploy.force_reason",),
        lambda spec: _unless(
            spec.deploy.action not in ("rollback", "mend"), f"deploy.action={spec.deploy.action} keeps no reason"
        ),
    ),
)
