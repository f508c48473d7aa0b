"""task=train train.retrain=<agent>: production's configuration on newer data, and the challenge that decides its way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wealtharena.agents.policy import EnsemblePolicy, Trained, see_alike
from wealtharena.config.identity import listed
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import CheckpointError, ConfigError, PromotionError
from wealtharena.evaluation import challenge as room
from wealtharena.evaluation.firewall import OpenedView
from wealtharena.evaluation.look import stream
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel, Scaler
from wealtharena.tasks.origins import facts_of, origin_of
from wealtharena.tasks.pipeline import Prepared

if TYPE_CHECKING:
    from wealtharena.registry.checkpoints import LoadedCheckpoint


RETRAINS = "retrains"  # of run.json: the version that is trained again


def version_of(spec: ExperimentSpec, run: Mapping[str, Any]) -> LoadedCheckpoint | None:
    """Return the version that `train.retrain` trains again; None in any other run.

    It is what is in production, and of a run that goes on what was when it began, whatever has become of it: `run` is
    run.json's content so far.

    PromotionError where nothing is in production, CheckpointError where its folder is damaged.
    """
    if spec.train.retrain is None:
        return None
    from wealtharena.registry import ModelCheckpoint, retrain

    store, begun = ModelCheckpoint(spec.paths.checkpoints), run.get(RETRAINS)
    if begun is None:
        return retrain.incumbent(store, spec.train.retrain)
    return store.load_checkpoint(spec.train.retrain, str(begun))


def configured(spec: ExperimentSpec, version: LoadedCheckpoint | None) -> ExperimentSpec:
    """Return the spec to train: as it is, or with a version to train again its configuration over newer data."""
    if version is None:
        return spec
    from wealtharena.registry import retrain

    return retrain.production_spec(version, spec)


def warm_start(spec: ExperimentSpec, run: Mapping[str, Any], version: LoadedCheckpoint | None) -> Path | None:
    """Return the verified folder whose weights training begins with, None where it begins afresh, or goes on from another run.

    `run` is run.json's content so far: folds that a run goes on with begin with what it was begun with, whatever is in
    production by then.
    """
    if version is None or not spec.train.warm_start or "parent" in run:
        return None
    from wealtharena.registry import ModelCheckpoint

    store = ModelCheckpoint(spec.paths.checkpoints)
    begun = run.get("begun_with")
    found = (version if begun is None else store.load_checkpoint(version.metadata.agent, str(begun))).metadata
    return (store.root / found.agent / found.version).absolute()


def require_unseen(warm: Path | None, prepared: Prepared) -> None:
    """Raise ConfigError where the version whose weights training begins with has learnt from rows of a test window.

    What is trained from them then, on whatever rows, is tested on what it knows: an earlier `data.end` leads there, and every
    fold of a split but the last.
    """
    if warm is None:
        return
    sealed, origin = prepared.sealed, origin_of(warm, facts_of(warm))
    tested = np.concatenate([segment.rows() for fold in prepared.folds for segment in fold.test])
    known = tested[origin.learns(sealed.timestamps.astype("datetime64[D]"))[tested]]
    if not known.size:
        return
    days = sealed.timestamps[[tested.min(), known.max()]].astype("datetime64[D]").astype(str)
    raise ConfigError(
        f"train.warm_start=true: {warm.name} has learnt from bars up to {days[1]}, and the tests begin on {days[0]}",
        hint="train.warm_start=false begins at nothing",
    )


def comparable(prepared: Prepared, spec: ExperimentSpec, version: LoadedCheckpoint | None) -> Prepared:
    """Return the data of a retraining with what is to be said of the comparison to come, before anything is trained for it.

    ConfigError where the version that is trained again could not be played over these bars, which have other symbols, or
    closes only, so that features are lacking: it would come out once the test window has been opened.
    """
    if version is None:
        return prepared
    from wealtharena.registry import ModelCheckpoint, retrain

    known, seen = version.metadata, prepared.sealed.training(0).features
    policy = retrain.incumbent_policy(ModelCheckpoint(spec.paths.checkpoints), version)
    if unlike := _apart(policy.layout.signals, seen.names):
        told = f"{known.model_path} was trained on other features than these bars give: {listed(unlike)}"
        raise _not_comparable(spec, told)
    notes = [_on_symbols(policy, seen.panel.symbols, spec, known.model_path)]
    try:
        room.unseen(
            prepared.sealed.timestamps, prepared.folds[-1].test[-1], last=known.data.end, incumbent=known.model_path
        )
    except PromotionError as error:
        notes.append(f"What comes of it will stay on paper: {error}.")
    return replace(prepared, notes=(*prepared.notes, *filter(None, notes)))


def _apart(known: Sequence[str], here: Sequence[str]) -> list[str]:
    """Return what only one of two lists of names has, in words."""
    lacking = [f"{name} is lacking" for name in known if name not in here]
    return lacking + [f"{name} is new" for name in here if name not in known]


def _on_symbols(policy: Trained, here: Sequence[str], spec: ExperimentSpec, version: str) -> str:
    """Return what is to be said where bars are not of the version's symbols, as where a file has lost one; "" where they are.

    ConfigError where the version could not be played over them.
    """
    known = policy.layout.symbols
    if tuple(known) == tuple(here):
        return ""
    unlike = listed(_apart(known, here)) or "in another order"
    told = f"{version} was trained on other symbols than these bars have: {unlike}"
    try:
        for member in policy.members if isinstance(policy, EnsemblePolicy) else (policy,):
            member.for_symbols(here)
    except CheckpointError:
        raise _not_comparable(spec, told) from None
    return f"{told}; both are compared over those that are here."


def _not_comparable(spec: ExperimentSpec, told: str) -> ConfigError:
    return ConfigError(
        f"train.retrain={spec.train.retrain}: {told}, so that it could not be compared with what comes of it",
        hint="bring bars such as it was trained on, or train a version of its own, without train.retrain",
    )


def challenge(spec: ExperimentSpec, newcomer: Trained, view: OpenedView, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return `challenge` for metadata.json: newcomer against incumbent where neither has looked; empty in any other run.

    The incumbent is what is in production by now. Where nothing is, or what sees or trades the market otherwise than what was
    trained again, by run.json's content `run`, it is that version; the gate sees which of them was beaten.
    """
    if spec.train.retrain is None:
        return {}
    from wealtharena.registry import ModelCheckpoint, history, retrain

    store = ModelCheckpoint(spec.paths.checkpoints)
    stands = history.standing(store.root, store.resolve(spec.train.retrain), "production")
    production = version_of(spec, run if stands is None else {})
    assert production is not None
    theirs = retrain.incumbent_policy(store, production)
    if run.get(RETRAINS) not in (None, production.metadata.version) and not see_alike(theirs, newcomer):
        production = store.load_checkpoint(spec.train.retrain, str(run[RETRAINS]))
        theirs = retrain.incumbent_policy(store, production)
    return against(production, theirs, newcomer, spec, view.features, view.test[-1])


def against(
    production: LoadedCheckpoint,
    theirs: Trained,
    newcomer: Trained,
    spec: ExperimentSpec,
    features: FeaturePanel,
    test: Segment,
) -> dict[str, Any]:
    """Return `challenge` of a newcomer that is judged over `test` against a version of the registry and its policy."""
    known = production.metadata
    try:
        segment = room.unseen(features.panel.timestamps, test, last=known.data.end, incumbent=known.model_path)
    except PromotionError as error:
        outcome = room.Challenge(known.version, False, 0, None, None, None, None, why_not=str(error))
        return {"challenge": outcome.to_json()}
    outcome = room.challenge(
        (newcomer, newcomer.scaler),
        (theirs, Scaler.from_dict(production.files.json("scaler.json"))),
        name=known.version,
        features=features,
        env=spec.env.model_copy(update={"action": newcomer.action}),
        segment=segment,
        rng=stream(spec.seed, "challenge"),
        draws=spec.evaluation.bootstrap_draws,
        risk_free_per_year=spec.asset.risk_free_per_year,
    )
    return {"challenge": outcome.to_json()}
