"""Who trades on paper, and on what account: what an account was opened with, it goes on with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wealtharena.agents.policy import POLICY_FILE, SCALER_FILE, WEIGHTS_FILE
from wealtharena.config.composition import flatten, overlaid
from wealtharena.config.identity import differences, lacking, listed
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import CheckpointError, ConfigError, WealthArenaError
from wealtharena.evaluation import records
from wealtharena.prediction import ProductionModelManager
from wealtharena.registry import ModelCheckpoint, history
from wealtharena.registry.inference import OnnxPolicy
from wealtharena.registry.promotion import opened as opened_version
from wealtharena.shown import bar_time
from wealtharena.tasks import backtest, terms
from wealtharena.tasks.backtest import Agent
from wealtharena.trading.brokers import paper
from wealtharena.trading.feeds import seen
from wealtharena.trading.ledger import FILE as LEDGER
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.minds import Checkpoint, Mind
from wealtharena.trading.reading import CHECKPOINTS, HEALTH

log = logging.getLogger(__name__)

_SHORT = 12  # characters of a digest that are shown
_RULES = "risk.own."  # rules of packages, which a configuration has or has not


@dataclass(frozen=True, eq=False)
class Chosen:
    """Who trades: the mind that decides, and the same policy as a backtest plays it."""

    agent: Agent
    mind: Mind
    version: str
    digest: str  # of the policy's files
    verdict: Mapping[str, Any]  # as run.json or metadata.json has it; empty where there is none

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return what it trades."""
        assert self.agent.policy is not None, "who trades has a policy"
        return self.agent.policy.layout.symbols


def choose(spec: ExperimentSpec, known: Mapping[str, Any] | None = None) -> Chosen:
    """Return who trades: `paper.checkpoints`, or what stands on `paper.stage`, in production or else on paper.

    An account that was opened with a version, `known`, goes on with it, wherever that stands now.
    """
    if spec.paper.checkpoints:
        places = [Path(place) for place in spec.paper.checkpoints]
        agent = backtest.named(places, spec)
        policy = agent.policy
        if policy is None:
            raise CheckpointError(f"{places[0]} holds no policy", hint="name a checkpoint folder")
        mind: Mind = backtest.served(agent) or Checkpoint(policy)
        return Chosen(agent, mind, agent.name, _digest(places), _verdict(places))
    promoted = _own(spec, known) or _promoted(spec)
    metadata = promoted.metadata
    folder = ModelCheckpoint(spec.paths.checkpoints).folder(spec.asset.agent, metadata.version)
    agent = replace(backtest.load(folder, spec), graph=promoted)
    graph = backtest.served(agent)
    if graph is None:
        raise CheckpointError(f"{folder} holds no policy", hint="promote another version")
    return Chosen(agent, graph, metadata.version, promoted.manifest_sha256, metadata.verdict.model_dump())


def _promoted(spec: ExperimentSpec) -> OnnxPolicy:
    return (
        ProductionModelManager(spec.paths.checkpoints).load_agent_model(spec.asset.agent, stage=spec.paper.stage).policy
    )


def _own(spec: ExperimentSpec, known: Mapping[str, Any] | None) -> OnnxPolicy | None:
    """Return the version that the account was opened with; None where it is to begin anew, or has none in the registry.

    CheckpointError where it was deleted since.
    """
    if known is None or spec.paper.action == "restart":
        return None
    store, agent = ModelCheckpoint(spec.paths.checkpoints), spec.asset.agent
    version, digest = known["version"], known["policy"]
    events = history.read_history(store.root, agent=agent)
    if deleted := history.deleted(events, version):
        raise CheckpointError(
            f"paper.account={spec.paper.account} was opened with {agent}/{version}, which was deleted {deleted}",
            hint=f"begin anew with paper.action=restart; or {history.put_back(agent)}",
        )
    if history.saved(events, version) != digest:
        return None
    return opened_version(store, agent, version, manifest_sha256=digest).policy


def _places(spec: ExperimentSpec, chosen: Chosen) -> list[Path]:
    """Return the folders of who trades."""
    version = Path(spec.paths.checkpoints) / spec.asset.agent / chosen.version
    return [Path(place) for place in spec.paper.checkpoints] or [version]


def _verdict(places: list[Path]) -> Mapping[str, Any]:
    """Return the verdict on a single run or checkpoint; nothing on several, which were judged apart."""
    if len(places) != 1:
        return {}
    try:
        found = dict(records.read(places[0]).content).get("verdict")
    except WealthArenaError:  # a checkpoint folder by itself
        return {}
    return dict(found) if isinstance(found, Mapping) else {}


def _digest(places: list[Path]) -> str:
    found = hashlib.sha256()
    for place in places:
        folder = backtest.folder_of(place)
        for name in (WEIGHTS_FILE, POLICY_FILE, SCALER_FILE):
            found.update((folder / name).read_bytes())
    return found.hexdigest()


def folder_of(spec: ExperimentSpec) -> Path:
    """Return the folder of the account."""
    return Path(spec.paper.root) / spec.asset.agent / spec.paper.account


@contextlib.contextmanager
def ledger_of(spec: ExperimentSpec) -> Iterator[Ledger]:
    """Yield the account's ledger; a start that is refused before anything was decided leaves the folder as it was.

    What stands there already, and an epoch in which anything has happened, are never taken back.
    """
    folder = folder_of(spec)
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else None
    ledger = Ledger(folder, synchronous=spec.paper.synchronous)
    before, refused = ledger.epoch, False
    try:
        with contextlib.closing(ledger):
            try:
                yield ledger
            except Exception:  # whatever refused the start: it goes on to whoever asked
                refused = ledger.forget() if ledger.epoch > before else before == 0
                raise
    except Exception:  # the same, once the ledger is closed
        if refused:
            _clear(folder, there, epoch=before + 1)
        raise


def _clear(folder: Path, there: Set[str] | None, *, epoch: int) -> None:
    """Remove what a refused start has made in the folder: all of an account, or of an epoch of one that goes on."""
    own = (paper.FILE.format(epoch=epoch), *((LEDGER, seen.FILE, HEALTH) if epoch == 1 else ()))
    for path in folder.iterdir():
        if path.name not in (there or ()) and path.name.startswith(own):
            path.unlink()
    if there is None and not any(folder.iterdir()):
        folder.rmdir()


def check_none(spec: ExperimentSpec) -> None:
    """Raise ConfigError where an account that has no record was one: its broker has kept something."""
    if left := sorted(folder_of(spec).glob("broker-*.sqlite")):
        raise ConfigError(
            f"paper.account={spec.paper.account} has no record in its ledger, and {left[0].name} of its broker is there",
            hint="restore ledger.sqlite, or name another paper.account",
        )


def _check_books(spec: ExperimentSpec, ledger: Ledger) -> None:
    """Raise ConfigError where the file of our own broker is not that of this ledger: gone, or of an earlier day.

    It may be one close behind, of which a kill left the ledger alone.
    """
    last = ledger.last_bar(before="~")
    before = ledger.last_bar(before=last)
    name = paper.FILE.format(epoch=ledger.epoch)
    stands = paper.stands_at(folder_of(spec) / name) or ""
    if stands < before:
        where = f"stands at {bar_time(stands)}" if stands else "is not there"
        raise ConfigError(
            f"paper.account={spec.paper.account} has closed {bar_time(last)}, and {name} of its broker {where}",
            hint=paper.ONE_MOMENT,
        )


def _note_checkpoints(spec: ExperimentSpec, ledger: Ledger) -> None:
    """Note which checkpoints were named to trade: what they are called as a policy, `ppo`, says it of none."""
    if spec.paper.checkpoints:
        ledger.write_note(CHECKPOINTS, json.dumps([str(Path(place).resolve()) for place in spec.paper.checkpoints]))


def _tell_left(spec: ExperimentSpec, ledger: Ledger, known: Mapping[str, Any] | None) -> None:
    """Warn of what an account that is begun anew leaves outside: open orders at a broker that it is begun without, positions
    at a broker of which it will not ask what is held.
    """
    there = None if known is None else known.get("broker")
    if there in (None, "paper", "shadow"):
        return
    left = len(ledger.pending()) if there != spec.broker.name else 0
    if left:
        log.warning(
            "%s at %s may be open still: take back there what is", f"{left} order{'s' if left > 1 else ''}", there
        )
    held = ", ".join(f"{units:g} {name}" for name, units in sorted(ledger.positions().items()))
    if held and (there != spec.broker.name or there == "webhook"):
        log.warning("%s is held at %s, and not in the account that begins: sell it there, or count it in", held, there)


def _otherwise(known: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Return what differs from what an account was opened with; keys that only one of the two knows are of another version."""
    old, new = (flatten({**tree, "policy": tree["policy"][:_SHORT]}) for tree in (known, facts))
    rules = {key: None for key in {**old, **new} if key.startswith(_RULES) and key.count(".") == _RULES.count(".")}
    inner = [key for key in old if isinstance(old[key], dict) and isinstance(new.get(key), dict)]
    return differences(
        *({key: value for key, value in (rules | flat).items() if key not in inner} for flat in (old, new))
    )


def opened(
    spec: ExperimentSpec, ledger: Ledger, chosen: Chosen, *, source: str, frequency: str, first: str | None
) -> str | None:
    """Open the account where there is none or it is to begin anew, at the bar `first`; return the bar it began at.

    An account goes on with what it was opened with only: ConfigError names what differs. One whose ledger was taken away
    is not opened anew over what its broker has kept.
    """
    facts: dict[str, Any] = {
        "version": chosen.version,
        "policy": chosen.digest,
        "broker": spec.broker.name,
        "risk": spec.risk.model_dump(mode="json"),
        "env": spec.env.model_dump(mode="json"),
        "source": source,
        "frequency": frequency,
        "history": spec.paper.history,
        "feed": spec.paper.feed,
        "live": getattr(spec.broker, "live", False),
        "currency": spec.asset.account_currency,
    }
    known = ledger.facts()
    if known is None:
        check_none(spec)
    if known is None or spec.paper.action == "restart":
        terms.require_alike(spec, _places(spec, chosen))
        _tell_left(spec, ledger, known)
        ledger.open(spec.asset.agent, spec.paper.account, {**facts, "first": first})
        _note_checkpoints(spec, ledger)
        return first
    if found := _otherwise(known, facts):
        raise ConfigError(
            f"paper.account={spec.paper.account} was opened otherwise: {listed(found)}",
            hint="name another paper.account, or begin anew with paper.action=restart",
        )
    if later := lacking(known, facts):
        log.warning("paper.account=%s is older than %s: as now from here on", spec.paper.account, listed(later))
        ledger.learn(overlaid(facts, known))
    for one in terms.unlike(spec, _places(spec, chosen)):  # of an account that was opened when this was not asked
        log.warning("%s; paper.action=restart begins anew", one)
    if spec.broker.name in ("paper", "webhook"):
        _check_books(spec, ledger)
    _note_checkpoints(spec, ledger)
    return None if known["first"] is None else str(known["first"])
