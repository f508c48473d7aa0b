"""A broker that is sent nothing: decisions are made and recorded, the account stays in cash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.market import Market
from wealtharena.trading.broker import Account, BookedOrder, Capabilities, Fill, Order, RejectedError


def open_broker(folder: Path, env: EnvSpec, *, epoch: int, synchronous: str) -> ShadowBroker:
    """Return the shadow of an account; it keeps nothing, so there is nothing to go on from."""
    return ShadowBroker(env)


class ShadowBroker:
    """An account of cash that earns nothing and trades nothing."""

    capabilities = Capabilities(sends=False, embedded=True)

    def __init__(self, env: EnvSpec) -> None:
        self._cash, self._bar = env.initial_cash, ""

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def advance(self, market: Market) -> None:
        """Note the time of the market's last bar."""
        self._bar = str(market.timestamps[-1])

    def account(self) -> Account:
        """Return the cash."""
        return Account(bar=self._bar, equity=self._cash, cash=self._cash, peak=self._cash, liquidated=False)

    def positions(self) -> Mapping[str, float]:
        """Return nothing: nothing is held."""
        return {}

    def submit(self, order: Order) -> BookedOrder:
        """Refuse the order."""
        raise RejectedError("a shadow is sent nothing", hint="choose broker=paper")

    def cancel(self, client_id: str) -> None:
        """Do nothing: there is no order."""

    def order_by_client_id(self, client_id: str) -> BookedOrder | None:
        """Return None: there is no order."""
        return None

    def open_orders(self) -> Sequence[BookedOrder]:
        """Return nothing."""
        return ()

    def fills(self, since: int) -> Sequence[Fill]:
        """Return nothing."""
        return ()
