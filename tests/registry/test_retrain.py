from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.registry.shelf import AGENT, place, save
from tests.registry.trained import World, world
from wealtharena.config import compose
from wealtharena.config.composition import flatten
from wealtharena.errors import CheckpointError, ConfigError, PromotionError
from wealtharena.evaluation import challenge
from wealtharena.evaluation.splits import Segment
from wealtharena.registry import ModelCheckpoint, promote, retrain, rollback
from wealtharena.registry.history import Pointer, now
from wealtharena.registry.publish import publish

PARTS = {
    "asset",
    "asset.name",
    "asset.universe",
    "env",
    "env.reward",
    "features",
    "split",
    "algo",
    "algo.name",
    "model",
    "evaluation",
    "evaluation.verdict",
    "data",
    "seed",
}  # without which there is no configuration

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCheckpoint, World]:
    """A version in production whose data ended at feature row 400."""
    made = world("crypto", "mlp", "weights")
    store = ModelCheckpoint(tmp_path_factory.mktemp("shelf") / "checkpoints")
    days = made.features.panel.timestamps.astype("datetime64[D]").astype(str)
    facts = {**made.facts, "data": {**made.facts["data"], "start": str(days[0]), "end": str(days[400])}}
    publish(store, made.policy, version="v1", spec=made.spec, features=made.features, start=0, stop=401, facts=facts)
    manifest = store.load_checkpoint(AGENT, "v1").files.manifest_sha256
    place(
        store.root, Pointer(AGENT, "production", "v1", manifest, "promotable", False, now())
    )  # the gate keeps simulated data out
    return store, made


class Foresight:
    """Holds what gains most between its own fill and the next one, at the opens; or, with sign -1, least."""

    name = "foresight"

    def __init__(self, made: World, segment: Segment, sign: float) -> None:
        opens = made.features.panel.open
        assert opens is not None
        self.moves, self.at = sign * np.log(opens[2:] / opens[1:-1]), segment.start

    def reset(self, batch: int = 1) -> None:
        pass

    def act(self, observation: np.ndarray) -> np.ndarray:
        chosen = np.zeros((1, self.moves.shape[1]))
        chosen[0, self.moves[min(self.at, len(self.moves) - 1)].argmax()] = 1.0
        self.at += 1
        return chosen


def test_the_production_configuration_comes_back_with_newer_data(production: tuple[ModelCheckpoint, World]) -> None:
    store, made = production
    asked = compose(["asset=etf", "seed=9", "data.end=2026-05-01", "data.root=there", "train.env_steps=77"])
    spec = retrain.production_spec(retrain.incumbent(store, "crypto"), asked)
    assert spec.asset == made.spec.asset
    assert (spec.env, spec.features, spec.model, spec.algo) == (
        made.spec.env,
        made.spec.features,
        made.spec.model,
        made.spec.algo,
    )
    assert spec.data.source == "simulated"
    assert (spec.data.end, spec.data.root, spec.seed, spec.train.env_steps) == (asked.data.end, "there", 9, 77)


def test_only_rows_later_than_the_incumbents_data_count(production: tuple[ModelCheckpoint, World]) -> None:
    store, made = production
    old = retrain.incumbent(store, "crypto")
    last = old.metadata.data.end
    assert challenge.unseen(made.features.panel.timestamps, Segment(300, 500), last=last, incumbent="v1") == Segment(
        401, 500
    )
    assert challenge.unseen(made.features.panel.timestamps, Segment(450, 500), last=last, incumbent="v1") == Segment(
        450, 500
    )
    with pytest.raises(PromotionError, match="only 4 bars are later"):
        challenge.unseen(made.features.panel.timestamps, Segment(300, 405), last=last, incumbent="v1")
    with pytest.raises(PromotionError, match="v1 does not say where"):
        challenge.unseen(made.features.panel.timestamps, Segment(300, 500), last=None, incumbent="v1")


@pytest.mark.parametrize(("sign", "beats"), [(1.0, True), (-1.0, False)])
def test_a_newcomer_must_beat_the_incumbent_beyond_chance(
    production: tuple[ModelCheckpoint, World], sign: float, beats: bool
) -> None:
    store, made = production
    old = retrain.incumbent(store, "crypto")
    test = Segment(380, made.features.bars)
    segment = challenge.unseen(made.features.panel.timestamps, test, last=old.metadata.data.end, incumbent="v1")
    outcome = challenge.challenge(
        (Foresight(made, segment, sign), made.policy.scaler),
        (retrain.incumbent_policy(store, old), made.policy.scaler), name="v1",
        features=made.features, env=made.spec.env, segment=segment, rng=np.random.default_rng(0), draws=500,
        risk_free_per_year=made.spec.asset.risk_free_per_year,
    )  # fmt: skip
    assert outcome.beats is beats
    assert outcome.ci95 is not None
    assert (outcome.ci95[0] > 0) is beats
    assert outcome.to_json()["incumbent"] == "v1"


def test_the_incumbent_does_not_beat_itself(production: tuple[ModelCheckpoint, World]) -> None:
    store, made = production
    old = retrain.incumbent(store, "crypto")
    policy = retrain.incumbent_policy(store, old)
    segment = Segment(420, made.features.bars)
    outcome = challenge.challenge(
        (policy, made.policy.scaler), (retrain.incumbent_policy(store, old), made.policy.scaler), name="v1",
        features=made.features, env=made.spec.env, segment=segment, rng=np.random.default_rng(0), draws=200,
        risk_free_per_year=made.spec.asset.risk_free_per_year,
    )  # fmt: skip
    assert not outcome.beats


@pytest.mark.parametrize(
    ("outcome", "stage"),
    [({"incumbent": "v0", "beats": True}, "production"), ({"incumbent": "v0", "beats": False}, "paper")],
)
def test_the_gate_heeds_the_challenge_and_no_force_moves_it(
    tmp_path: Path, outcome: dict[str, Any], stage: str
) -> None:
    store = ModelCheckpoint(tmp_path / "checkpoints")
    save(store, "v1", verdict="promotable", described={"challenge": outcome})
    assert promote(store, AGENT, "v1")[1].stage == stage
    if stage == "paper":
        with pytest.raises(PromotionError, match="does not beat the incumbent v0"):
            promote(store, AGENT, "v1", force_reason="it is newer")


def test_who_beat_another_version_than_the_one_in_production_needs_a_reason(tmp_path: Path) -> None:
    """Two retrainings of v1: the second replaced the first, which it had never met."""
    store = ModelCheckpoint(tmp_path / "checkpoints")
    save(store, "v1", verdict="promotable")
    for version in ("v2", "v3"):
        save(store, version, verdict="promotable", described={"challenge": {"incumbent": "v1", "beats": True}})
    assert [promote(store, AGENT, version)[1].stage for version in ("v1", "v2", "v2")] == ["production"] * 3
    with pytest.raises(PromotionError, match="compared with v1, and v2 is in production now: retrain again"):
        promote(store, AGENT, "v3", stage="production")
    assert promote(store, AGENT, "v3")[1].stage == "paper"
    assert promote(store, AGENT, "v3", force_reason="compared by hand")[1].forced
    assert rollback(store, AGENT).version == "v2"


def test_without_a_production_version_there_is_nothing_to_retrain(tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="nothing is in production"):
        retrain.incumbent(ModelCheckpoint(tmp_path), "crypto")


def test_a_configuration_with_the_bars_a_year_that_nothing_read_still_comes_back(
    production: tuple[ModelCheckpoint, World],
) -> None:
    _, made = production
    written = made.spec.model_dump(mode="json")
    written["asset"]["bars_per_year"] = 365.0
    assert retrain._spec_of(written) == made.spec


def test_how_a_version_is_traded_is_said_anew_whatever_its_own_file_says(
    production: tuple[ModelCheckpoint, World],
) -> None:
    _, made = production
    written = made.spec.model_dump(mode="json")
    del written["risk"]["allow_live"], written["broker"], written["paper"]["resize"]
    assert retrain._spec_of(written) == made.spec


def test_a_rule_of_the_verdict_from_after_a_version_is_as_it_ships(
    production: tuple[ModelCheckpoint, World],
) -> None:
    _, made = production
    written = made.spec.model_dump(mode="json")
    del written["evaluation"]["verdict"]["min_years"]
    written["evaluation"]["verdict"]["min_bars"] = 250
    rules = retrain._spec_of(written).evaluation.verdict
    assert rules == made.spec.evaluation.verdict.model_copy(update={"min_bars": 250})


@pytest.mark.slow
def test_a_key_that_came_after_a_version_is_as_it_ships_and_those_of_other_tasks_are_not_asked(
    production: tuple[ModelCheckpoint, World],
) -> None:
    """Each update that brought a key, of whatever task, left nothing in production to be trained again."""
    _, made = production
    whole = made.spec.model_dump(mode="json")
    for part in whole:
        written = copy.deepcopy(whole)
        for key in sorted(flatten({part: whole[part]}), reverse=True):
            *blocks, name = key.split(".")
            if key not in PARTS:
                del functools.reduce(dict.__getitem__, blocks, written)[name]
        spec = retrain._spec_of(written)
        assert {name for name in whole if getattr(spec, name) != getattr(made.spec, name)} <= {part}


def test_what_a_version_is_older_than_is_told_and_what_it_said_itself_stays(
    production: tuple[ModelCheckpoint, World], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, made = production
    written = made.spec.model_dump(mode="json")
    written["data"]["quality"]["stale_bars"] += 1
    written["asset"]["instrument"]["lot_sizes"] = {"MINE": 10.0}
    del written["data"]["quality"]["end_stamps"], written["model"], written["collect"], written["env"]["anchor"]
    written["model"] = {"name": "mlp"}
    store = ModelCheckpoint(tmp_path)
    publish(
        store, made.policy, version="run-1", spec=made.spec, features=made.features, start=0,
        stop=made.features.bars, facts=made.facts, config=yaml.safe_dump(written),
    )  # fmt: skip
    spec = retrain.production_spec(store.load_checkpoint("crypto", "run-1"), compose(["asset=crypto"]))
    assert spec.data.quality.stale_bars == made.spec.data.quality.stale_bars + 1
    assert spec.asset.instrument.lot_sizes == {"MINE": 10.0}
    assert spec.env.anchor == "cash", "as it was before there were any"
    assert "run-1 is older than data.quality.end_stamps; " in caplog.text or "run-1 is older than model." in caplog.text
    assert "they ship" in caplog.text


@pytest.mark.parametrize("content", ["asset: etf\n", "{}\n", "asset: {name: etf}\nalgo: 3\n"])
def test_a_configuration_without_its_parts_is_refused(
    tmp_path: Path, content: str, production: tuple[ModelCheckpoint, World]
) -> None:
    _, made = production
    store = ModelCheckpoint(tmp_path)
    publish(
        store, made.policy, version="run-1", spec=made.spec, features=made.features, start=0,
        stop=made.features.bars, facts=made.facts, config=content,
    )  # fmt: skip
    with pytest.raises(CheckpointError, match=r"config\.yaml: is not a configuration"):
        retrain.trained_spec(store.load_checkpoint("crypto", "run-1"))


def test_nothing_in_a_foreign_configuration_is_filled_in_from_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "hush")
    made = world("crypto", "mlp")
    store = ModelCheckpoint(tmp_path)
    text = yaml.safe_dump(made.spec.model_dump(mode="json")) + "\nnotes: ${oc.env:SECRET_OF_THIS_MACHINE}\n"
    publish(
        store, made.policy, version="run-1", spec=made.spec, features=made.features, start=0,
        stop=made.features.bars, facts=made.facts, config=text,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"config\.yaml: holds") as caught:
        retrain.trained_spec(store.load_checkpoint("crypto", "run-1"))
    assert "hush" not in str(caught.value)
