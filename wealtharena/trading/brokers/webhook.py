"""A bridge of the user's own: signed orders and target weights to a URL, such as a MetaTrader bridge's.

The bridge answers for an order's arrival and for nothing else, so that the account is kept as the kernel would have it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.errors import ConfigError
from wealtharena.trading.addresses import is_web, posted
from wealtharena.trading.broker import (
    BookedOrder,
    Capabilities,
    Opening,
    Order,
    RejectedError,
    UnreachableError,
    UntoldError,
)
from wealtharena.trading.brokers.paper import FILE, STANDS, STEPS, PaperBroker
from wealtharena.trading.database import transaction
from wealtharena.trading.locks import Keys, read_keys
from wealtharena.trading.signals import Signals

if TYPE_CHECKING:
    from wealtharena.config.specs.experiment import ExperimentSpec

VERSION: Final = 1
NAMES: Final = ("WEBHOOK_SECRET", "WEBHOOK_SIGNAL_SECRET")
_UNKNOWN: Final = (408, 425, 429)  # and all from 500 on; every other answer is the bridge's own
_BEFORE: Final = (2, 4)  # steps of the paper broker's file before each of the bridge's own; versions count in order
_ASKED: Final = (
    """CREATE TABLE asked (client_id TEXT PRIMARY KEY, symbol TEXT NOT NULL, units REAL NOT NULL, leg INTEGER NOT NULL)""",
)
_DATED: Final = ("ALTER TABLE asked ADD COLUMN bar TEXT NOT NULL DEFAULT ''",)


class Settings(BrokerSpec):
    """Where orders go."""

    outside = True

    name: Literal["webhook"]
    url: str | None = Field(pattern=r"^https?://", description="of the bridge")
    keys_file: str | None = Field(description="lines NAME=VALUE or JSON; null reads the environment")
    timeout_seconds: float = Field(gt=0, le=120, description="of one answer of the bridge")
    listen: str | None = Field(
        pattern=r"^[^:]+:\d+$", description="address at which signals come in that have to confirm orders; null: none"
    )
    confirm_seconds: float = Field(gt=0, description="how old a signal may be")

    @property
    def money(self) -> str:
        return "through a bridge, and whose money it trades is its own affair"

    @property
    def place(self) -> str | None:
        return self.url


def why_not(spec: ExperimentSpec) -> str | None:
    """Return None: what the bridge trades is its own affair."""
    return None


def open_broker(opening: Opening) -> WebhookBroker:
    """Return the account; ConfigError without a URL or a secret, or where signals cannot be listened for."""
    settings = opening.spec
    assert isinstance(settings, Settings)
    if settings.url is None:
        raise ConfigError("broker.url is not set", hint="broker.url=https://<your bridge>")
    if not is_web(settings.url):
        raise ConfigError("broker.url is no URL of the web", hint="broker.url=https://<your bridge>")
    names = (NAMES[0], NAMES[1] if settings.listen else NAMES[0])
    return WebhookBroker(opening, settings, read_keys(names, settings.keys_file))


def signature(secret: str, stamp: str, nonce: str, body: bytes) -> str:
    """Return what a bridge compares: HMAC-SHA256 in hex over `stamp.nonce.body`."""
    text = f"{stamp}.{nonce}.".encode() + body
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


class WebhookBroker(PaperBroker):
    """The kernel's account whose orders a bridge has taken.

    An order is written here before it is sent. After an unknown outcome the bridge is asked whether it knows the id;
    one that cannot say leaves the order unknown, and it expires with its bar.
    """

    capabilities = Capabilities(sends=True, embedded=True, announces=True)

    def __init__(self, opening: Opening, settings: Settings, keys: Keys) -> None:
        import httpx

        self._signals: Signals | None = None
        if settings.listen is not None:
            host, _, port = settings.listen.rpartition(":")
            self._signals = Signals(host, int(port), keys.secret, seconds=settings.confirm_seconds)
        first, second = _BEFORE
        steps = (*STEPS[:first], _ASKED, *STEPS[first:second], _DATED, *STEPS[second:])
        path = opening.folder / FILE.format(epoch=opening.epoch)
        try:
            super().__init__(path, opening.env, synchronous=opening.synchronous, steps=steps)
        except BaseException:
            if self._signals is not None:
                self._signals.close()
            raise
        self._url, self._keys, self._seconds = str(settings.url), keys, settings.timeout_seconds
        self._http = httpx.Client(timeout=settings.timeout_seconds, follow_redirects=False)

    def close(self) -> None:
        """Let go of files and connections."""
        if self._signals is not None:
            self._signals.close()
        self._http.close()
        super().close()

    def submit(self, order: Order) -> BookedOrder:
        """Send an order to the bridge once a client id, and book it once the bridge has taken it."""
        booked = super().order_by_client_id(order.client_id)
        if booked is not None:
            return booked
        if self._walker is None:
            raise UnreachableError("webhook: the account was shown no bar yet")
        self._refuse(order, taken=any(one.symbol == order.symbol for one in self.open_orders()))
        self._confirmed(order)
        bar = str(self._walker.timestamp)
        with transaction(self._db):
            self._db.execute(
                "INSERT OR REPLACE INTO asked (client_id, symbol, units, leg, bar) VALUES (?, ?, ?, ?, ?)",
                (order.client_id, order.symbol, order.units, order.leg, bar),
            )
        try:
            self._post("order", id=order.client_id, symbol=order.symbol, units=order.units)
        except RejectedError:
            self._one("DELETE FROM asked WHERE client_id = ?", (order.client_id,))
            raise
        return super().submit(order)

    def _confirmed(self, order: Order) -> None:
        """Raise RejectedError for an order that opens something without a signal that says the same."""
        held = self.positions().get(order.symbol, 0.0)
        reduces = held * order.units < 0.0 and abs(order.units) <= abs(held)
        if self._signals is not None and not reduces and not self._signals.confirms(order.symbol, order.units):
            raise RejectedError(f"no signal confirms the order in {order.symbol}", hint="see broker.confirm_seconds")

    def order_by_client_id(self, client_id: str) -> BookedOrder | None:
        """Return the order as it is booked; one that was sent without an answer is asked for at the bridge."""
        booked = super().order_by_client_id(client_id)
        if booked is not None:
            return booked
        row = self._asked(client_id)
        if row is None:
            return None
        try:
            known = self._post("status", id=client_id).get("known")
        except RejectedError as error:  # it refuses the question, and not the order
            raise UntoldError(str(error)) from None
        if known is False:
            return None
        if known is not True:
            raise UntoldError("webhook: the bridge does not say whether it knows the order")
        if row["bar"] not in ("", self._stands()):
            raise UntoldError("webhook: the bridge has it, and said so only after its bar")
        return self._booked(row, "open")

    def _asked(self, client_id: str) -> Any:
        """Return an order that was sent, as it was; None where none was."""
        return self._db.execute("SELECT * FROM asked WHERE client_id = ?", (client_id,)).fetchone()

    def _stands(self) -> str:
        """Return the bar at which the account stands."""
        return str(self._db.execute(STANDS).fetchone()["bar"])

    def _booked(self, row: Any, status: Literal["open", "cancelled"]) -> BookedOrder:
        """Book an order that was sent, at its own bar."""
        values = (row["client_id"], row["bar"] or self._stands(), row["symbol"], row["units"], status)
        self._one("INSERT INTO orders VALUES (?, ?, ?, ?, 0.0, ?)", values)
        return BookedOrder(row["client_id"], row["symbol"], row["units"], 0.0, status)

    def cancel(self, client_id: str) -> None:
        """Take an order back, at the bridge first; one without an answer may have arrived there."""
        booked, row = super().order_by_client_id(client_id), self._asked(client_id)
        if row is None or (booked is not None and booked.status != "open"):
            return
        try:
            self._post("cancel", id=client_id)
        except RejectedError as error:
            raise UnreachableError(str(error)) from None
        if booked is None:
            self._booked(row, "cancelled")
        super().cancel(client_id)

    def announce(self, bar: str, weights: Mapping[str, float]) -> None:
        """Send the weights that were decided on."""
        self._post("weights", bar=bar, weights=dict(weights))

    def _post(self, kind: str, **content: Any) -> Mapping[str, Any]:
        """Send one signed message, once, and return the answer's JSON object, empty where it is none."""
        import httpx

        body = json.dumps({"version": VERSION, "kind": kind, **content}, sort_keys=True, allow_nan=False).encode()
        stamp, nonce = str(int(time.time())), os.urandom(16).hex()
        headers = {
            "content-type": "application/json",
            "x-wealtharena-timestamp": stamp,
            "x-wealtharena-nonce": nonce,
            "x-wealtharena-signature": f"sha256={signature(self._keys.key, stamp, nonce, body)}",
        }
        try:
            status, answer = posted(self._http, self._url, seconds=self._seconds, content=body, headers=headers)
        except httpx.HTTPError as error:
            failure = f"webhook: {kind}: {type(error).__name__}"
        else:
            if 200 <= status < 300:
                return _object(answer)
            failure = f"webhook: {kind}: the bridge answered {status}"
            if 300 <= status < 400:
                failure += ", another address, which is not followed: broker.url is to be that one"
            if 400 <= status < 500 and status not in _UNKNOWN:
                raise RejectedError(failure, hint="look at the bridge's own log")
        raise UnreachableError(failure)


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
