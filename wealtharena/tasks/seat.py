"""One agent at its account: a generator that trades when its moment has come, beside others of the same process."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml

from wealtharena import files
from wealtharena.config.signals import Stop
from wealtharena.config.specs.asset import LimitSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.runs import BacktestSpec
from wealtharena.data import provider
from wealtharena.envs.market import resolve_fill
from wealtharena.envs.shortfall import shortfall
from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.evaluation import metrics, tables
from wealtharena.evaluation.backtest import Backtest
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel
from wealtharena.reporting import report
from wealtharena.reporting.data import ReportData
from wealtharena.shown import without_places
from wealtharena.tasks import accounts, backtest, console, watching
from wealtharena.tasks.accounts import Chosen
from wealtharena.tasks.pages import drawn
from wealtharena.tasks.pipeline import Prepared, prepare
from wealtharena.tasks.record import RunContext, RunRecord, recorded
from wealtharena.tasks.watching import Watcher
from wealtharena.trading import answers, figures, loop
from wealtharena.trading.alerts import Alerts, channels_of
from wealtharena.trading.broker import Broker, Opening
from wealtharena.trading.carrying import Carrier, Carry, Turn, directly
from wealtharena.trading.clock import Due
from wealtharena.trading.crossing import ACCOUNT, Neighbours, mark_of
from wealtharena.trading.database import damage_told
from wealtharena.trading.desk import depth_of
from wealtharena.trading.feeds import conversion
from wealtharena.trading.feeds.live import Live, fill_of, sources_of
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.feeds.seen import SeenBars
from wealtharena.trading.leaving import take_leave
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.monitor.watch import Baseline
from wealtharena.trading.outbox import Outbox
from wealtharena.trading.standing import Standing
from wealtharena.trading.switch import Signals, Switch
from wealtharena.trading.trader import Trader
from wealtharena.trading.turns import Agent

FloatArray = npt.NDArray[np.float64]
Fill = Literal["next_open", "next_close"]
Paths = tuple[Trajectory, Trajectory]


@dataclass(frozen=True, eq=False)
class Room:
    """What the agents of one process share."""

    signals: Signals
    stop: Stop
    several: bool  # so that each line says whose it is
    ledgers: dict[Path, Ledger] = field(default_factory=dict)  # of those that trade, by folder
    turn: Turn = field(default_factory=Turn)  # of who may act


def trading(spec: ExperimentSpec, context: RunContext, room: Room) -> Agent:
    """Trade until the window ends or the switch says stop, and leave run.json in the context's folder.

    Yields the moments before which there is nothing to do.
    """
    folder = accounts.folder_of(spec)
    with damage_told(folder), accounts.ledger_of(spec) as ledger:
        room.ledgers[folder.resolve()] = ledger
        try:
            yield from _trade(spec, context, ledger, room)
        finally:
            room.ledgers.pop(folder.resolve())


def _trade(spec: ExperimentSpec, context: RunContext, ledger: Ledger, room: Room) -> Iterator[Due]:
    with recorded(spec, context, stop=room.stop) as record, damage_told(accounts.folder_of(spec)):
        chosen = accounts.choose(spec, ledger.facts())
        spec = backtest.fitted(spec, chosen.agent)
        if spec.paper.feed == "live":
            told, paths = (yield from _live(spec, ledger, chosen, record, room)), None
        else:
            told, paths = yield from _replayed(spec, ledger, chosen, record, room)
        record.update(paper={**told, "version": chosen.version}, algo=chosen.agent.name)
        if paths is not None:
            tables.write(context.folder, paths[0], baselines={"backtest": paths[1]})
            _report(spec, context.folder, record, told, paths)
        record.update(status="completed")
    console.paper_result(told, context.folder, agent=spec.asset.agent if room.several else "")


def _live(
    spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, record: RunRecord, room: Room
) -> Generator[Due, None, dict[str, Any]]:
    """Trade the venue's sessions as they come, until told to stop; return how the account stands."""
    source = sources_of(spec, provider.now)[0]
    fill = fill_of(spec, source)
    filled = spec.model_copy(update={"env": spec.env.model_copy(update={"fill": fill})})
    if spec.paper.action == "restart":
        _leave(filled, ledger, symbols=chosen.symbols, fill=fill)
    accounts.opened(spec, ledger, chosen, source=source.name, frequency=spec.data.interval, first=None)
    about = {"source": source.name, "simulated": False, "symbols": list(chosen.symbols)}
    record.update(data=about, fill=fill, notes=list(source.notes()))
    folder = accounts.folder_of(spec)
    console.paper_header(
        record.content, version=chosen.version, account=spec.paper.account, folder=folder, money=spec.broker.money,
        live=True,
    )  # fmt: skip
    rates = conversion.Rates(chosen.symbols, spec, provider.now)
    rates.renew()
    if words := rates.ended():
        console.screen(answer=True).print(words, style="yellow", markup=False)
    trader = _trader(filled, ledger, chosen, room, symbols=chosen.symbols, fill=fill)
    told = _progress(spec, ledger, room, every="bar")
    seen = SeenBars(folder, synchronous=spec.paper.synchronous)
    watched = _watched(spec, ledger, baseline=_stored_baseline(spec, chosen), renewing=True)
    with contextlib.closing(trader.broker), contextlib.closing(seen), watched as watcher:
        for words in answers.warned(trader.broker):
            console.screen(answer=True).print(words, style="yellow", markup=False)
        trader.broker.stream(room.signals.wake)
        feed = Live(filled, chosen.mind.scaler, now=provider.now, seen=seen, told=watcher.event, wake=room.signals.wake)
        trader = replace(_standing(spec, chosen, trader), reached=feed.reached)
        carry: Carry = directly
        if room.several and spec.broker.outside:
            carrier = Carrier(room.turn, provider.now, room.signals.wake, spec.asset.agent)
            trader, carry = carrier.equipped(trader), carrier.carry
        yield from loop.steps(
            trader, feed.steps(ledger.decision()), Switch(folder, room.signals),
            told=lambda close: told.show(close.bar), timed=watcher.told, now=provider.now, carry=carry,
            tended=watcher.tended,
        )  # fmt: skip
    return _standing_of(spec, ledger)


def _leave(spec: ExperimentSpec, ledger: Ledger, *, symbols: tuple[str, ...], fill: Fill) -> None:
    """Take back what the account has open at its broker outside before it is begun anew there."""
    if ledger.pending() and spec.broker.outside and (ledger.facts() or {}).get("broker") == spec.broker.name:
        with contextlib.closing(_broker(spec, ledger, symbols=symbols, fill=fill)) as broker:
            take_leave(ledger, broker)


def _replayed(
    spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, record: RunRecord, room: Room
) -> Generator[Due, None, tuple[dict[str, Any], Paths | None]]:
    """Trade a window of the past; return what the record shows, and the paths of account and backtest."""
    asked = BacktestSpec(
        checkpoints=(), baseline=None, window=spec.paper.window, start=spec.paper.start, end=spec.paper.end
    )
    spec = spec.model_copy(update={"backtest": asked})
    prepared = prepare(spec)
    window = backtest.window_rows(spec, prepared, trained=True)
    window = _opened(spec, ledger, chosen, prepared, window)
    record.update(data=prepared.about, fill=prepared.fill, notes=list(prepared.notes))
    features, seen = backtest.open_rows(spec, record, prepared, window, chosen.agent)
    console.paper_header(
        record.content, version=chosen.version, account=spec.paper.account, folder=accounts.folder_of(spec),
        money=spec.broker.money,
    )  # fmt: skip
    baseline = watching.baseline_of(spec, prepared, chosen)
    yield from _replay(spec, ledger, chosen, room, features=features, window=window, baseline=baseline)
    told, paths = _found(spec, ledger, chosen, features)
    return {**told, "seen_before": seen}, paths


def _opened(spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, prepared: Prepared, window: Segment) -> Segment:
    """Open the account, or go on with it; return the window from its first bar on."""
    stamps, about = prepared.sealed.timestamps, prepared.about
    began = accounts.opened(
        spec, ledger, chosen, source=about["source"], frequency=about["frequency"], first=str(stamps[window.start])
    )
    first = int(np.searchsorted(stamps, np.datetime64(began, "ns")))
    if first >= len(stamps) or str(stamps[first]) != began:
        raise ConfigError(
            f"paper.account={spec.paper.account} began at {began}, a bar that the data lack",
            hint="give the data it began with, or paper.action=restart",
        )
    return Segment(first, window.stop)


def _trader(
    spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, room: Room, *, symbols: tuple[str, ...], fill: Fill
) -> Trader:
    broker = _broker(spec, ledger, symbols=symbols, fill=fill)
    if spec.broker.place is not None:
        ledger.write_note(ACCOUNT, mark_of(spec.broker.place))
    neighbours = Neighbours(Path(spec.paper.root), accounts.folder_of(spec), spec.broker.name, room.ledgers)
    return Trader(
        spec.asset.agent, spec.paper.account, chosen.mind, spec.env, spec.risk, ledger, broker, spec.paper.strangers,
        spec.paper.resize,
        neighbours=neighbours if spec.broker.outside else None,
    )  # fmt: skip


def _standing(spec: ExperimentSpec, chosen: Chosen, trader: Trader) -> Trader:
    """Return the trader that looks where its version stands; one of named checkpoints as it is."""
    if spec.paper.checkpoints:
        return trader
    looks = Standing(Path(spec.paths.checkpoints), spec.asset.agent, chosen.version)
    return replace(trader, standing=looks)


def _broker(spec: ExperimentSpec, ledger: Ledger, *, symbols: tuple[str, ...], fill: Fill) -> Broker:
    """Return the account's broker; one outside trades now, so that a replay is refused to it before it is reached."""
    if spec.broker.outside and spec.paper.feed != "live":
        raise ConfigError(
            f"broker={spec.broker.name} trades now, and a replay shows bars of the past",
            hint="replay with broker=paper or broker=shadow, or trade bars as they come: paper.feed=live",
        )
    opening = Opening(
        accounts.folder_of(spec), spec.env, ledger.epoch, spec.paper.synchronous,
        spec=spec.broker,
        symbols=symbols,
        market=spec.asset.market,
        currency=spec.asset.account_currency,
        fill=fill,
        daily=spec.data.interval in ("1d", "1w", "1mo"),
        allow_live=spec.risk.allow_live,
    )  # fmt: skip
    return answers.opened(spec.broker.name, opening)


@contextlib.contextmanager
def _watched(spec: ExperimentSpec, ledger: Ledger, *, baseline: Baseline, renewing: bool = False) -> Iterator[Watcher]:
    """Yield who is told of every close; what waits to be told to people is sent at the end."""
    channels = channels_of(
        webhook_env=spec.paper.alert_webhook_env,
        apprise_env=spec.paper.alert_apprise_env,
        say=lambda text: console.screen(answer=True).print(text, style="yellow", markup=False),
    )
    with (
        contextlib.closing(Alerts(channels, outbox=Outbox(accounts.folder_of(spec) / FILE))) as alerts,
        contextlib.closing(
            Watcher(spec, ledger, accounts.folder_of(spec), baseline=baseline, alerts=alerts, renewing=renewing)
        ) as watcher,
    ):
        try:
            yield watcher
        except Exception as error:  # whatever ends the trading is told to people and goes on
            watcher.stopped(error)
            raise


def _stored_baseline(spec: ExperimentSpec, chosen: Chosen) -> Baseline:
    """Return what a live account is compared with: the local store's bars, where it has them; else nothing, said so."""
    try:
        stored = spec.model_copy(update={"data": spec.data.model_copy(update={"source": "store"})})
        return watching.baseline_of(spec, prepare(stored), chosen)
    except WealthArenaError as error:
        console.screen(answer=True).print(
            f"Nothing is watched: {error.message}. Fill the store: task=collect.", style="yellow", markup=False
        )
        return watching.UNWATCHED


def _replay(
    spec: ExperimentSpec,
    ledger: Ledger,
    chosen: Chosen,
    room: Room,
    *,
    features: FeaturePanel,
    window: Segment,
    baseline: Baseline,
) -> Iterator[Due]:
    """Trade the bars of the window that are left."""
    fill = resolve_fill(spec.env.fill, features.panel)
    trader = _trader(spec, ledger, chosen, room, symbols=features.panel.symbols, fill=fill)
    feed = Replay(
        features, window, spec.env, chosen.mind.scaler,
        depth=depth_of(spec.env, spec.risk),
        least=spec.features if spec.paper.history == "least" else None,
    )  # fmt: skip
    told = _progress(spec, ledger, room, every="month")
    with contextlib.closing(trader.broker), _watched(spec, ledger, baseline=baseline) as watcher:
        yield from loop.steps(
            _standing(spec, chosen, trader), feed.steps(ledger.decision()), Switch(accounts.folder_of(spec), room.signals),
            told=lambda close: told.show(close.bar), timed=watcher.told,
        )  # fmt: skip


def _progress(
    spec: ExperimentSpec, ledger: Ledger, room: Room, *, every: Literal["month", "bar"]
) -> console.PaperProgress:
    return console.PaperProgress(ledger, every=every, agent=spec.asset.agent if room.several else "")


def _standing_of(spec: ExperimentSpec, ledger: Ledger) -> dict[str, Any]:
    state, reason = ledger.state()
    return {
        "account": spec.paper.account, "epoch": ledger.epoch, "broker": spec.broker.name, "state": state,
        "reason": reason, "bars": len(ledger.closes()), "slippage_bps": figures.slippage_bps(ledger),
        "interventions": dict(Counter(f"{one['rule']}: {one['action']}" for one in ledger.interventions())),
    }  # fmt: skip


def _found(
    spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, features: FeaturePanel
) -> tuple[dict[str, Any], tuple[Trajectory, Trajectory] | None]:
    """Return what the account's record shows beside the backtest over the same bars, and both paths."""
    found = _standing_of(spec, ledger)
    if found["bars"] < 3:
        return found, None
    fill = resolve_fill(spec.env.fill, features.panel)
    paper = figures.path_of(ledger, features.panel.symbols, fill=fill, bars_per_year=features.panel.bars_per_year)
    rows = np.searchsorted(features.panel.timestamps, paper.timestamps)
    if (np.diff(rows) != 1).any():  # a close was missed: no backtest has these bars and no other
        return found, None
    window = Segment(int(rows[0]), int(rows[-1]) + 1)
    one = backtest.backtest_of(spec, chosen.agent, features, window)
    played = one.simulate()
    free = metrics.risk_free(played, spec.asset.risk_free_per_year)
    both = {name: metrics.summary(path, risk_free=free) for name, path in (("paper", paper), ("backtest", played))}
    asked = cut_share(ledger, paper, one)
    apart = float(np.max(np.abs(paper.equity / played.equity - 1.0))) if (played.equity > 0).all() else None
    return {**found, **files.jsonable(both), "largest_deviation": apart, "unfilled": asked}, (paper, played)


def cut_share(ledger: Ledger, paper: Trajectory, one: Backtest) -> float:
    """Return the share of the order value of an account's decisions that was cut, by a rule too, or lapsed.

    What the limits allow of a decision is what it asked for; where nothing was decided, and on an account that is
    halted or closes all, it is nothing.
    """
    decided = ledger.wanted().keys() - ledger.idle()
    asked = np.array([row["bar"] in decided for row in ledger.closes()[:-1]], dtype=np.bool_)
    targets = np.where(asked[:, None], _allowed(paper.targets, one.env.limits), paper.weights[:-1])
    played = figures.in_units_of_now(replace(paper, targets=targets), ledger, one.markets[0])
    return shortfall(one.markets[0], played, spec=one.env).share


def _allowed(weights: FloatArray, limits: LimitSpec) -> FloatArray:
    """Return decided weights [T, A] as the kernel's `project` makes them allowed."""
    clipped = np.clip(weights, 0.0 if limits.long_only else -limits.max_weight, limits.max_weight)
    gross = np.abs(clipped).sum(axis=1, keepdims=True)
    allowed: FloatArray = clipped * (limits.max_gross / np.maximum(gross, limits.max_gross))
    return allowed


def _why(told: Mapping[str, Any]) -> str:
    """Return why the account stands as it does, how often a brake or a monitor spoke, and what became of its orders."""
    counted = [f"{what}, {count} time{'s' if count != 1 else ''}" for what, count in told["interventions"].items()]
    lapsed = console.lapsed_note(told)
    return "".join(f"; {words}" for words in (told["reason"], *counted, lapsed) if words)


def _report(
    spec: ExperimentSpec, folder: Path, record: RunRecord, told: Mapping[str, Any], paths: tuple[Trajectory, Trajectory]
) -> None:
    """Write report.html of the account's record beside its backtest, where tracking.report asks for it."""
    if not spec.tracking.report:
        return
    days = [str(stamp)[:10] for stamp in paths[0].timestamps[[0, -1]]]
    shown = {
        "metrics": {"test": told["paper"]}, "baselines": {"backtest": told["backtest"]}, "split": {"test": days},
        "backtest": {"of": "paper account", "window": "account", "start": days[0], "end": days[1]}, "status": "completed",
    }  # fmt: skip
    content = files.jsonable({**record.content, **shown})
    config = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    data = ReportData(
        run=content,
        agent=paths[0],
        baselines=(replace(paths[1], name="backtest"),),
        notes=(f"At its end the account is {told['state']}{_why(told)}.", *(content.get("notes") or ())),
        beside="backtest",
        places={"metrics.test": "paper.paper", "baselines.backtest": "paper.backtest"},
        config=without_places(config),
        currency=spec.asset.account_currency,
        risk_free=metrics.risk_free(paths[1], spec.asset.risk_free_per_year),
    )
    drawn(folder, "the report", lambda: [report.write(folder / "report.html", data)])
