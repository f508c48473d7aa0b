"""What is typed and read by nothing is refused, or told of, and what is read is neither."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wealtharena.config import compose, plugins, unread
from wealtharena.config.readers import rules
from wealtharena.config.specs.base import Typed
from wealtharena.errors import ConfigError

NAMED = {"split.name", "algo.name", "env.action", "env.anchor", "env.reward.name"}  # by which any task describes itself


def told(line: str) -> list[str]:
    words = shlex.split(line)
    spec = compose(words)
    unread.refuse(spec, words)
    return unread.told(spec, words)


def refused(line: str) -> str:
    words = shlex.split(line)
    with pytest.raises(ConfigError) as caught:
        unread.refuse(compose(words), words)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("backtest.checkpoints=[outputs/x]", "say task=backtest"),
        ("'compare.runs=[multirun/x]'", "say task=compare"),
        ("task=backtest train.env_steps=1000", "say task=train"),
        ("returns_unit=percent", "say task=report"),
        ("sweep.trials=3", "sweep=<name>"),
        ("task=backtest sweep=ppo", "say task=train"),
        ("data.path=bars.csv", "say data=files"),
        ("task=deploy asset=crypto", "say 'deploy.agents=[crypto]'"),
        ("task=deploy deploy.action=verify asset=crypto", "leave it out"),
    ],
)
def test_options_of_another_task_search_or_source_are_refused(line: str, way_out: str) -> None:
    assert way_out in refused(line)


@pytest.mark.parametrize(
    "line",
    [
        "split.folds=8",
        "split=walk_forward split.embargo_bars=5",
        "split=cpcv split.test_share=0.3",
        "env.action=weights env.tilt_scale=1",
        "asset=forex env.tilt_scale=1",
        "reward.eta=0.1",
        "reward=mean_variance reward.drawdown_penalty=2",
        "model.heads=2",
        "model=attention model.recurrent_size=8",
        "algo=dqn model.initial_log_std=-1",
        "algo=direct reward=drawdown",
        "algo=direct algo.risk_aversion=2",
        "algo=direct env.episode_bars=64",
        "algo=bc algo.gamma=0.5",
        "algo=cql compute.envs=4",
        "algo=ppo compute.address=auto",
        "algo=sac algo.alpha_learning_rate=0 algo.target_entropy=-2",
        "data=simulated data.adjusted=all",
        "data=ecb asset=forex data.simulator.seed=3",
        "data.symbols=[BTC-USD] universe.max_symbols=1",
        "train.retrain=crypto algo.learning_rate=0.1",
        "train.retrain=crypto data=simulated",
        "train.retrain=crypto data=files data.path=newer.csv data.adjusted=all",
        "train.retrain=crypto data=yahoo data.max_repaired_share=0.1",
        "tracking=none tracking.wandb.project=mine",
        "tracking.wandb.mode=disabled tracking.wandb.tags=[a]",
        "tracking.wandb.registry=models/crypto",
        "task=backtest tracking.wandb.group=mine",
        "task=audit tracking.wandb.project=mine",
        "task=backtest tracking.mirrors=[tensorboard]",
        "sweep=ppo tracking.mirrors=[tensorboard]",
        "sweep=ppo tracking=tensorboard",
        "task=backtest backtest.checkpoints=[x] asset.limits.max_weight=0.2",
        "task=backtest backtest.baseline=cash model=gru",
        "task=paper features=compact",
        "task=paper paper.feed=live paper.speed=10",
        "task=deploy deploy.action=list deploy.keep=1",
        "task=deploy deploy.agents=[crypto] asset=crypto",
        "task=deploy deploy.action=verify deploy.agents=[crypto]",
        "task=serve asset=crypto",
        "task=compare asset=forex",
        "task=demo algo=direct",
        "broker=shadow",
        "evaluation.baselines=[cash] asset.benchmark=BTC-USD",
    ],
)
def test_what_a_choice_never_reads_is_told(line: str) -> None:
    last = shlex.split(line)[-1]
    assert [one for one in told(line) if one.startswith(f"{last} has no effect: ")], told(line)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "split=walk_forward split.folds=3 split.window=rolling",
        "split=cpcv split.embargo_bars=5 split.test_folds=2",
        "asset=crypto env.tilt_scale=1 env.anchor=momentum algo.tilt_log_std=-1",
        "reward=differential_sharpe reward.eta=0.1 reward.turnover_penalty=1",
        "model=gru model.recurrent_size=8 model.initial_log_std=-1",
        "algo=direct algo.objective=mean_variance algo.risk_aversion=2 algo.windows=4",
        "algo=marwil reward=drawdown algo.gamma=0.5",
        "algo=sac algo.target_entropy=-2 compute.envs=4 env.episode_bars=64",
        "compute=workers compute.num_cpus=2",
        "data=files data.path=bars.csv data.adjusted=all data.volume_unit=units",
        "data.simulator.seed=3 asset.chain=[yahoo]",
        "sweep=ppo sweep.trials=3 reward.eta=0.1",
        "train.test=false train.publish=false paper.root=there serve.keys_file=keys",
        "task=backtest backtest.baseline=cash asset.limits.max_weight=0.2 features=compact algo=direct",
        "task=paper paper.start=2024-01-01 paper.speed=10 compute.torch_threads=1",
        "task=deploy deploy.action=rollback deploy.stage=paper",
        "task=demo asset=crypto data=simulated train.env_steps=1000 serve.port=8000",
        "train.retrain=crypto data.root=there data.end=2024-01-01",
        "train.retrain=crypto data=files data.path=newer.csv",
        "tracking.wandb.project=mine tracking.wandb.tags=[a]",
        "task=deploy tracking.wandb.registry=models/crypto tracking.wandb.entity=mine",
        "task=backtest tracking.wandb.mode=disabled",
        "tracking.mirrors=[tensorboard]",
        "task=compare data.root=elsewhere paths.results=elsewhere",
        "task=inspect paths.checkpoints=elsewhere paper.root=elsewhere",
        "sweep=ppo tracking=quiet",
        "backtest.checkpoints=[] backtest.baseline=null",
        "asset.benchmark=ETH-USD",
        "task=backtest backtest.baseline=benchmark evaluation.baselines=[cash] asset.benchmark=ETH-USD",
    ],
)
def test_what_is_read_is_neither_refused_nor_told(line: str) -> None:
    assert told(line) == []


def test_a_run_that_goes_on_is_told_of_what_another_would_be_refused_for() -> None:
    words = ["backtest.window=all"]
    assert unread.told(compose(words), words, resumed=True) == [
        "backtest.window=all has no effect: task=train does not read backtest.window=all"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "task=inspect asset=forex env.fill=next_open",
        "task=inspect features=wide",
        "task=audit asset=forex evaluation.baselines=[cash]",
        "task=audit algo=direct",
        "task=audit compute.envs=8",
        "task=collect data=ecb asset=forex split.test_share=0.3",
        "task=collect data=ecb asset=forex features=wide",
        "task=collect data=ecb asset=forex tracking.report=true",
        "task=report algo=direct",
        "task=deploy features.clip=3",
        "task=deploy evaluation.verdict.min_dsr=0.5",
        "task=compare data=ecb",
        "task=compare asset.costs.commission_bps=50",
        "task=compare evaluation.stress.delay_bars=2",
        "task=serve env.window=9",
        "task=backtest env.episode_bars=100",
        "task=backtest compute.num_cpus=1",
    ],
)
def test_a_block_that_a_task_has_no_use_for_is_told(line: str) -> None:
    (said,) = told(line)
    assert line.rpartition(" ")[2] in said


def _keys(spec: Typed, above: str = "") -> Iterator[tuple[str, tuple[int, str]]]:
    for name in type(spec).model_fields:
        value = spec.__dict__[name]
        if isinstance(value, Typed):
            yield from _keys(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", (id(spec), name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "task=inspect asset=forex data=simulated data.simulator.bars=600 universe.max_symbols=2",
        "task=audit asset=forex data=simulated data.simulator.bars=600 universe.max_symbols=2",
        "task=collect asset=forex data=ecb",
        "task=deploy deploy.action=list",
        "task=report returns=mine.csv",
    ],
)
def test_what_a_task_is_said_to_have_no_use_for_is_not_looked_at(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    days = pd.bdate_range("2023-01-02", periods=300)
    pd.DataFrame({"date": days, "return": 0.01 * np.sin(np.arange(300.0))}).to_csv("mine.csv", index=False)
    spec = compose([*line.split(), f"data.root={tmp_path}"])
    unused = {keys for keys, why in rules(spec) if why(spec).endswith(("has no use for it", "trains nothing"))}
    looked, of_pydantic = set(), Typed.__getattribute__

    def noted(self: Typed, name: str) -> Any:
        looked.add((id(self), name))
        return of_pydantic(self, name)

    monkeypatch.setattr(Typed, "__getattribute__", noted)
    plugins.load("tasks", spec.task).run(spec)
    monkeypatch.setattr(Typed, "__getattribute__", of_pydantic)
    seen = {key for key, place in _keys(spec) if place in looked}
    assert {"data.interval", "paths.checkpoints", "evaluation.bootstrap_draws"} & seen
    assert {key for key in seen for keys in unused if unread.is_of(key, keys)} <= NAMED
