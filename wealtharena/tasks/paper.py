"""task=paper: trade promoted versions, or checkpoints, on paper, over a replay of bars or as they come; or look at an account."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wealtharena.config import compose, unread
from wealtharena.config.signals import sigterm_as_ctrl_c
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import provider
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.files import make_folder, relative
from wealtharena.tasks import console
from wealtharena.tasks.accounts import check_none, folder_of
from wealtharena.tasks.record import RunContext, alone, unusable
from wealtharena.tasks.seat import Room, trading
from wealtharena.trading.clock import Clock, Pace, Timer
from wealtharena.trading.database import damage_told
from wealtharena.trading.ledger import FILE, Ledger
from wealtharena.trading.pine import pine_of
from wealtharena.trading.reading import CHECKPOINTS, called, names_of
from wealtharena.trading.standing import NOTE, STANDS
from wealtharena.trading.switch import Signals, Switch
from wealtharena.trading.turns import Turns

log = logging.getLogger(__name__)

_NOT_ITS_OWN = ("asset", "task", "paper.agents", "paper.action")
_WORD = re.compile(r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\S)+""")  # blanks within quotes part nothing
_ONE_CLOCK = ("feed", "speed", "root", "action")  # what agents of one process have in common


def check(spec: ExperimentSpec) -> None:
    """Raise ConfigError where an account that is to be shown or released is none, before a folder or a lock is made for it."""
    if spec.paper.action == "release":
        _check_release(spec, folder_of(spec))
    elif spec.paper.action in ("status", "pine") and not spec.paper.agents:
        _check_known(spec, folder_of(spec))


def run(spec: ExperimentSpec) -> int:
    """Trade until the windows end or the switch says stop, or show, release or begin accounts anew.

    Returns 0, or the exit code of the first agent that failed beside others.
    """
    check(spec)
    context = RunContext.current()
    specs = members(spec, context.overrides)
    if spec.paper.action in ("status", "pine"):
        for one in specs:
            (_status if spec.paper.action == "status" else _pine)(one, folder_of(one))
        return 0
    with contextlib.ExitStack() as held:
        for one in specs:
            folder = _place(one)
            refusal = ConfigError(
                f"another process trades {one.asset.agent}", hint="one process an agent: wait, or stop it"
            )
            held.enter_context(alone(folder, refusal))
        if spec.paper.action == "release":
            _release(spec, folder_of(spec))
            return 0
        return _trade(specs, context)


def _place(spec: ExperimentSpec) -> Path:
    """Return the folder of the agent, made where it is absent; ConfigError where no account can be in it."""
    account = folder_of(spec)
    try:
        make_folder(account.parent)
    except OSError as error:
        raise unusable(account.parent, error) from error
    if account.exists() and not account.is_dir():
        raise ConfigError(f"{relative(account)} is no folder", hint="move it away, or name another paper.account")
    return account.parent


def members(spec: ExperimentSpec, overrides: Sequence[str]) -> list[ExperimentSpec]:
    """Return the spec of each of `paper.agents`, composed of the overrides of the job and its own; the job's own where none is named.

    Raises:
        ConfigError: two are of one agent, or differ in what they have in common.
    """
    if not spec.paper.agents:
        return [spec]
    shared = [one for one in overrides if one.partition("=")[0] not in ("asset", "paper.agents", "task")]
    found: dict[str, ExperimentSpec] = {}
    for words in spec.paper.agents:
        asset, *own = _WORD.findall(words) or [""]
        for word in own:
            if word.partition("=")[0] in _NOT_ITS_OWN:
                raise ConfigError(
                    f"paper.agents: {asset} cannot have a {word}", hint="name its asset first, and no task"
                )
        one = compose(["task=paper", *shared, f"asset={asset}", *own])
        try:
            unread.refuse(one, own)
        except ConfigError as error:
            raise ConfigError(f"paper.agents: {asset}: {error.message}", hint="leave it out") from error
        for line in unread.told(one, own):
            log.warning("paper.agents: %s: %s", asset, line)
        if one.asset.agent in found:
            raise ConfigError(
                f"paper.agents names {one.asset.agent} twice", hint="an agent has one account at a time; leave one out"
            )
        for name in _ONE_CLOCK:
            if getattr(one.paper, name) != getattr(spec.paper, name):
                raise ConfigError(
                    f"paper.agents: {asset} has another paper.{name}", hint="agents of one process share one clock"
                )
        found[one.asset.agent] = one
    return list(found.values())


def _trade(specs: Sequence[ExperimentSpec], context: RunContext) -> int:
    """Let each trade in its turn; one that fails beside others ends alone, and is told of."""
    several = len(specs) > 1
    places = {
        one.asset.agent: replace(context, folder=context.folder / one.asset.agent) if several else context
        for one in specs
    }
    with sigterm_as_ctrl_c() as stop:
        room = Room(Signals(), stop, several)
        agents = {one.asset.agent: trading(one, places[one.asset.agent], room) for one in specs}
        turns = Turns(agents, console.paper_failed if several else _silent, turn=room.turn)
        with contextlib.closing(turns):
            turns.begin()
            with room.signals:
                turns.play(_clock(specs[0], room.signals))
    unexpected = [error for error in turns.failed.values() if not several or not isinstance(error, WealthArenaError)]
    if unexpected:
        raise unexpected[0]
    return next((error.exit_code for error in turns.failed.values() if isinstance(error, WealthArenaError)), 0)


def _clock(spec: ExperimentSpec, signals: Signals) -> Clock:
    if spec.paper.feed == "live":
        return Timer(provider.now, signals.wait, signals.roused)
    return Pace(spec.paper.speed, wait=signals.wait)


def _silent(agent: str, error: Exception) -> None:
    """Say nothing: an agent that trades alone fails with its own error."""


# --- without trading


def _check_known(spec: ExperimentSpec, folder: Path) -> None:
    if not (folder / FILE).exists():
        raise _unknown(spec)


def _unknown(spec: ExperimentSpec) -> ConfigError:
    return ConfigError(
        f"there is no paper.account={spec.paper.account} of {spec.asset.agent}",
        hint="name another, or begin it with paper.action=run",
    )


@contextlib.contextmanager
def _known(spec: ExperimentSpec, folder: Path, *, look: bool = False) -> Iterator[Ledger]:
    """Yield the ledger of an account, to `look` alone or to write; ConfigError where nothing was ever begun in it."""
    _check_known(spec, folder)
    with (
        damage_told(folder),
        contextlib.closing(Ledger(folder, synchronous=spec.paper.synchronous, look=look)) as ledger,
    ):
        if ledger.facts() is None:
            check_none(spec)
            raise _unknown(spec)
        yield ledger


def _status(spec: ExperimentSpec, folder: Path) -> None:
    with _known(spec, folder, look=True) as ledger:
        console.paper_status(_standing(ledger, folder), agent=spec.asset.agent)


def _standing(ledger: Ledger, folder: Path) -> Mapping[str, Any]:
    closes, (state, reason), became = ledger.closes(), ledger.state(), ledger.note(NOTE)
    return {
        "state": state, "reason": reason, "epoch": ledger.epoch, "bars": len(closes),
        "version": _who(ledger), "standing": None if became == STANDS else became,
        "last": closes[-1] if closes else None, "held": ledger.positions(), "interventions": ledger.interventions()[-5:], "switch": Switch(folder).thrown(),
    }  # fmt: skip


def _who(ledger: Ledger) -> str | None:
    """Return the version that trades an account, or what the checkpoints are and their names; None before it is opened."""
    return called((ledger.facts() or {}).get("version"), names_of(json.loads(ledger.note(CHECKPOINTS) or "[]")))


def _pine(spec: ExperimentSpec, folder: Path) -> None:
    """Write a Pine script a symbol, which draws the weights that were decided on."""
    with _known(spec, folder, look=True) as ledger:
        wanted, last = ledger.wanted(), ledger.decision()
    for column, symbol in enumerate(() if last is None else last.seen):
        name = "".join(letter if letter.isalnum() else "-" for letter in symbol)
        path = folder / f"weights-{name}.pine"
        try:
            path.write_text(pine_of(spec.asset.agent, symbol, {bar: row[column] for bar, row in wanted.items()}))
        except OSError as error:
            raise unusable(folder, error) from error
        console.written(path)


def _check_release(spec: ExperimentSpec, folder: Path) -> None:
    if spec.paper.agents:
        raise ConfigError("paper.action=release is a word on one account", hint="name its asset, without paper.agents")
    if not (spec.paper.reason or "").strip():
        raise ConfigError("a release needs a reason", hint="paper.reason='what was found, and by whom'")
    _check_known(spec, folder)
    if Switch(folder).thrown() is not None:
        raise ConfigError(f"{relative(folder / 'KILL')} is there", hint="remove it first")


def _release(spec: ExperimentSpec, folder: Path) -> None:
    """Let a halted account trade again; a person's word, kept with the reason."""
    _check_release(spec, folder)  # once more: from here on nobody else is at work in it
    assert spec.paper.reason is not None
    with _known(spec, folder) as ledger:
        if ledger.state()[0] == "trading":
            log.warning(
                "%s/%s trades: nothing was released, and the reason is not kept", spec.asset.agent, spec.paper.account
            )
        ledger.release(spec.paper.reason)
        console.paper_status(_standing(ledger, folder), agent=spec.asset.agent)
