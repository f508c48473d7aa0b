"""task=backtest: checkpoints, the mean of several, or a baseline, over any window; test rows only through the ledger."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wealtharena.agents.policy import POLICY_FILE, WEIGHTS_FILE, EnsemblePolicy, NetworkPolicy, Trained, load_policy
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.tilt import TiltSpec
from wealtharena.data.panel import trade_dates
from wealtharena.errors import CheckpointError, ConfigError, UnknownCheckpointError
from wealtharena.evaluation import backtest, records, tables
from wealtharena.evaluation.evaluate import Evaluation, evaluate, judge
from wealtharena.evaluation.evidence import PLAYED, TEST_WINDOW
from wealtharena.evaluation.ledger import RunIdentity
from wealtharena.evaluation.look import Look
from wealtharena.evaluation.splits import Segment
from wealtharena.evaluation.verdict import shown
from wealtharena.features.panel import FeaturePanel
from wealtharena.files import relative
from wealtharena.registry.inference import OnnxPolicy
from wealtharena.registry.integrity import MANIFEST, read_verified
from wealtharena.registry.metadata import SCHEMA_VERSION
from wealtharena.tasks import console, judging, terms
from wealtharena.tasks.origins import Origin, beside, kept, origin_of, seen_in, trained_as
from wealtharena.tasks.pipeline import Prepared, doubts, prepare
from wealtharena.tasks.record import RunContext, RunRecord, recorded
from wealtharena.trading.graphs import piece_of
from wealtharena.trading.guarded import GuardedBacktest
from wealtharena.trading.minds import Served

if TYPE_CHECKING:
    from wealtharena.envs.trajectory import Trajectory

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Agent:
    """What is to be played: a policy, or a baseline's name."""

    name: str
    config_hash: str  # of the training; empty for a baseline, whose backtest is no trial
    policy: Trained | None = None
    graph: OnnxPolicy | None = None  # of a version of the registry: it decides, as in the service and on paper
    origins: tuple[Origin, ...] = ()  # what each policy of it learnt from and was kept from
    seed: int | None = None  # of the training of a single policy
    members: tuple[tuple[str, int | None], ...] = ()  # hash and seed of each, of a mean


def run(spec: ExperimentSpec) -> int:
    """Backtest the agent over the window, print it beside the baselines, and leave run.json, the paths and a report."""
    context = RunContext.current()
    with recorded(spec, context) as record:
        agent = choose(spec)
        if spec.risk.rules and agent.policy is None:
            raise ConfigError(f"no risk rule stands before {agent.name}, a baseline", hint="try risk=none")
        spec = fitted(spec, agent)
        prepared = terms.noted(prepare(spec), spec)
        window = window_rows(spec, prepared, trained=agent.policy is not None)
        first, last = prepared.sealed.dates((window,))[0]
        record.update(
            data=prepared.about,
            split={"train": [], "validation": [], "test": [first, last]},
            fill=prepared.fill,
            notes=list(prepared.notes),
            backtest={"of": agent.name, "window": window_name(spec), "start": first, "end": last},
        )
        console.tell(prepared.notes)
        features, seen = open_rows(spec, record, prepared, window, agent)
        found = judged(look_of(spec, record, prepared, window, agent), prepared, features, window, agent)
        record.update(
            ensemble=spread_over(spec, features, window, agent), risk=risk_over(spec, features, window, agent)
        )
        if record.content["risk"]:
            record.update(notes=[*prepared.notes, console.GUARDED, *console.risk_lines(record.content["risk"])])
        blocks = found.to_json()
        verdict = not_a_verdict(blocks["verdict"], seen=seen)
        record.update(
            metrics={"test": blocks["metrics"]},
            baselines=blocks["baselines"],
            comparison=blocks["comparison"],
            shape=blocks["shape"],
            stress=blocks["stress"],
            verdict=verdict,
            algo=agent.name,
            config_hash=agent.config_hash,
        )
        tables.write(context.folder, found.agent, baselines=found.baselines)
        judging.write_report(spec, context.folder, {**record.content, "status": "completed"}, found)
        record.update(status="completed")
    show(record.content, context.folder)
    return 0


def choose(spec: ExperimentSpec) -> Agent:
    """Return what `backtest.checkpoints` or `backtest.baseline` names; raises ConfigError unless it is one of the two."""
    request = spec.backtest
    if (request.baseline is None) == (not request.checkpoints):
        raise ConfigError(
            "backtest needs either backtest.checkpoints or backtest.baseline",
            hint="try backtest.baseline=buy_and_hold, or backtest.checkpoints=[checkpoints/<agent>/<run id>]",
        )
    if request.baseline is not None:
        return Agent(request.baseline, "")
    return named([Path(place) for place in request.checkpoints], spec)


def named(places: Sequence[Path], spec: ExperimentSpec) -> Agent:
    """Return what checkpoints play: one that is a version of the registry by its graph, several as their mean."""
    loaded = [load(place, spec) for place in places]
    if len(loaded) > 1:
        return ensemble(loaded)
    if not (places[0] / MANIFEST).exists():
        return loaded[0]
    return replace(loaded[0], graph=OnnxPolicy.from_files(read_verified(places[0])))


def load(place: Path, spec: ExperimentSpec) -> Agent:
    """Return the policy of a registry folder, a run directory or a candidate's folder."""
    folder, facts = folder_of(place), records.facts(place / "metadata.json", known=SCHEMA_VERSION)
    if folder != place:
        facts = dict(records.known(place).content)
    agent = facts.get("agent")
    if agent is not None and agent != spec.asset.agent:
        raise ConfigError(
            f"{place.name} was trained as {agent}, this command plays {spec.asset.agent}",
            hint=f"add asset={facts.get('asset', '<its asset class>')}",
        )
    policy = load_policy(folder)
    name = str(facts.get("algo") or policy.name)
    who, seed = trained_as(place, facts, folder)
    return Agent(name, who, policy, origins=(origin_of(place, facts),), seed=seed)


def folder_of(place: Path) -> Path:
    """Return the folder of the policy: the place itself, or the chosen candidate of a run directory."""
    folder = place
    if (place / records.RUN_FILE).exists():
        chosen = (records.known(place).content.get("checkpoint") or {}).get("path")
        if not chosen:
            raise UnknownCheckpointError(f"{place}: the run left no checkpoint", hint="name a completed run")
        folder = place / str(chosen)
    if not folder.is_dir() or not any((folder / name).exists() for name in (POLICY_FILE, WEIGHTS_FILE, MANIFEST)):
        raise UnknownCheckpointError(
            f"{place}: no such checkpoint folder", hint="name a folder of checkpoints/ or outputs/"
        )
    return folder


def ensemble(members: Sequence[Agent]) -> Agent:
    """Return the mean of several policies; CheckpointError unless they see the market in the same way."""
    networks: list[NetworkPolicy] = []
    for member in members:
        if not isinstance(member.policy, NetworkPolicy):
            raise CheckpointError(
                f"{member.name} is the mean of several networks already and joins no other",
                hint="name the versions that it is of, or train it with algo.members=1",
            )
        networks.append(member.policy)
    each = tuple((member.config_hash, member.seed) for member in members)
    digest = hashlib.sha256(f"ensemble {'+'.join(sorted(who for who, _ in each))}".encode()).hexdigest()[:16]
    origins = tuple(origin for member in members for origin in member.origins)
    return Agent(f"ensemble of {len(members)}", digest, EnsemblePolicy(networks), origins=origins, members=each)


def fitted(spec: ExperimentSpec, agent: Agent) -> ExperimentSpec:
    """Return the spec with the symbols, features, window and limits that the policy was trained with."""
    trained = agent.policy
    if trained is None:
        return spec
    layout = trained.layout
    kept = {"window": layout.window, "limits": trained.limits, "action": trained.action, **_tilted(layout.tilt)}
    env = spec.env.model_copy(update=kept)
    data = spec.data.model_copy(update={"symbols": layout.symbols})
    features = spec.features.model_copy(update={"names": layout.signals})
    return spec.model_copy(update={"env": env, "data": data, "features": features})


def _tilted(tilt: TiltSpec | None) -> dict[str, Any]:
    """Return the environment's keys that the tilt of a policy was made from."""
    if tilt is None:
        return {}
    return {
        "anchor": tilt.anchor.name,
        "anchor_bars": tilt.anchor.lookback_bars,
        "tilt_scale": tilt.scale,
        "trade_rate": tilt.rate,
        "no_trade_band": tilt.band,
    }


def window_name(spec: ExperimentSpec) -> str:
    """Return what is played: the window asked for, or `dates` where dates override it."""
    return "dates" if spec.backtest.start or spec.backtest.end else spec.backtest.window


def window_rows(spec: ExperimentSpec, prepared: Prepared, *, trained: bool) -> Segment:
    """Return the rows that `backtest.window`, or `backtest.start` and `backtest.end`, name.

    Where something `trained` is played, the test window is the last fold's: a checkpoint comes from there, and has
    learnt from the windows before.
    """
    first = prepared.folds[-1] if trained else prepared.folds[0]
    tests = _tests(prepared, trained=trained)
    bars = prepared.sealed.bars
    named = {
        "train": Segment(first.train[0].start, first.train[-1].stop),
        "validation": first.validation,
        "test": Segment(min(s.start for s in tests), max(s.stop for s in tests)),
        "all": Segment(0, bars),
    }[spec.backtest.window]
    start, stop = named.start, named.stop
    days = trade_dates(prepared.sealed.timestamps)
    if spec.backtest.start is not None or spec.backtest.end is not None:
        start = int(np.searchsorted(days, _day(spec.backtest.start, "start"))) if spec.backtest.start else 0
        stop = int(np.searchsorted(days, _day(spec.backtest.end, "end"), side="right")) if spec.backtest.end else bars
    start = max(start, spec.env.window - 1)
    if stop - start < 2:
        key = "paper" if spec.task == "paper" else "backtest"  # as it was written
        dates = {"start": spec.backtest.start, "end": spec.backtest.end}
        said = [f"{key}.{name}={day}" for name, day in dates.items() if day is not None] or [
            f"{key}.window={spec.backtest.window}"
        ]
        raise ConfigError(
            f"{' and '.join(said)} leave{'s' if len(said) == 1 else ''} {max(stop - start, 0)} bars",
            hint=f"the data has bars from {days[0]} to {days[-1]}",
        )
    return Segment(start, stop)


def _tests(prepared: Prepared, *, trained: bool) -> list[Segment]:
    return [segment for fold in prepared.folds[-1 if trained else 0 :] for segment in fold.test]


def _day(text: str | None, key: str) -> np.datetime64:
    try:
        return np.datetime64(dt.date.fromisoformat(str(text)[:10]), "D")  # a month is no day
    except ValueError:
        raise ConfigError(f"backtest.{key}={text} is not a date", hint="write it as 2024-01-31") from None


def open_rows(
    spec: ExperimentSpec, record: RunRecord, prepared: Prepared, window: Segment, agent: Agent
) -> tuple[FeaturePanel, bool]:
    """Return rows that reach to the window's end, and whether training or selection saw any of it.

    Rows of a test window are opened, with a line in the ledger: those of the split at hand, and those that a checkpoint
    was kept from when it was trained, whatever the split at hand says. A window that touches none is played on the
    training view.
    """
    view = None if kept(agent.origins, prepared, window).any() else prepared.sealed.training(0).features
    if view is not None and view.bars >= window.stop:
        return view, True
    return look_of(spec, record, prepared, window, agent).open_all(), has_seen(prepared, agent, window)


def has_seen(prepared: Prepared, agent: Agent, bars: Segment) -> bool:
    """Return whether training or selection of what is played saw any of these bars."""
    first = min(s.start for s in _tests(prepared, trained=agent.policy is not None))
    return seen_in(agent.origins, prepared, bars, unseen=first)


def look_of(spec: ExperimentSpec, record: RunRecord, prepared: Prepared, window: Segment, agent: Agent) -> Look:
    """Return the agent's look at the test window, of the split at hand or of its own."""
    seed = agent.seed if len(agent.origins) == 1 else spec.seed
    identity = RunIdentity(record.run_id, agent.config_hash, spec.asset.agent, spec.task, seed, agent.members)
    return Look(spec, prepared.sealed, identity, beside=beside(agent.origins, prepared, window))


def judged(
    look: Look,
    prepared: Prepared,
    features: FeaturePanel,
    window: Segment,
    agent: Agent,
    *,
    audit: Literal["passed", "failed"] | None = None,
) -> Evaluation:
    """Return the judgement of the agent over the window; `audit` is `passed`, `failed`, or None for none made."""
    spec, rng = look.spec, look.rng()
    said = TEST_WINDOW if window_name(spec) == "test" else PLAYED
    saw = partial(has_seen, prepared, agent)
    facts = look.facts(audit=audit, window=said, saw=saw, **doubts(spec, prepared, first_row=window.start))
    if agent.policy is not None:
        from wealtharena.training.shrinkage import share_left

        facts = replace(facts, kept_share=share_left(agent.policy))
        return evaluate([backtest_of(spec, agent, features, window)], evaluation=spec.evaluation, facts=facts, rng=rng)
    played = _all_baselines(spec, features, window, agent.name, rng)
    return judge([played[agent.name]], played, evaluation=spec.evaluation, facts=facts, rng=rng)


def backtest_of(spec: ExperimentSpec, agent: Agent, features: FeaturePanel, window: Segment) -> backtest.Backtest:
    """Return the agent's policy over the window, under the risk rules where there are any."""
    policy = agent.policy
    assert policy is not None
    mind = served(agent)
    pieces = (backtest.Piece(policy, policy.scaler, window) if mind is None else piece_of(mind, window),)
    if not spec.risk.rules:
        return backtest.Backtest(agent.name, features, spec.env, pieces)
    return GuardedBacktest(agent.name, features, spec.env, pieces, spec.risk)


def served(agent: Agent) -> Served | None:
    """Return the mind of a version of the registry; None for what decides by tensors."""
    if agent.graph is None or agent.policy is None:
        return None
    return Served(agent.graph, agent.policy.scaler.clip)


def risk_over(spec: ExperimentSpec, features: FeaturePanel, window: Segment, agent: Agent) -> dict[str, Any] | None:
    """Return what the risk rules did over the window and what that cost; None where there are none."""
    if not spec.risk.rules:
        return None
    one = backtest_of(spec, agent, features, window)
    assert isinstance(one, GuardedBacktest)
    guarded = one.simulate()
    told = list(one.interventions)
    plain = backtest.Backtest(agent.name, features, spec.env, one.pieces).simulate()
    with_rules, without = (float(path.equity[-1] / path.equity[0] - 1.0) for path in (guarded, plain))
    ends = [bar for bar, one in told if one.action in ("flatten", "halt")]
    return {
        "rules": {name: rule.model_dump(mode="json") for name, rule in spec.risk.rules.items()},
        "interventions": dict(Counter(f"{one.rule}: {one.action}" for _, one in told)),
        "stopped_at": ends[0] if ends else None,
        "log": [{"bar": bar, **asdict(one)} for bar, one in told],
        "total_return": with_rules,
        "total_return_without": without,
    }


def spread_over(spec: ExperimentSpec, features: FeaturePanel, window: Segment, agent: Agent) -> dict[str, float] | None:
    """Return how far an ensemble's members are apart over the window, in weight; None for anything else."""
    policy = agent.policy
    if not isinstance(policy, EnsemblePolicy):
        return None
    backtest.of_policy(policy, features, policy.scaler, spec.env, window, name=agent.name)
    spreads = np.concatenate(policy.spreads)
    log.info("%s: spread %.4f a bar, %.4f at most", agent.name, spreads.mean(), spreads.max())
    return {"members": len(policy.members), "mean_spread": float(spreads.mean()), "max_spread": float(spreads.max())}


def _all_baselines(
    spec: ExperimentSpec, features: FeaturePanel, window: Segment, name: str, rng: np.random.Generator
) -> Mapping[str, Trajectory]:
    names = tuple(dict.fromkeys((name, *spec.evaluation.baselines, *spec.evaluation.verdict.beats)))
    return backtest.of_baselines(
        features,
        spec.env,
        window,
        evaluation=spec.evaluation,
        rng=rng,
        benchmark=spec.asset.benchmark,
        names=names,
        risk_free_per_year=spec.asset.risk_free_per_year,
    )


def not_a_verdict(verdict: Mapping[str, Any], *, seen: bool) -> dict[str, Any]:
    """Return the verdict, held at `unproven` where the window is not one that the agent had never seen."""
    found = dict(verdict)
    if seen and found["status"] != "rejected":
        found["status"] = "unproven"
    if seen:
        why = "Part of this window was seen in training or selection: its figures prove nothing."
        found["reasons"] = [why, *found["reasons"]]
    return found


def show(content: Mapping[str, Any], folder: Path) -> None:
    """Print the table of measures and where the files are."""
    out = console.screen()
    out.print(
        f"{content['backtest']['of']} over {content['backtest']['start']} to {content['backtest']['end']}, {content['data']['source']}"
    )
    out.print(console.comparison_table(content))
    for line in console.baseline_notes(content):
        out.print(line, style="dim")
    if content.get("ensemble"):
        out.print(console.spread_line(content["ensemble"]))
    if content.get("risk"):
        for line in console.risk_lines(content["risk"]):
            out.print(line)
    console.verdict(content)
    for reason in shown(content["verdict"], 3):
        out.print(f"- {reason}", style="dim")
    out.print(f"Paths: {relative(folder / tables.EQUITY_FILE)}")
    console.report(folder)
