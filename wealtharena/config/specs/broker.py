"""Who carries orders out: the base of what each file of wealtharena/trading/brokers/ adds."""

from __future__ import annotations

from pydantic import Field

from wealtharena.config.specs.base import Spec


class BrokerSpec(Spec):
    """A broker's settings; each broker adds its own in the file of its name."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="the file of that name in wealtharena/trading/brokers/")
