"""Command lines that are wrong in some way or other: each ends in one line with a way out, never in a traceback."""

from __future__ import annotations

import random

import pytest

from wealtharena.config import compose, grid
from wealtharena.config.composition import defaults_for, groups
from wealtharena.errors import ConfigError

LINES = 200
VALUES = (
    "abc", "-1", "1e400", "nan", "null", "[]", "{}", "[1,2", "'", "true", "99999999999999999999", "-0.5", "2024-13-45",
    "${oc.env:NO_SUCH_VARIABLE}", "${nope}", "", "a=b", "[null]", "{a:1}", "0x10", "1_000", "ünï", "é*", "(1)", "~",
    "!", "a b", "???", "${",
)  # fmt: skip
CHOICES = ("nope", "ppoo", "null", "[a,b]", "../x", "/etc/passwd", "")


def wrong_lines(seed: int) -> list[str]:
    """Return command-line words made from the tree of the configuration, most of them wrong."""
    rng = random.Random(seed)
    keys = sorted(key for key, value in defaults_for(()).items() if not isinstance(value, dict))
    rooms = sorted(groups())
    made: dict[str, None] = {}
    while len(made) < LINES:
        key, value, group = rng.choice(keys), rng.choice(VALUES), rng.choice(rooms)
        at = rng.randrange(len(key))
        shapes = (
            f"{key[:at]}{rng.choice('xyz_.')}{key[at + 1 :]}=1", f"{key}={value}", f"{group}={rng.choice(CHOICES)}",
            f"{rng.choice(('+', '~', '++'))}{key}={value}", key, f"={key}", f"{key}==1", f"{key}.x.y=1", f"~{key}.zz",
            f"{key}@{key}=1", f"~{key}", group,
        )  # fmt: skip
        made[rng.choice(shapes)] = None
    return list(made)


def refusal(line: str) -> ConfigError | None:
    try:
        compose([line])
    except ConfigError as error:
        return error
    return None


@pytest.mark.slow
def test_wrong_lines_are_refused_in_words() -> None:
    refused = {line: error for line in wrong_lines(seed=0) if (error := refusal(line)) is not None}
    assert len(refused) > 0.9 * LINES
    for line, error in refused.items():
        assert error.exit_code == 2, line
        assert all("; " in text for text in str(error).splitlines()), (line, str(error))  # each with a way out


@pytest.mark.parametrize("group", ["algo", "asset", "data", "experiment", "task"])
def test_a_group_of_nothing_is_no_choice(group: str) -> None:
    with pytest.raises(ConfigError, match=rf"{group}=null is not a choice; choices: "):
        compose([f"{group}=null"])


def test_a_grid_is_refused_before_its_first_job_begins() -> None:
    with pytest.raises(ConfigError, match=r"the job asset=etf algo\.clip=3: algo\.clip=3 must be"):
        grid.check(["-m", "asset=etf", "algo.clip=0.1,3", "seed=0,1,2"])
    with pytest.raises(ConfigError, match="the job seed=-1"):
        grid.check(["-m", "seed=0,-1"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("algo=direct model=mlp", "choose model=shared, or algo=ppo"),
        ("algo=direct compute=workers", "choose compute=local or compute=gpu"),
        ("algo=dqn env.action=tilt", "choose env.action="),
        ("algo=dqn model=gru", "choose model=mlp"),
        ("algo=sac compute=workers", "choose compute=local"),
        ("algo=sac compute=gpu", "choose compute=local"),
    ],
)
def test_what_an_algorithm_cannot_train_is_refused_before_there_is_a_job(line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        compose(line.split())
    assert compose([*line.split(), "task=backtest"]).task == "backtest"  # which trains nothing


def test_a_search_is_asked_by_its_trials() -> None:
    assert compose(["algo=sac", "compute=workers", "sweep=sac"]).compute.runners  # its trials roll out by themselves


@pytest.mark.slow
def test_a_grid_without_its_gpu_is_refused_before_its_first_job_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    grid.check(["-m", "algo=ppo,direct", "compute=local"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"the job algo=ppo compute=gpu: .* sees no GPU here; choose compute=local"):
        grid.check(["-m", "algo=ppo,direct", "compute=gpu,local"])
    grid.check(["-m", "task=backtest", "compute=gpu", "seed=0,1"])


@pytest.mark.slow
def test_a_grid_that_chooses_among_configurations_keeps_the_test_window_closed() -> None:
    closing = "train.test=false"
    assert grid.check(["-m", "asset=etf,crypto", "algo.clip=0.1,0.2", "seed=0,1", "hydra.sweep.dir=x"])[-1] == closing
    assert closing not in grid.check(["-m", "asset=etf,crypto", "seed=0,1,2"])
    assert closing not in grid.check(["-m", "asset=etf", "algo.clip=0.1,0.2", "train.test=true"])
    assert closing not in grid.check(["-m", "asset=etf", "algo.clip=0.1,0.2", "task=backtest"])


@pytest.mark.parametrize("axis", ["seed=range(0,0)", "algo.clip=range(0.1,0.1)", "asset=glob(zz*)", "seed=glob(*)"])
def test_a_grid_without_a_job_is_refused(axis: str) -> None:
    with pytest.raises(ConfigError) as refused:
        grid.check(["-m", "train.env_steps=10,20", axis])
    assert str(refused.value) == f"{axis} names no value: the grid has no job; name one at least"


def test_a_grid_over_a_pattern_is_one_over_the_choices_that_fit() -> None:
    assert grid.check(["-m", "asset=glob(fo*)"]) == ["-m", "asset=glob(fo*)"]
    with pytest.raises(ConfigError, match=r"the job asset=commodities algo\.clip=3"):
        grid.check(["-m", "asset=glob([c*,e*],exclude=crypto)", "algo.clip=3"])
