"""What is in production and what made it, for training it again on newer data."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, Final

import yaml
from omegaconf import OmegaConf
from pydantic import BaseModel

from wealtharena.agents.policy import Trained, load_policy
from wealtharena.config import compose, parse
from wealtharena.config.foreign import check_foreign
from wealtharena.config.homes import SHARED
from wealtharena.config.identity import lacking, listed
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import CheckpointError, ConfigError, PromotionError, WealthArenaError
from wealtharena.evaluation.strictness import shipped
from wealtharena.registry import history
from wealtharena.registry.checkpoints import LoadedCheckpoint, ModelCheckpoint

log = logging.getLogger(__name__)

# Keys of the environment that a checkpoint from before them lacks: they change nothing where actions are no tilts.
_LATER: Final[Mapping[str, Any]] = {
    "anchor": "cash",
    "anchor_bars": 60,
    "tilt_scale": 1.0,
    "trade_rate": 1.0,
    "no_trade_band": 0.0,
}
_BLOCKS: Final = ("features", "split", "algo", "model", "evaluation", "data")
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
    for its last date, the store that it is read from and the file that `asked` names; seed, budget, compute, tracking and
    paths are those of `asked`.

    Raises:
        CheckpointError: it cannot be read, or needs what is not here.
        ConfigError: `asked` names a file, and production was trained on another source.
    """
    content = _content(production)
    old = _understood(production, content)
    if later := _later(old, content):
        log.warning(
            "%s is older than %s: as %s",
            production.metadata.model_path,
            listed(later),
            "they ship" if later[1:] else "it ships",
        )
    kept = {name: getattr(old, name) for name in CONFIGURATION}
    newer: dict[str, Any] = {"end": asked.data.end, "root": asked.data.root}
    if asked.data.source == "files":
        if old.data.source != "files":
            raise ConfigError(
                f"train.retrain={asked.train.retrain}: {production.metadata.model_path} was trained on data={old.data.source}, not on a file",
                hint="leave data=files out, or train a version of its own, without train.retrain",
            )
        newer["path"] = asked.data.path or old.data.path
    data = old.data.model_copy(update=newer)
    return asked.model_copy(update={**kept, "data": data})


def _later(spec: ExperimentSpec, content: Mapping[str, Any]) -> list[str]:
    """Return what of a version's configuration its own file does not say, since it came later and is as it ships."""
    if "universe" in content:
        return []  # as it was composed, not as it was understood
    found = lacking(content, spec.model_dump(mode="json", include={*CONFIGURATION, "data"} - {"evaluation"}))
    return [key for key in found if key.removeprefix("env.") not in _LATER]


def trained_spec(loaded: LoadedCheckpoint) -> ExperimentSpec:
    """Return the configuration that made a checkpoint; CheckpointError where this version can't read it."""
    return _understood(loaded, _content(loaded))


def _content(loaded: LoadedCheckpoint) -> Mapping[str, Any]:
    where = _where(loaded)
    try:
        content = yaml.safe_load(loaded.files.content["config.yaml"])
        check_foreign(content, where=where)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CheckpointError(f"{where}: is not a configuration", hint="train it anew") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{where}: is not a configuration", hint="train it anew")
    return content


def _understood(loaded: LoadedCheckpoint, content: Mapping[str, Any]) -> ExperimentSpec:
    where = _where(loaded)
    try:
        return _spec_of(content)
    except WealthArenaError as error:
        raise CheckpointError(f"{where}: no longer fits this version: {error}", hint="train it anew") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # a part is missing, or is no block
        raise CheckpointError(f"{where}: is not a configuration", hint="train it anew") from error


def _where(loaded: LoadedCheckpoint) -> str:
    return f"{loaded.metadata.model_path}/config.yaml"


def _spec_of(content: Mapping[str, Any]) -> ExperimentSpec:
    """Return the spec of a config.yaml, be it the composed configuration or the typed spec written out."""
    tree = dict(content)
    if "universe" not in tree:  # the typed spec keeps parts inside their owners; parse takes them from their groups
        asset, env = dict(tree["asset"]), dict(tree["env"])
        tree["universe"], tree["reward"] = asset.pop("universe"), env.pop("reward")
        asset.pop("bars_per_year", None)  # of releases that had this key, which nothing read
        for shared in SHARED:
            env.pop(shared, None)
        tree.update(asset=asset, env=env)
    tree["env"] = {**_LATER, **tree["env"]}
    rules = {**shipped().model_dump(mode="json"), **tree["evaluation"]["verdict"]}
    tree["evaluation"] = {**tree["evaluation"], "verdict": rules}
    ships = _shipped_with(tree)
    blocks = {
        "asset": _completed(tree["asset"], ships.asset, but=("universe",)),
        "universe": _completed(tree["universe"], ships.asset.universe),
        "env": _completed(tree["env"], ships.env, but=(*SHARED, "reward")),
        "reward": _completed(tree["reward"], ships.env.reward),
        **{name: _completed(tree[name], getattr(ships, name)) for name in _BLOCKS},
    }
    # how it was kept, shown or traded is no part of how a version was made
    return parse(OmegaConf.create({**ships.model_dump(mode="json"), **blocks, "seed": tree["seed"]}))


def _shipped_with(tree: Mapping[str, Any]) -> ExperimentSpec:
    """Return what ships with the asset class and the algorithm of a configuration; a class that is not here brings nothing."""
    asset, algo = (f"{group}={tree[group]['name']}" for group in ("asset", "algo"))
    try:
        return compose([asset, algo])
    except ConfigError:
        return compose([algo])


def _completed(known: Mapping[str, Any], ships: BaseModel, *, but: Collection[str] = ()) -> dict[str, Any]:
    """Return a block with each key that it lacks as it ships: it came with a later version of the program."""
    found = ships.model_dump(mode="json", exclude=set(but))
    for name, value in known.items():
        block = getattr(ships, name, None)
        if isinstance(block, BaseModel) and isinstance(value, Mapping):
            value = _completed(value, block)
        found[name] = value
    return found


def incumbent_policy(store: ModelCheckpoint, production: LoadedCheckpoint) -> Trained:
    """Return the incumbent as a torch policy, for a warm start or a backtest; its folder has just been verified."""
    return load_policy(store.root / production.metadata.agent / production.metadata.version)
