"""The paper broker, with every order written down: what a broker of one's own begins from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.trading.broker import BookedOrder, Opening, Order
from wealtharena.trading.brokers import paper


class Settings(BrokerSpec):
    """What conf/broker/logged.yaml sets: nothing."""

    name: Literal["logged"]


def why_not(spec: Any) -> str | None:
    """Return None: it trades what the paper broker trades, whatever has bars."""
    return None


def open_broker(opening: Opening) -> LoggedBroker:
    """Return the paper broker of an account, with orders.jsonl beside its books."""
    return LoggedBroker(paper.open_broker(opening), opening.folder / "orders.jsonl")


class LoggedBroker:
    """Passes everything on, and writes each order down before it is sent."""

    def __init__(self, inner: Any, path: Path) -> None:
        self._inner, self._path = inner, path

    def submit(self, order: Order) -> BookedOrder:
        """Write the order down and hand it on."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"client_id": order.client_id, "symbol": order.symbol, "units": order.units}) + "\n")
        booked: BookedOrder = self._inner.submit(order)
        return booked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
