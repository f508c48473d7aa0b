"""Who carries orders out: the base of what each file of wealtharena/trading/brokers/ adds."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from wealtharena.config.specs.base import Spec, Word


class BrokerSpec(Spec):
    """A broker's settings; each broker adds its own in the file of its name."""

    outside: ClassVar[bool] = False  # what it is sent reaches somebody else, so that bars of the past must not

    name: Word = Field(description="the file of that name in wealtharena/trading/brokers/")

    @property
    def money(self) -> str:
        """Return whose money is at stake, in words for the person who starts it."""
        return "no money"

    @property
    def place(self) -> str | None:
        """Return what tells accounts at this broker apart; None where it says so itself, or where each is nobody else's."""
        return None
