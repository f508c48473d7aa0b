"""What bars a checkpoint was trained on, of which sessions, and in which money: a command that plays it may ask for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import ConfigError
from wealtharena.tasks.origins import facts_of
from wealtharena.tasks.pipeline import Prepared
from wealtharena.trading.clock import comes_live


@dataclass(frozen=True)
class Unlike:
    """One thing that a command asks for otherwise than a checkpoint was trained with."""

    words: str
    key: str
    trained: str

    def __str__(self) -> str:
        return f"{self.words}: {self.key}={self.trained} is what it was trained with"


def unlike(spec: ExperimentSpec, places: Sequence[Path]) -> list[Unlike]:
    """Return what of bars and money a command asks for otherwise than the checkpoints were trained with, as far as they say."""
    found = []
    for place in places:
        facts = facts_of(place)
        data, asset = facts.get("data") or {}, (facts.get("recipe") or {}).get("asset") or {}
        interval = str(facts.get("frequency") or data.get("frequency") or spec.data.interval)
        money = str(data.get("currency") or asset.get("account_currency") or spec.asset.account_currency)
        if interval != spec.data.interval:
            words = f"{place.name} decides on bars of {interval}, and these are of {spec.data.interval}"
            found.append(Unlike(words, "data.interval", interval))
        if money != spec.asset.account_currency:
            words = (
                f"{place.name} was trained in an account of {money}, and this one is of {spec.asset.account_currency}"
            )
            found.append(Unlike(words, "asset.account_currency", money))
        here = spec.asset.universe.calendar
        venue = str((asset.get("universe") or {}).get("calendar") or here)
        if venue != here:
            words = f"{place.name} was trained on sessions of {venue}, and these are of {here}"
            found.append(Unlike(words, "universe.calendar", venue))
    return found


def noted(prepared: Prepared, spec: ExperimentSpec) -> Prepared:
    """Return what a backtest plays on, with a note on each thing that its checkpoints were not trained with."""
    told = map(str, unlike(spec, [Path(place) for place in spec.backtest.checkpoints]))
    return replace(prepared, notes=(*prepared.notes, *dict.fromkeys(told)))


def require_alike(spec: ExperimentSpec, places: Sequence[Path]) -> None:
    """Raise ConfigError where an account is to be opened on other bars, or in other money, than who trades was trained with."""
    found = unlike(spec, places)
    if not found:
        return
    hint = "add " + " ".join(dict.fromkeys(f"{one.key}={one.trained}" for one in found))
    venue = spec.asset.universe.calendar
    strange = [one.trained for one in found if one.key == "data.interval" and not comes_live(one.trained, venue)]
    if spec.paper.feed == "live" and strange:
        hint = f"bars of {strange[0]} do not come live here: trade a version that was trained on bars of 1d"
    raise ConfigError("; ".join(dict.fromkeys(one.words for one in found)), hint=hint)
