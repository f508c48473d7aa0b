"""An account that is begun anew leaves no order behind at a broker outside: nobody would follow it there."""

from __future__ import annotations

import time
from collections.abc import Callable

from wealtharena.shown import bar_time
from wealtharena.trading.broker import Broker, RefusedError, UnreachableError, UntoldError
from wealtharena.trading.ledger import Intent, Ledger
from wealtharena.trading.reconcile import PAUSES


def take_leave(ledger: Ledger, broker: Broker, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Take back every order of the epoch that may still be filled, and wait for its end; a fill may win.

    RefusedError where one stays open, or the broker does not answer: the account is not begun anew then.
    """
    why = "it is open there still"
    for seconds in (0.0, *PAUSES):
        if seconds:
            wait(seconds)
        try:
            for one in ledger.pending():
                _end(ledger, broker, one)
        except UnreachableError as error:
            why = str(error)
        if not ledger.pending():
            return
    (first, *more) = ledger.pending()
    orders = f"the order of {bar_time(first.bar)} in {first.symbol}{f' and {len(more)} more' if more else ''}"
    raise RefusedError(
        f"nothing is begun anew: {orders} could not be taken back: {why}", hint="start again once the broker answers"
    )


def _end(ledger: Ledger, broker: Broker, one: Intent) -> None:
    """Ask for one order back, and write down what the broker says of it."""
    try:
        booked = broker.order_by_client_id(one.client_id)
        if booked is not None and booked.status == "open":
            broker.cancel(one.client_id)
            booked = broker.order_by_client_id(one.client_id)
    except UntoldError:  # it may be there, and nobody will ever know
        broker.cancel(one.client_id)
        booked = None
    if booked is None:
        ledger.mark({one.client_id: ("cancelled", "the account was begun anew")})
    else:
        ledger.follow([booked])
