"""Training a promoted agent again on newer data, and whether the newcomer beats it on data that neither has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from omegaconf import OmegaConf

from wealtharena.agents.policy import Policy, Trained, load_policy
from wealtharena.config import parse
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import CheckpointError, PromotionError, WealthArenaError
from wealtharena.evaluation import backtest
from wealtharena.evaluation.comparison import MIN_BARS, compare
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel, Scaler
from wealtharena.registry import history
from wealtharena.registry.checkpoints import LoadedCheckpoint, ModelCheckpoint

CONFIGURATION = ("asset", "features", "env", "split", "algo", "model", "evaluation")


@dataclass(frozen=True)
class Challenge:
    """A newcomer against the incumbent: `beats` where the lower bound of the Sharpe difference is above 0."""

    incumbent: str
    beats: bool
    bars: int
    start: str | None
    end: str | None
    sharpe_difference: float | None
    ci95: tuple[float, float] | None
    why_not: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the block `challenge` of metadata.json, which the promotion gate reads."""
        return {**vars(self), "ci95": list(self.ci95) if self.ci95 is not None else None}


def incumbent(store: ModelCheckpoint, agent: str) -> LoadedCheckpoint:
    """Return the verified checkpoint in production; PromotionError where there is none to train again."""
    agent = store.resolve(agent)
    pointer = history.read_pointer(store.root, agent, "production")
    if pointer is None:
        raise PromotionError(
            f"train.retrain={agent}: nothing is in production", hint="train and promote a first version"
        )
    return store.load_checkpoint(agent, pointer.version, manifest_sha256=pointer.manifest_sha256)


def production_spec(production: LoadedCheckpoint, asked: ExperimentSpec) -> ExperimentSpec:
    """Return the production configuration over the newer data that was asked for.

    Asset, features, environment, split, algorithm, model and evaluation are production's, and so is the data request but
    for its last date; seed, budget, compute, tracking and paths are those of `asked`.
    """
    old = trained_spec(production)
    kept = {name: getattr(old, name) for name in CONFIGURATION}
    return asked.model_copy(update={**kept, "data": old.data.model_copy(update={"end": asked.data.end})})


def trained_spec(loaded: LoadedCheckpoint) -> ExperimentSpec:
    """Return the configuration that made a checkpoint; CheckpointError where this version can't read it."""
    where = f"{loaded.metadata.model_path}/config.yaml"
    content = yaml.safe_load(loaded.files.content["config.yaml"])
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
        for shared in ("costs", "limits", "instrument"):
            env.pop(shared)
        tree.update(asset=asset, env=env)
    return parse(OmegaConf.create(tree))


def incumbent_policy(store: ModelCheckpoint, production: LoadedCheckpoint) -> Trained:
    """Return the incumbent as a torch policy, for a warm start or a backtest; its folder has just been verified."""
    return load_policy(store.root / production.metadata.agent / production.metadata.version)


def unseen(production: LoadedCheckpoint, features: FeaturePanel, test: Segment) -> Segment:
    """Return the rows of the newcomer's test window that are later than all data of the incumbent.

    PromotionError where fewer than 8 bars are left: there is nothing to compare on yet.
    """
    last = production.metadata.data.end
    if last is None:
        raise PromotionError(
            f"{production.metadata.model_path} does not say where its data ended", hint="promote by hand"
        )
    later = int(np.searchsorted(features.panel.timestamps, np.datetime64(last[:10], "D") + 1))
    start = max(test.start, later)
    if test.stop - start <= MIN_BARS:
        raise PromotionError(
            f"only {max(0, test.stop - start)} bars are later than {last[:10]}, where the incumbent's data ended",
            hint="wait for newer data, or set data.end later",
        )
    return Segment(start, test.stop)


def challenge(
    newcomer: Policy,
    scaler: Scaler,
    production: LoadedCheckpoint,
    old: Policy,
    *,
    features: FeaturePanel,
    env: EnvSpec,
    segment: Segment,
    rng: np.random.Generator,
    draws: int,
) -> Challenge:
    """Return how the newcomer fares against the incumbent over rows that neither has seen, both from cash.

    Paired stationary bootstrap of the evaluation room (Ledoit and Wolf 2008), 95 % interval of the Sharpe difference.
    """
    old_scaler = Scaler.from_dict(production.files.json("scaler.json"))
    ours = backtest.run(newcomer, features, scaler, env, segment, name="newcomer")
    theirs = backtest.run(old, features, old_scaler, env, segment, name="incumbent")
    found = compare(ours, theirs, rng=rng, draws=draws)
    days = features.panel.timestamps[[segment.start, segment.stop - 1]].astype("datetime64[D]").astype(str)
    sharpe = found.difference.sharpe if found.difference is not None else None
    return Challenge(
        incumbent=production.metadata.version,
        beats=sharpe is not None and sharpe.low > 0.0,
        bars=segment.stop - segment.start,
        start=str(days[0]),
        end=str(days[1]),
        sharpe_difference=sharpe.value if sharpe is not None else None,
        ci95=(sharpe.low, sharpe.high) if sharpe is not None else None,
        why_not=found.why_not,
    )
