"""task=paper: trade a promoted version, or a checkpoint, on paper over a replay of bars."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wealtharena.agents.policy import POLICY_FILE, SCALER_FILE, WEIGHTS_FILE
from wealtharena.config import plugins
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.runs import BacktestSpec
from wealtharena.envs.market import resolve_fill
from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import CheckpointError, ConfigError
from wealtharena.evaluation import metrics, tables
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel
from wealtharena.files import make_folder
from wealtharena.prediction import ProductionModelManager
from wealtharena.tasks import backtest, console
from wealtharena.tasks.backtest import Agent
from wealtharena.tasks.pipeline import Prepared, prepare
from wealtharena.tasks.record import RunContext, alone, recorded
from wealtharena.trading import figures, loop
from wealtharena.trading.broker import Broker, Opening
from wealtharena.trading.desk import Close, depth_of
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.minds import Checkpoint, Mind, Served
from wealtharena.trading.pine import pine_of
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader


@dataclass(frozen=True, eq=False)
class Chosen:
    """Who trades: the mind that decides, and the same policy as a backtest plays it."""

    agent: Agent
    mind: Mind
    version: str
    digest: str  # of the policy's files


def run(spec: ExperimentSpec) -> int:
    """Trade until the window ends or the switch says stop, or show, release or begin an account anew; returns 0."""
    folder = Path(spec.paper.root) / spec.asset.agent / spec.paper.account
    if spec.paper.action in ("status", "pine"):
        (_status if spec.paper.action == "status" else _pine)(spec, folder)
        return 0
    make_folder(folder.parent)
    refusal = ConfigError(f"another process trades {spec.asset.agent}", hint="one process an agent: wait, or stop it")
    with alone(folder.parent, refusal):
        if spec.paper.action == "release":
            _release(spec, folder)
            return 0
        with contextlib.closing(Ledger(folder, synchronous=spec.paper.synchronous)) as ledger:
            _trade(spec, folder, ledger)
    return 0


def choose(spec: ExperimentSpec) -> Chosen:
    """Return who trades: `paper.checkpoints`, or what stands on `paper.stage`, in production or else on paper."""
    if spec.paper.checkpoints:
        places = [Path(place) for place in spec.paper.checkpoints]
        loaded = [backtest.load(place, spec) for place in places]
        agent = loaded[0] if len(loaded) == 1 else backtest.ensemble(loaded)
        policy = agent.policy
        if policy is None:
            raise CheckpointError(f"{places[0]} holds no policy", hint="name a checkpoint folder")
        return Chosen(agent, Checkpoint(policy), agent.name, _digest(spec, places))
    manager = ProductionModelManager(spec.paths.checkpoints)
    served = manager.load_agent_model(spec.asset.agent, stage=spec.paper.stage)
    folder = manager.store.folder(spec.asset.agent, served.metadata.version)
    agent = backtest.load(folder, spec)
    if agent.policy is None:
        raise CheckpointError(f"{folder} holds no policy", hint="promote another version")
    mind = Served(served, agent.policy.scaler.clip)
    return Chosen(agent, mind, served.metadata.version, served.policy.manifest_sha256)


def _digest(spec: ExperimentSpec, places: list[Path]) -> str:
    found = hashlib.sha256()
    for place in places:
        folder = backtest.folder_of(place)
        for name in (WEIGHTS_FILE, POLICY_FILE, SCALER_FILE):
            found.update((folder / name).read_bytes())
    return found.hexdigest()


def _trade(spec: ExperimentSpec, folder: Path, ledger: Ledger) -> None:
    context = RunContext.current()
    with recorded(spec, context) as record:
        chosen = choose(spec)
        spec = backtest.fitted(spec, chosen.agent)
        if spec.env.tilt is not None:
            raise ConfigError("env.action=tilt is not traded on paper yet", hint="train with env.action=weights")
        asked = BacktestSpec(
            checkpoints=(), baseline=None, window=spec.paper.window, start=spec.paper.start, end=spec.paper.end
        )
        spec = spec.model_copy(update={"backtest": asked})
        prepared = prepare(spec)
        window = backtest.window_rows(spec, prepared, trained=True)
        window = _opened(spec, ledger, chosen, prepared, window)
        record.update(data=prepared.about, fill=prepared.fill, notes=list(prepared.notes))
        features, seen = backtest.open_rows(spec, record, prepared, window, chosen.agent)
        console.paper_header(record.content, version=chosen.version, account=spec.paper.account, folder=folder)
        _replay(spec, folder, ledger, chosen, features, window)
        told, paths = _found(spec, ledger, chosen, features)
        record.update(paper={**told, "version": chosen.version, "seen_before": seen}, algo=chosen.agent.name)
        if paths is not None:
            tables.write(context.folder, paths[0], baselines={"backtest": paths[1]})
        record.update(status="completed")
    console.paper_result(told, context.folder)


def _opened(spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, prepared: Prepared, window: Segment) -> Segment:
    """Open the account where there is none or it is to begin anew; return the window from its first bar on.

    An account goes on with what it was opened with only: ConfigError names what differs.
    """
    stamps = prepared.sealed.timestamps
    facts: dict[str, Any] = {
        "version": chosen.version,
        "policy": chosen.digest,
        "broker": spec.broker.name,
        "risk": spec.risk.model_dump(mode="json"),
        "env": spec.env.model_dump(mode="json"),
        "source": prepared.about["source"],
        "frequency": prepared.about["frequency"],
        "history": spec.paper.history,
    }
    known = ledger.facts()
    if known is None or spec.paper.action == "restart":
        ledger.open(spec.asset.agent, spec.paper.account, {**facts, "first": str(stamps[window.start])})
        return window
    differing = sorted(name for name, value in facts.items() if known.get(name) != value)
    if differing:
        raise ConfigError(
            f"paper.account={spec.paper.account} was opened with another {', '.join(differing)}",
            hint="name another paper.account, or begin anew with paper.action=restart",
        )
    first = int(np.searchsorted(stamps, np.datetime64(known["first"], "ns")))
    if first >= len(stamps) or str(stamps[first]) != known["first"]:
        raise ConfigError(
            f"paper.account={spec.paper.account} began at {known['first']}, a bar that the data lack",
            hint="give the data it began with, or paper.action=restart",
        )
    return Segment(first, window.stop)


def _replay(
    spec: ExperimentSpec, folder: Path, ledger: Ledger, chosen: Chosen, features: FeaturePanel, window: Segment
) -> None:
    """Trade the bars of the window that are left."""
    broker = _broker(spec, folder, ledger, features)
    feed = Replay(
        features, window, spec.env, chosen.mind.scaler,
        depth=depth_of(spec.env, spec.risk),
        least=spec.features if spec.paper.history == "least" else None,
        speed=spec.paper.speed,
    )  # fmt: skip
    trader = Trader(
        spec.asset.agent, spec.paper.account, chosen.mind, spec.env, spec.risk, ledger, broker, spec.paper.strangers,
        spec.paper.resize,
    )  # fmt: skip
    last = ledger.decision()
    told = console.PaperProgress(ledger)
    with contextlib.closing(broker), Switch(folder) as switch:
        closes: Iterator[Close] = feed.closes(last, wait=switch.wait)
        loop.run(trader, closes, switch, told=lambda close: told.show(close.bar))


def _broker(spec: ExperimentSpec, folder: Path, ledger: Ledger, features: FeaturePanel) -> Broker:
    if spec.broker.outside:
        raise ConfigError(
            f"broker={spec.broker.name} trades now, and a replay shows bars of the past",
            hint="replay with broker=paper or broker=shadow",
        )
    opening = Opening(
        folder, spec.env, ledger.epoch, spec.paper.synchronous,
        spec=spec.broker,
        symbols=features.panel.symbols,
        market=spec.asset.market,
        fill=resolve_fill(spec.env.fill, features.panel),
        daily=spec.data.interval in ("1d", "1w", "1mo"),
        allow_live=spec.risk.allow_live,
    )  # fmt: skip
    broker: Broker = plugins.load("trading.brokers", spec.broker.name).open_broker(opening)
    return broker


def _found(
    spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, features: FeaturePanel
) -> tuple[dict[str, Any], tuple[Trajectory, Trajectory] | None]:
    """Return what the account's record shows beside the backtest over the same bars, and both paths."""
    state, reason = ledger.state()
    found: dict[str, Any] = {
        "account": spec.paper.account, "epoch": ledger.epoch, "broker": spec.broker.name, "state": state,
        "reason": reason, "bars": len(ledger.closes()), "slippage_bps": figures.slippage_bps(ledger),
        "interventions": dict(Counter(f"{one['rule']}: {one['action']}" for one in ledger.interventions())),
    }  # fmt: skip
    if found["bars"] < 3:
        return found, None
    fill = resolve_fill(spec.env.fill, features.panel)
    paper = figures.path_of(ledger, features.panel.symbols, fill=fill, bars_per_year=features.panel.bars_per_year)
    first = int(np.searchsorted(features.panel.timestamps, paper.timestamps[0]))
    window = Segment(first, first + len(paper.timestamps))
    one = backtest.backtest_of(spec, chosen.agent, features, window)
    played = one.simulate()
    free = metrics.risk_free(played, spec.asset.risk_free_per_year)
    both = {name: metrics.summary(path, risk_free=free) for name, path in (("paper", paper), ("backtest", played))}
    apart = float(np.max(np.abs(paper.equity / played.equity - 1.0))) if (played.equity > 0).all() else None
    return {**found, **both, "largest_deviation": apart}, (paper, played)


# --- without trading


def _known(spec: ExperimentSpec, folder: Path) -> Ledger:
    if not (folder / FILE).exists():
        raise ConfigError(f"there is no paper.account={spec.paper.account} of {spec.asset.agent}", hint="task=paper")
    return Ledger(folder, synchronous=spec.paper.synchronous)


def _status(spec: ExperimentSpec, folder: Path) -> None:
    with contextlib.closing(_known(spec, folder)) as ledger:
        console.paper_status(_standing(ledger))


def _standing(ledger: Ledger) -> Mapping[str, Any]:
    closes, (state, reason) = ledger.closes(), ledger.state()
    return {
        "state": state, "reason": reason, "epoch": ledger.epoch, "bars": len(closes),
        "last": closes[-1] if closes else None, "interventions": ledger.interventions()[-5:],
    }  # fmt: skip


def _pine(spec: ExperimentSpec, folder: Path) -> None:
    """Write a Pine script a symbol, which draws the weights that were decided on."""
    with contextlib.closing(_known(spec, folder)) as ledger:
        wanted, last = ledger.wanted(), ledger.decision()
    for column, symbol in enumerate(() if last is None else last.seen):
        name = "".join(letter if letter.isalnum() else "-" for letter in symbol)
        path = folder / f"weights-{name}.pine"
        path.write_text(pine_of(spec.asset.agent, symbol, {bar: row[column] for bar, row in wanted.items()}))
        console.written(path)


def _release(spec: ExperimentSpec, folder: Path) -> None:
    """Let a halted account trade again; a person's word, kept with the reason."""
    if not spec.paper.reason:
        raise ConfigError("a release needs a reason", hint="paper.reason='what was found, and by whom'")
    if Switch(folder).thrown() is not None:
        raise ConfigError(f"{console.relative(folder / 'KILL')} is there", hint="remove it first")
    with contextlib.closing(_known(spec, folder)) as ledger:
        ledger.set_state("trading", f"released: {spec.paper.reason}")
        console.paper_status(_standing(ledger))
