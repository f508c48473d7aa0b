"""A broker that is sent nothing: decisions are made and recorded, the account stays in cash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.trading.broker import Account, BookedOrder, Capabilities, Event, Fill, Opening, Order, RejectedError

if TYPE_CHECKING:
    from wealtharena.config.specs.env import EnvSpec
    from wealtharena.config.specs.experiment import ExperimentSpec
    from wealtharena.envs.market import Market


class Settings(BrokerSpec):
    """Nothing to set."""

    name: Literal["shadow"]


def why_not(spec: ExperimentSpec) -> str | None:
    """Return None: what is not traded can be anything."""
    return None


def open_broker(opening: Opening) -> ShadowBroker:
    """Return the shadow of an account; it keeps nothing, so there is nothing to go on from."""
    return ShadowBroker(opening.env)


class Silent:
    """What a broker has nothing to say about."""

    def events(self, since: int) -> Sequence[Event]:
        """Return nothing: nothing happens but executions."""
        return ()

    def cursor(self) -> int:
        """Return 0: nothing was before the account."""
        return 0

    def charges(self, since: str) -> Mapping[str, float]:
        """Return nothing: nothing is traded."""
        return {}

    def announce(self, bar: str, weights: Mapping[str, float]) -> None:
        """Do nothing: orders are all that is wanted."""

    def stream(self, wake: Callable[[], None]) -> None:
        """Do nothing: nothing happens by itself."""

    def keep(self) -> None:
        """Do nothing: what was acknowledged is kept."""


class ShadowBroker(Silent):
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
