from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
import pytest

from tests.tuning.toy import sweep_spec
from wealtharena.config import compose
from wealtharena.config.paths import sweeps_dir
from wealtharena.errors import ConfigError
from wealtharena.tuning import space


class Composer:
    """Stands in for config.compose: knows two keys and one group."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def __call__(self, overrides: Sequence[str]) -> Any:
        self.seen.append(list(overrides))
        for item in overrides:
            key, value = item.split("=")
            if key not in ("algo.clip", "model", "model.heads", "base"):
                raise ConfigError(f"{key} is unknown", hint="did you mean algo.clip?")
            if key == "algo.clip" and float(value) >= 1:
                raise ConfigError(f"algo.clip={value} must be below 1", hint="try 0.2")


def dimensions(**named: dict[str, Any]) -> Any:
    return sweep_spec(space={key.replace("__", "."): value for key, value in named.items()})


def test_every_end_and_choice_is_composed_before_the_first_trial() -> None:
    composer = Composer()
    sweep = dimensions(
        algo__clip={"type": "float", "low": 0.1, "high": 0.3},
        model={"type": "categorical", "choices": ["mlp", "attention"]},
        model__heads={"type": "int", "low": 1, "high": 4, "when": {"model": ["attention"]}},
    )
    space.check(sweep, ["base=1"], composer)
    assert composer.seen == [
        ["base=1", "algo.clip=0.1", "model=mlp"],
        ["base=1", "algo.clip=0.3", "model=attention", "model.heads=4"],
        ["base=1", "model=attention", "model.heads=1"],
    ]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"algo__clipp": {"type": "float", "low": 0.1, "high": 0.3}}, "algo.clipp"),
        ({"algo__clip": {"type": "float", "low": 0.1, "high": 3.0}}, "must be below 1"),
        ({"algo__clip": {"type": "float", "low": 0.3, "high": 0.1}}, "is empty"),
        ({"algo__clip": {"type": "float", "low": 0.0, "high": 0.1, "log": True}}, "logarithmic"),
        ({"algo__clip": {"type": "float", "low": 0.1}}, "needs low and high"),
        ({"model": {"type": "categorical", "choices": []}}, "no choices"),
        (
            {"model__heads": {"type": "int", "low": 1, "high": 4, "when": {"model": ["attention"]}}},
            "not searched before",
        ),
        ({"model__heads": {"type": "int", "low": 1.5, "high": 4}}, "of integers"),
        ({"split__test_share": {"type": "float", "low": 0.1, "high": 0.3}}, "tested on one test window"),
        ({"split": {"type": "categorical", "choices": ["holdout", "walk_forward"]}}, "tested on one test window"),
        ({"data__end": {"type": "categorical", "choices": ["2020-01-01", "2024-01-01"]}}, "one validation window"),
        ({"seed": {"type": "int", "low": 0, "high": 9}}, "sweep.seeds_per_trial"),
        ({"asset.costs.commission_bps": {"type": "float", "low": 0, "high": 9}}, "charged least, or paid, would win"),
        ({"asset.costs.cash_bps_per_year": {"type": "float", "low": -9, "high": 0}}, "charged least, or paid"),
        ({"env.fill": {"type": "categorical", "choices": ["next_open", "next_close"]}}, "charged least, or paid"),
        ({"evaluation.bootstrap_draws": {"type": "int", "low": 99, "high": 999}}, "it judges the winner, and no trial"),
        ({}, "empty space"),
    ],
)
def test_a_mistake_in_a_space_is_named_before_the_first_trial(named: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        space.check(dimensions(**named), [], Composer())


@pytest.mark.slow
def test_a_dimension_that_no_trial_reads_is_told_whatever_else_it_draws() -> None:
    sweep = dimensions(
        reward={"type": "categorical", "choices": ["log_return", "differential_sharpe"]},
        reward__eta={"type": "float", "low": 0.01, "high": 0.1},  # one of the rewards reads it
        model__heads={"type": "categorical", "choices": [1, 2]},
        split__folds={"type": "int", "low": 2, "high": 4},
    ).model_copy(update={"fixed": ("asset=crypto", "model.recurrent_size=8")})
    told = space.unread(sweep, ["asset=crypto"], compose)
    assert [line.partition(" has no effect: ")[0] for line in told] == [
        "sweep.fixed: model.recurrent_size",
        "sweep.space.model.heads",
        "sweep.space.split.folds",
    ]
    assert "model=attention does" in told[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in sweeps_dir().glob("*.yaml")))
def test_no_search_that_ships_varies_what_nothing_reads(name: str) -> None:
    spec = compose([f"sweep={name}"])
    assert space.unread(spec.sweep, spec.sweep.fixed, compose) == []


def test_a_conditional_dimension_is_drawn_only_where_its_condition_holds() -> None:
    sweep = dimensions(
        model={"type": "categorical", "choices": ["mlp", "attention"]},
        model__heads={"type": "int", "low": 1, "high": 4, "when": {"model": ["attention"]}},
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.draw(study.ask(), sweep.space) for _ in range(30)]
    assert {values["model"] for values in drawn} == {"mlp", "attention"}
    assert all(("model.heads" in values) == (values["model"] == "attention") for values in drawn)


def test_values_become_overrides_that_hydra_reads_back() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    values = {"a.rate": 1.5e-05, "b": None, "c": True, "d": "a b,c", "e": [64, 64], "f": "log_return", "g": 3}
    parsed = OverridesParser.create().parse_overrides(space.overrides(values))
    assert {item.key_or_group: item.value() for item in parsed} == {**values, "d": "a b,c"}


@pytest.mark.slow
@pytest.mark.parametrize(("key", "choice"), [("experiment", "frictionless"), ("asset", "crypto")])
def test_no_choice_of_a_group_brings_along_what_all_trials_have_in_common(key: str, choice: str) -> None:
    """`asset.costs.commission_bps` was refused, and a preset without costs was a choice like any other: it won."""
    base, own = ["asset=forex", "algo=direct"], {"experiment": "none", "asset": "forex"}[key]
    sweep = dimensions(**{key: {"type": "categorical", "choices": [own, choice]}})
    with pytest.raises(ConfigError, match=f"space.{key}='{choice}' .* changes asset.costs"):
        space.check(sweep, base, space.alike(compose(base), compose))
