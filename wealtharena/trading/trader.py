"""One agent on one account, and everything it trades by."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.trading.broker import Broker
from wealtharena.trading.crossing import Neighbours
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.minds import Mind
from wealtharena.trading.standing import Standing

POINTS: Final = (  # where the tests kill the process
    "before persist", "after persist", "sent", "between legs", "acknowledged", "partly filled", "mid-flatten",
    "mid-reconcile", "while migrating",
)  # fmt: skip
At = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Trader:
    """One agent on one account, and everything it trades by."""

    agent: str
    account: str
    mind: Mind
    env: EnvSpec
    risk: RiskSpec
    ledger: Ledger
    broker: Broker
    strangers: Literal["halt", "adopt"] = "halt"
    resize: float = 0.0  # share by which an order is made smaller, once, that the money was not enough for; 0: never
    neighbours: Neighbours | None = None  # whose orders may not meet ours on the same account
    standing: Standing | None = None  # of a promoted version; None for what was never promoted
    reached: Callable[[str], str] = lambda bar: bar  # the bar that orders of a bar are meant for, once it is over
    at: At = lambda point: None  # told of every point of POINTS that is reached
    wait: Callable[[float], None] = time.sleep  # given the seconds between two questions to a broker outside
