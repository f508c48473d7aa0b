"""What is in production and what made it, for training it again on newer data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml
from omegaconf import OmegaConf

from wealtharena.agents.policy import Trained, load_policy
from wealtharena.config import compose, parse
from wealtharena.config.foreign import check_foreign
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import CheckpointError, PromotionError, WealthArenaError
from wealtharena.evaluation.strictness import shipped
from wealtharena.registry import history
from wealtharena.registry.checkpoints import LoadedCheckpoint, ModelCheckpoint

# Keys of the environment that a checkpoint from before them lacks: they change nothing where actions are no tilts.
_LATER: Final[Mapping[str, Any]] = {
    "anchor": "cash",
    "anchor_bars": 60,
    "tilt_scale": 1.0,
    "trade_rate": 1.0,
    "no_trade_band": 0.0,
}
_ANEW: Final = {"risk", "broker", "paper"}  # how a version is traded is no part of how it was made
CONFIGURATION = ("asset", "features", "env", "split", "algo", "model", "evaluation")


def incumbent(store: ModelCheckpoint, agent: str) -> LoadedCheckpoint:
    """Return the verified checkpoint in production; PromotionError where there is none to train again."""
    agent = store.resolve(agent)
    pointer = history.standing(store.root, agent, "production")
    if pointer is None:
        raise PromotionError(
            f"train.retrain={agent}: nothing is in production", hint="train and promote a first version"
        )
    return store.load_checkpoint(agent, pointer.version, manifest_sha256=pointer.manifest_sha256)


def production_spec(production: LoadedCheckpoint, asked: ExperimentSpec) -> ExperimentSpec:
    """Return the production configuration over the newer data that was asked for.

    Asset, features, environment, split, algorithm, model and evaluation are production's, and so is the data request but
    for its last date and the store that it is read from; seed, budget, compute, tracking and paths are those of `asked`.
    """
    old = trained_spec(production)
    kept = {name: getattr(old, name) for name in CONFIGURATION}
    data = old.data.model_copy(update={"end": asked.data.end, "root": asked.data.root})
    return asked.model_copy(update={**kept, "data": data})


def trained_spec(loaded: LoadedCheckpoint) -> ExperimentSpec:
    """Return the configuration that made a checkpoint; CheckpointError where this version can't read it."""
    where = f"{loaded.metadata.model_path}/config.yaml"
    try:
        content = yaml.safe_load(loaded.files.content["config.yaml"])
        check_foreign(content, where=where)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CheckpointError(f"{where}: is not a configuration", hint="train it anew") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{where}: is not a configuration", hint="train it anew")
    try:
        return _spec_of(content)
    except (WealthArenaError, ValueError) as error:
        raise CheckpointError(f"{where}: no longer fits this version: {error}", hint="train it anew") from error


def _spec_of(content: Mapping[str, Any]) -> ExperimentSpec:
    """Return the spec of a config.yaml, be it the composed configuration or the typed spec written out."""
    tree = dict(content)
    if "universe" not in tree:  # the typed spec keeps parts inside their owners; parse takes them from their groups
        asset, env = dict(tree["asset"]), dict(tree["env"])
        tree["universe"], tree["reward"] = asset.pop("universe"), env.pop("reward")
        asset.pop("bars_per_year", None)  # checkpoints of before it went carry it; nothing read it
        for shared in ("costs", "limits", "instrument"):
            env.pop(shared)
        tree.update(asset=asset, env=env)
    tree["env"] = {**_LATER, **tree["env"]}
    # what was no rule yet is as it ships
    rules = {**shipped().model_dump(mode="json"), **tree["evaluation"]["verdict"]}
    tree["evaluation"] = {**tree["evaluation"], "verdict": rules}
    return parse(OmegaConf.create({**tree, **compose().model_dump(mode="json", include=_ANEW)}))


def incumbent_policy(store: ModelCheckpoint, production: LoadedCheckpoint) -> Trained:
    """Return the incumbent as a torch policy, for a warm start or a backtest; its folder has just been verified."""
    return load_policy(store.root / production.metadata.agent / production.metadata.version)
