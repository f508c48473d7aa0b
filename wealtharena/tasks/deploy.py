"""task=deploy: look at every agent's checkpoints, check the best, and put it on the stage that the gate allows."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from wealtharena.config.ending import show
from wealtharena.config.launch import forget_run
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.runs import DeploySpec
from wealtharena.errors import CheckpointError, ConfigError, PromotionError, UnknownCheckpointError, WealthArenaError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry import ModelCheckpoint, promote, rollback, withdraw
from wealtharena.registry.gate import Clearance, best_first
from wealtharena.registry.history import STAGES, Pointer, standing
from wealtharena.registry.mending import mend
from wealtharena.registry.names import agents_by_asset
from wealtharena.registry.verifying import Adoption, adopt, has_begun, verify
from wealtharena.tasks.console import STYLE, screen
from wealtharena.tracking.wandb_run import resolve_mode

logger = logging.getLogger(__name__)


def run(spec: ExperimentSpec) -> int:
    """Promote, roll back, withdraw or list; what was done for no agent leaves no run directory.

    What cannot be done for the one agent that is asked for is raised; of several agents each is told of, the others are
    seen to, and the worst exit code is returned.
    """
    if Path(spec.paths.checkpoints).exists() and not Path(spec.paths.checkpoints).is_dir():
        raise ConfigError(
            f"paths.checkpoints={spec.paths.checkpoints} is a file", hint="name the folder of the registry"
        )
    store, wish = ModelCheckpoint(spec.paths.checkpoints), spec.deploy
    agents = _agents(store, wish)
    if wish.action == "list":
        _show(store, agents, Ledger(spec.paths.ledger))
        forget_run()
        return 0
    if wish.action == "verify":
        forget_run()
        return _verify(store)
    if wish.action == "promote":
        for place in wish.checkpoints:  # one that is not there is told of before anything is shown
            store.folder(agents[0], _version(store, agents[0], place))
        _show(store, agents, Ledger(spec.paths.ledger))
    begun = wish.action == "adopt" and has_begun(store)  # before the first of several agents begins it
    done, refused = False, dict[str, WealthArenaError]()
    for agent in agents:
        try:
            done |= _one(store, agent, wish, spec, begun=begun)
        except (CheckpointError, PromotionError) as error:
            refused[agent] = error
            if len(agents) > 1:
                _tell(agent, error)
    for agent in agents if wish.keep is not None else ():
        if isinstance(refused.get(agent), ConfigError):  # of a slip of the pen nothing is deleted
            continue
        try:
            done |= _prune(store, agent, wish.keep or 0, Path(spec.paper.root))
        except CheckpointError as error:
            refused.setdefault(agent, error)
            if len(agents) > 1:
                _tell(agent, error)
    if not done:
        forget_run()
    if len(agents) == 1 and refused:
        raise refused[agents[0]]
    return max((error.exit_code for error in refused.values()), default=0)


def _agents(store: ModelCheckpoint, wish: DeploySpec) -> list[str]:
    named = [store.resolve(agent) for agent in wish.agents]
    if twice := [agent for place, agent in enumerate(named) if agent in named[:place]]:
        raise ConfigError(f"deploy.agents names {twice[0]} twice", hint="name each agent once, by its id or its asset")
    if wish.action in ("rollback", "withdraw") and not named:
        raise ConfigError(f"deploy.action={wish.action} needs an agent", hint="try 'deploy.agents=[cryptocurrencies]'")
    about_one = bool(wish.checkpoints) or (wish.force_reason is not None and wish.action != "adopt")
    if about_one and len(named) != 1:
        owner = next((one for place in wish.checkpoints if (one := store.owner(place))), "cryptocurrencies")
        raise ConfigError(
            "deploy.checkpoints and deploy.force_reason are about one agent", hint=f"try 'deploy.agents=[{owner}]'"
        )
    return named or list(dict.fromkeys([*agents_by_asset().values(), *store.agents()]))


def _one(store: ModelCheckpoint, agent: str, wish: DeploySpec, spec: ExperimentSpec, *, begun: bool) -> bool:
    """Do what was asked for one agent; say what came of it and return whether anything did."""
    if wish.action == "rollback":
        pointer = rollback(store, agent, stage=wish.stage or "production")
        _say(f"{agent}: {pointer.stage} is back at {pointer.version}")
    elif wish.action == "withdraw":
        withdraw(store, agent, stage=wish.stage or "production", reason=wish.force_reason)
        _say(f"{agent}: {wish.stage or 'production'} is empty now")
    elif wish.action == "adopt":
        how = Adoption(Ledger(spec.paths.ledger), begun=begun, reason=wish.force_reason)
        adopted = adopt(store, agent, versions=wish.checkpoints, how=how)
        _say(f"{agent}: {', '.join(adopted) or 'nothing'} adopted")
        return bool(adopted)
    elif wish.action == "mend":
        mended = mend(store, agent)
        for text in mended or ["nothing to mend"]:
            _say(f"{agent}: {text}")
        return bool(mended)
    else:
        return _promote(store, agent, wish, spec)
    return True


def _prune(store: ModelCheckpoint, agent: str, keep: int, accounts: Path) -> bool:
    """Delete old versions but those that accounts on paper were opened with, which could not go on without."""
    try:
        needed = _traded(accounts, agent)
    except WealthArenaError as error:
        raise CheckpointError(
            f"{agent}: nothing is deleted, since what an account trades is not known: {error.message}", hint=error.hint
        ) from error
    there = {str(row["version"]) for row in store.list_checkpoints(agent)[keep:]}
    deleted = store.prune(agent, keep=keep, needed=needed)
    for version in sorted(there & set(needed)):
        _say(f"{agent}: kept {version}, which paper.account={needed[version]} was opened with")
    if deleted:
        _say(f"{agent}: deleted {', '.join(deleted)}")
    return bool(deleted)


def _traded(root: Path, agent: str) -> dict[str, str]:
    """Return the versions that accounts on paper were opened with, each with the name of one of them."""
    from wealtharena.trading import reading

    views = [reading.view(*one) for one in reading.accounts(root) if one[0] == agent]
    return {
        version: found.account
        for found in views
        if found is not None
        for version in (str(found.facts.get("version")), *found.names)
    }


def _tell(agent: str, error: WealthArenaError) -> None:
    """Say what cannot be done for one of several agents, whose name stands in front."""
    message = error.message if error.message.startswith(agent) else f"{agent}: {error.message}"
    show(type(error)(message, hint=error.hint))


def _verify(store: ModelCheckpoint) -> int:
    """Say whether folders, stages and history agree; return 1 where they don't."""
    found = verify(store)
    for problem in found.problems:
        _say(problem, style="red")
    for version in found.gone:
        _say(f"{version}: was saved and is not here; it was removed by hand, or its run was killed while it saved")
    if not found.problems:
        signed = "signed with the key" if found.signed else "chained, and not checked against a key"
        _say(f"{found.versions} versions are what {found.lines} lines of history say, {signed}", style="bold")
    return 1 if found.problems else 0


def _promote(store: ModelCheckpoint, agent: str, wish: DeploySpec, spec: ExperimentSpec) -> bool:
    """Promote what was named, several as their mean, or the best that is whole; return whether there was any.

    Raises:
        CheckpointError: none can be promoted, or an agent that was asked for has none.
        PromotionError: the gate says no.
    """
    ledger = Ledger(spec.paths.ledger)
    if wish.checkpoints:
        named = [_version(store, agent, place) for place in wish.checkpoints]
        candidates = named if len(named) == 1 else [_ensemble(spec, store, agent, named)]
    else:
        candidates = [str(row["version"]) for row in best_first(store.list_checkpoints(agent, ledger=ledger))]
    if not candidates and wish.agents:
        raise CheckpointError(
            f"{agent} has no checkpoints", hint="train it, or leave deploy.agents out for all there are"
        )
    if not candidates:
        _say(f"{agent}: no checkpoints")
    for version in candidates:
        try:
            pointer, clearance = promote(
                store, agent, version, force_reason=wish.force_reason, stage=wish.stage, ledger=ledger
            )
        except CheckpointError as error:
            if version == candidates[-1]:
                raise
            _say(f"{agent}: {error}", style="red")
            continue
        _say_promoted(pointer, clearance)
        _log_artifact(spec, store.root / agent / version, pointer)
        return True
    return False


def _version(store: ModelCheckpoint, agent: str, place: str) -> str:
    """Return the version that `place` names: itself, or the last part of its folder in the registry."""
    path = Path(place)
    if path.parent == Path():
        return place
    if path.parent.resolve() != (store.root / agent).resolve():
        owner = store.owner(place)
        raise UnknownCheckpointError(
            f"{place} is no checkpoint of {agent}",
            hint=f"try 'deploy.agents=[{owner}]'" if owner else f"name a version or a folder of {store.root / agent}",
        )
    return path.name


def _ensemble(spec: ExperimentSpec, store: ModelCheckpoint, agent: str, versions: Sequence[str]) -> str:
    from wealtharena.tasks.ensemble import combine  # it trains nothing, but it plays, which needs torch

    return combine(spec, store, agent, versions)


def _say_promoted(pointer: Pointer, clearance: Clearance) -> None:
    mark = " SIMULATED" if pointer.simulated else ""
    forced = f" FORCED ({pointer.forced_reason})" if clearance.forced else ""
    _say(
        f"{pointer.agent}: {pointer.version} is in {pointer.stage}, verdict {pointer.verdict}{mark}{forced}",
        style="bold",
    )
    for reason in clearance.reasons:
        _say(f"  - {reason}")


def _show(store: ModelCheckpoint, agents: Sequence[str], ledger: Ledger) -> None:
    """Print every checkpoint, the best of each agent first."""
    held: list[str] = []
    table = Table(title="Checkpoints", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("agent", "version", "algo", "verdict", "data", "Sharpe", "return a year", "stage"):
        table.add_column(name, justify="right" if name in ("Sharpe", "return a year") else "left", no_wrap=True)
    for agent in agents:
        try:
            rows = store.list_checkpoints(agent, ledger=ledger)
        except CheckpointError:  # the others are shown; why is said below, where its stages are read
            rows = [{"version": "-", "stages": [], "error": ""}]
        for row in [*best_first(rows), *(row for row in rows if "error" in row)]:
            table.add_row(*_cells(agent, row))
            held += [f"{row['version']} counts as {row['verdict']}: {row['held']}"] if "held" in row else []
        if not rows:
            table.add_row(agent, Text("none", "dim"))
    screen(at_least=110, answer=True).print(table, crop=False)
    for text in held:
        _say(text, style="dim")
    for agent in agents:
        for stage in STAGES:
            try:
                standing(store.root, agent, stage)
            except CheckpointError as error:
                _say(str(error), style="red")


def _cells(agent: str, row: Mapping[str, Any]) -> list[str | Text]:
    stages = ", ".join(row["stages"])
    if "error" in row:
        return [agent, str(row["version"]), "", Text("unreadable", "red"), "", "", "", stages]
    data: str | Text = Text("SIMULATED", "bold magenta") if row["simulated"] else str(row["source"])
    figures = row["metrics"]
    return [
        agent,
        str(row["version"]),
        str(row["algo"]),
        Text(row["verdict"], STYLE[row["verdict"]]),
        data,
        _figure(figures.get("sharpe"), ".2f"),
        _figure(figures.get("annual_return"), "+.1%"),
        stages,
    ]


def _figure(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "-"


def _log_artifact(spec: ExperimentSpec, folder: Path, pointer: Pointer) -> None:
    """Store the checkpoint as a W&B artifact with the aliases `best` and its stage, where W&B is on."""
    wandb_spec = spec.tracking.wandb
    if (mode := resolve_mode(wandb_spec)) != "online":
        logger.info("W&B is %s: no artifact for %s", mode, pointer.version)
        return
    import wandb

    facts = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    aliases = ["best", pointer.stage]
    try:
        with wandb.init(project=wandb_spec.project, entity=wandb_spec.entity, job_type="deploy") as session:
            kept = {key: facts[key] for key in ("agent", "version", "algo", "config_hash", "simulated", "verdict")}
            artifact = wandb.Artifact(f"policy-{pointer.agent}", type="model", metadata=kept)
            artifact.add_dir(str(folder))
            kept_there = session.log_artifact(artifact, aliases=aliases)
            if wandb_spec.registry is not None:
                session.link_artifact(kept_there, wandb_spec.registry, aliases=aliases)
    except (wandb.errors.Error, OSError) as error:
        logger.warning("W&B took no artifact: %s", error)


def _say(text: str, *, style: str | None = None) -> None:
    screen(answer=True).print(text, style=style)
