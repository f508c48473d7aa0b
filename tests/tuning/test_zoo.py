"""Settings that a search found: each names its study, composes from the command line, and claims no more than it knows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from benchmarks import zoo
from wealtharena.config import compose
from wealtharena.config.composition import groups
from wealtharena.config.hashing import config_hash
from wealtharena.config.paths import conf_dir
from wealtharena.config.specs.zoo import ZooSpec

NAMES = [name for name in groups()["zoo"] if name != "none"]
FOUND = ZooSpec(
    study="zoo_etf_ppo", found=date(2026, 11, 26), trials=8, env_steps=100_000, source="files",
    dates=(date(2010, 1, 4), date(2021, 12, 31)), score=0.9, default=1.1,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_choice_is_of_its_class_and_algorithm_and_names_its_study(name: str) -> None:
    spec = compose([f"zoo={name}"])
    asset, _, algo = name.partition("_")
    assert (spec.asset.market, spec.algo.name) == (asset, algo)
    assert spec.zoo.study == f"zoo_{name}"
    assert spec.zoo.trials > 1
    assert spec.train.env_steps == spec.zoo.env_steps
    assert len(spec.zoo.dates) == 2
    assert spec.zoo.score is not None
    assert spec.zoo.default is not None
    head = (conf_dir() / "zoo" / f"{name}.yaml").read_text(encoding="utf-8").partition("defaults:")[0]
    for fact in (
        spec.zoo.study,
        str(spec.zoo.found),
        f"{spec.zoo.trials} trials",
        f"{spec.zoo.score:+.2f}",
        f"{spec.zoo.default:+.2f}",
    ):
        assert fact in head
    assert "Nothing is claimed of a test window." in head


def test_nothing_is_said_of_the_defaults_and_where_settings_come_from_is_no_part_of_what_they_are() -> None:
    plain = compose([])
    assert plain.zoo.words(date(2020, 1, 1)) is None
    assert config_hash(plain) == config_hash(plain.model_copy(update={"zoo": FOUND}))


def test_a_reader_is_told_what_the_search_gained_also_where_it_is_nothing() -> None:
    said = FOUND.words(date(2022, 1, 3)) or ""
    assert "Sharpe ratio there +0.90, with the defaults +1.10" in said
    assert "2021-12-31" in said
    assert "begins on" not in said


def test_a_search_that_has_seen_into_the_test_window_is_told() -> None:
    said = FOUND.words(date(2021, 12, 31)) or ""
    assert said.endswith(
        "The verdict counts that study zoo_etf_ppo saw bars up to 2021-12-31, and the window begins on 2021-12-31."
    )
    assert FOUND.seen_into(date(2022, 1, 1)) is None
    assert compose([]).zoo.seen_into(date(2000, 1, 1)) is None


def test_what_the_script_writes_composes_to_the_winner(tmp_path: Path) -> None:
    winner = {
        "median": 0.5,
        "overrides": ["algo.learning_rate=0.001", "model=attention", "reward.turnover_penalty=0.002"],
    }
    record = {
        "data": {"symbols": ["A", "B"], "source": "files", "start": "2010-01-04", "end": "2020-12-31"},
        "split": {"validation": ["2017-01-03", "2018-12-31"]},
    }
    text = zoo.written(
        "zoo_etf_ppo", "etf", "ppo", {"winner": winner, "trials": [{}, {}]}, record, [0.4, 0.6, 0.2], 5000
    )
    (tmp_path / "found.yaml").write_text(text)
    spec = compose([f"experiment={tmp_path / 'found.yaml'}"])
    assert (spec.asset.name, spec.algo.name, spec.model.name) == ("etf", "ppo", "attention")
    assert (spec.algo.learning_rate, spec.env.reward.turnover_penalty, spec.env.action) == (0.001, 0.002, "tilt")
    assert (spec.zoo.score, spec.zoo.default, spec.zoo.trials, spec.train.env_steps) == (0.5, 0.4, 2, 5000)
    assert "+0.50 with these settings, +0.40 with the defaults" in text
