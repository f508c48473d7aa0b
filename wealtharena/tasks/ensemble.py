"""Several checkpoints of one agent as one: judged by its own look at the test window, then a version like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from wealtharena.agents.policy import Trained, see_alike
from wealtharena.config.composition import flatten
from wealtharena.config.identity import listed
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.market import resolve_fill
from wealtharena.errors import CheckpointError, ConfigError
from wealtharena.evaluation import tables
from wealtharena.registry import ModelCheckpoint, history
from wealtharena.registry.checkpoints import LoadedCheckpoint
from wealtharena.registry.promotion import opened
from wealtharena.reporting.words import challenged
from wealtharena.tasks import backtest, console, retraining
from wealtharena.tasks.backtest import Agent
from wealtharena.tasks.judging import run_audit, track_record
from wealtharena.tasks.pipeline import Prepared, prepare
from wealtharena.tasks.record import RunContext, RunRecord, recorded
from wealtharena.tasks.resuming import BARS, OTHER_PRICES


def combine(spec: ExperimentSpec, store: ModelCheckpoint, agent: str, versions: Sequence[str]) -> str:
    """Save the mean of several versions as a version of its own and return its name, the id of this run.

    The members must have been trained on the same data, as their fingerprint says, by the same terms of trading, and must
    see the market alike: CheckpointError otherwise, and where a member is damaged. The ensemble is played over the members' test window, which
    is one more look in the ledger, and carries its own verdict, not theirs. One of retrainings is played against the version
    in production, as they were.
    """
    twice = sorted({version for version in versions if list(versions).count(version) > 1})
    if twice:
        raise ConfigError(f"deploy.checkpoints names {twice[0]} twice", hint="name each member once")
    members = [opened(store, agent, version) for version in versions]
    _same_sights(members)
    first = members[0].metadata
    _same_data(members, first.data.model_dump(mode="json"), f"than {first.version}")
    spec = _configured(spec, members)
    incumbent = _incumbent(store, agent, members)
    with recorded(spec, RunContext.current()) as record:
        console.screen().print(f"{agent}: ensemble of {', '.join(versions)}")
        whole = backtest.ensemble([backtest.load(member.files.folder, spec) for member in members])
        rival = None if incumbent is None else (incumbent, _rival(store, incumbent, whole))
        prepared = prepare(spec)
        _same_data(members, prepared.about, f"than {prepared.about['source']} gives now")
        _same_terms(members, prepared.sealed.training(0).features.panel)
        record.update(data=prepared.about, fill=prepared.fill, notes=list(prepared.notes), members=list(versions))
        console.tell(prepared.notes)
        _judge_and_save(spec, store, record, prepared, whole, rival)
        record.update(status="completed")
        return record.run_id


def _incumbent(store: ModelCheckpoint, agent: str, members: Sequence[LoadedCheckpoint]) -> LoadedCheckpoint | None:
    """Return what a mean of retrainings has to beat: the version in production, else the one that a member was to replace.

    None where no member is a retraining.
    """
    beaten = [member.metadata.challenge["incumbent"] for member in members if member.metadata.challenge is not None]
    if not beaten:
        return None
    from wealtharena.registry import retrain

    if history.standing(store.root, store.resolve(agent), "production") is not None:
        return retrain.incumbent(store, agent)
    return store.load_checkpoint(agent, beaten[-1])


def _rival(store: ModelCheckpoint, incumbent: LoadedCheckpoint, whole: Agent) -> Trained:
    """Return the incumbent's policy; CheckpointError where it could not be played over what the ensemble is shown."""
    from wealtharena.registry import retrain

    theirs, ours = retrain.incumbent_policy(store, incumbent), whole.policy
    assert ours is not None
    if not see_alike(theirs, ours):
        raise CheckpointError(
            f"{incumbent.metadata.model_path}, which a mean of retrainings has to beat, sees or trades the market otherwise",
            hint=f"retrain what is in production now: task=train train.retrain={incumbent.metadata.agent}",
        )
    return theirs


def _configured(asked: ExperimentSpec, members: Sequence[LoadedCheckpoint]) -> ExperimentSpec:
    """Return the first member's configuration over exactly the data that it saw; paths and tracking stay as asked."""
    from wealtharena.registry import retrain

    meta, trained = members[0].metadata, retrain.trained_spec(members[0])
    kept = {name: getattr(trained, name) for name in retrain.CONFIGURATION}
    pinned = trained.data.model_dump() | {"source": meta.data.source, "end": meta.data.end}
    data = type(trained.data).model_validate(pinned)
    return asked.model_copy(update={**kept, "data": data, "seed": trained.seed})


def _same_sights(members: Sequence[LoadedCheckpoint]) -> None:
    """Refuse members of other symbols or features, which make other data of the same bars: the slowest says where they begin."""
    first = members[0].metadata
    for member in members[1:]:
        other = member.metadata
        for what, ours, theirs in (
            ("symbols", first.symbols, other.symbols),
            ("features", first.feature_names, other.feature_names),
        ):
            if ours != theirs:
                lone = [name for name in (*ours, *theirs) if (name in ours) != (name in theirs)]
                raise CheckpointError(
                    f"{other.model_path} sees other {what} than {first.version}: {listed(lone) or 'in another order'}",
                    hint=f"take members trained on the same {what}",
                )


def _same_data(members: Sequence[LoadedCheckpoint], about: Mapping[str, Any], what: str) -> None:
    """Refuse members of other data than `about` tells of: there would be no window that all of them have not seen."""
    for member in members:
        own = member.metadata.data.model_dump(mode="json")
        if own["fingerprint"] != about["fingerprint"]:
            both = [key for key in BARS if key in own and key in about]  # older versions say less of their bars
            unlike = [f"{key} {own[key]} instead of {about[key]}" for key in both if own[key] != about[key]]
            raise CheckpointError(
                f"{member.metadata.model_path} was trained on other data {what}: {listed(unlike) or OTHER_PRICES}",
                hint="take members trained on the same data, and keep those data in place",
            )


def _same_terms(members: Sequence[LoadedCheckpoint], panel: Panel) -> None:
    """Refuse members that paid other costs or were filled otherwise: the first one's terms would judge the others, unsaid."""
    first, *others = (_terms(member, panel) for member in members)
    for member, terms in zip(members[1:], others, strict=True):
        if unlike := [name for name, value in terms.items() if value != first[name]]:
            raise CheckpointError(
                f"{member.metadata.model_path} was trained with another {unlike[-1]} than {members[0].metadata.version}",
                hint="take members with the same costs, limits, fills and cash",
            )


def _terms(member: LoadedCheckpoint, panel: Panel) -> dict[str, Any]:
    """Return by what a member's orders were filled and charged, by dotted name; `auto` counts as what it is for the panel."""
    from wealtharena.registry.retrain import trained_spec

    trained = trained_spec(member)
    env = trained.env.model_dump(include={"initial_cash", "min_trade_weight"})
    env["fill"] = resolve_fill(trained.env.fill, panel)
    money = {"account_currency", "risk_free_bps_per_year", "costs", "limits", "instrument"}
    return flatten({"env": env, "asset": trained.asset.model_dump(include=money)})


def _judge_and_save(
    spec: ExperimentSpec,
    store: ModelCheckpoint,
    record: RunRecord,
    prepared: Prepared,
    whole: Agent,
    rival: tuple[LoadedCheckpoint, Trained] | None,
) -> None:
    from wealtharena.registry.publish import publish

    assert whole.policy is not None
    spec = backtest.fitted(spec, whole)
    audit = run_audit(spec, prepared)
    window = backtest.window_rows(spec, prepared, trained=True)
    first, last = prepared.sealed.dates((window,))[0]
    features, seen = backtest.open_rows(spec, record, prepared, window, whole)
    outcome: Literal["passed", "failed"] = "passed" if audit.passed else "failed"
    look = backtest.look_of(spec, record, prepared, window, whole)
    found = backtest.judged(look, prepared, features, window, whole, audit=outcome)
    look.showed(found)
    blocks = found.to_json()
    verdict = backtest.not_a_verdict(blocks["verdict"], seen=seen)  # a member of another split may have seen it
    spread = backtest.spread_over(spec, features, window, whole)
    assert spread is not None
    record.update(
        algo=whole.name,
        config_hash=whole.config_hash,
        split={"train": [], "validation": [], "test": [first, last]},
        metrics={"test": blocks["metrics"]},
        **{key: blocks[key] for key in ("baselines", "comparison", "stress")},
        verdict=verdict,
        audit=audit.to_json(),
        ensemble=spread,
    )
    tables.write(record.path.parent, found.agent, baselines=found.baselines)
    if rival is not None:
        record.update(**retraining.against(*rival, whole.policy, spec, features, window))
        console.screen().print(challenged(record.content["challenge"]))
    folder = publish(
        store,
        whole.policy,
        version=record.run_id,
        spec=spec,
        features=features,
        start=window.start,
        stop=window.stop,
        facts={**record.content, "track_record": track_record(found)},
    )
    record.update(registry=f"{folder.parent.name}/{folder.name}")
    console.screen().print(console.spread_line(spread))
