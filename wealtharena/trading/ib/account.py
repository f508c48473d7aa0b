"""An account at Interactive Brokers behind the contract of a broker, by a gateway (TWS or IB Gateway). Never tried live.

A gateway knows the orders and executions of today and the orders that are open, and takes a client's word for nothing
twice: an order's reference is looked up in all of them before it is sent, for the gateway would book it again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from wealtharena.trading.broker import (
    Account,
    BookedOrder,
    Capabilities,
    Event,
    Fill,
    Opening,
    Order,
    OrderStatus,
    RejectedError,
    UnreachableError,
)
from wealtharena.trading.ib.contracts import contract_of, leave_out_notices, named, order_of, taken_of
from wealtharena.trading.locks import Reported, check_account, check_currency

if TYPE_CHECKING:
    from wealtharena.envs.market import Market
    from wealtharena.trading.brokers.ib import Settings

T = TypeVar("T")
_ENDED: Final[Mapping[str, OrderStatus]] = {
    "Filled": "filled", "Cancelled": "cancelled", "ApiCancelled": "cancelled", "Inactive": "rejected",
}  # fmt: skip
_TAKEN: Final = ("PreSubmitted", "Submitted", "Filled")
_INVALID: Final = 321  # a request that is not carried out, as where orders are not allowed from the interface
_SHORT: Final = ("margin", "funds", "cash needed")  # words of a refusal for want of money
_LOOK_SECONDS: Final = 0.02
_SUMMARY: Final = "NetLiquidation,TotalCashValue,$LEDGER:ALL"
_COMMISSION: Final = dt.timedelta(minutes=1)  # after an execution, in which its commission is waited for
_UNSET: Final = 1e300  # what is above stands for nothing


class IbBroker:
    """One account behind one gateway. Every fact is asked of it; the thread of its connection is this object's own."""

    capabilities = Capabilities(sends=True, embedded=False, dust=1e-6)

    def __init__(self, opening: Opening, settings: Settings) -> None:
        self._opening, self._settings = opening, settings
        found = {name: named(name, opening.market, settings.futures) for name in opening.symbols}
        self._contracts = {name: one for name, one in found.items() if one is not None}
        self._ours: dict[tuple[str, ...], list[str]] = {}  # futures of several sizes may share a key
        for name, one in self._contracts.items():
            self._ours.setdefault(one.key, []).append(name)
        self._worth: dict[str, float] = {}
        self._rates: dict[str, float] = {}  # of each currency of the account, in its own
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ib", daemon=True)
        self._thread.start()
        self._ib: Any = None
        self._number = ""
        try:
            self._asked(self._managed)
            self.account()
        except BaseException:
            self.close()
            raise

    def keep(self) -> None:
        """Do nothing: what was acknowledged is kept there."""

    def close(self) -> None:
        """Let go of the gateway."""

        async def end() -> None:
            if self._ib is not None:
                self._ib.disconnect()

        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(end(), self._loop).result(self._settings.timeout_seconds)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10.0)
            self._loop.close()

    # --- the gateway

    def _asked(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """Return the gateway's answer to one question, connecting first where that is needed; a refusal of it is none."""
        from ib_async import RequestError

        async def ask() -> T:
            return await question(await self._connected())

        future = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        try:
            return future.result(self._settings.timeout_seconds * 2.0)
        except (OSError, TimeoutError, RequestError) as error:
            future.cancel()
            said = f" {error.code}" if isinstance(error, RequestError) else ""
            failure = UnreachableError(f"ib: {type(error).__name__}{said}")
        raise failure

    async def _connected(self) -> Any:
        from ib_async import IB, StartupFetch

        if self._ib is None or not self._ib.isConnected():
            logging.getLogger("ib_async").setLevel(logging.CRITICAL)  # it says everything twice, and as errors
            self._ib = IB()
            leave_out_notices(self._ib.wrapper)
            self._ib.RaiseRequestErrors = True
            await self._ib.connectAsync(
                self._settings.host, self._settings.port, clientId=self._settings.client_number,
                timeout=self._settings.timeout_seconds, fetchFields=StartupFetch(0),
            )  # fmt: skip
        return self._ib

    async def _managed(self, ib: Any) -> str:
        """Return the number of the account, once it is the one that may be traded; paper accounts begin with D."""
        numbers = ib.managedAccounts()
        wanted = self._settings.account
        self._number = str(numbers[0] if wanted is None or wanted not in numbers else wanted)
        reported = Reported(self._number, live=not self._number.startswith("D"))
        check_account(self._settings, reported, allow_live=self._opening.allow_live)
        return self._number

    async def _within(self, answer: Awaitable[T]) -> T:
        return await asyncio.wait_for(answer, self._settings.timeout_seconds)

    def advance(self, market: Market) -> None:
        """Remember what a unit of each quote is worth; the market goes on by itself."""
        self._worth = dict(zip(market.symbols, market.worth[-1].tolist(), strict=True))

    def announce(self, bar: str, weights: Mapping[str, float]) -> None:
        """Do nothing: orders are all that is wanted."""

    def stream(self, wake: Callable[[], None]) -> None:
        """Do nothing: the gateway is asked from time to time."""

    # --- what there is

    def account(self) -> Account:
        """Return the money, once it is in the currency that is counted in here; remember what other currencies are worth."""

        async def money(ib: Any) -> Account:
            await self._managed(ib)
            ib.wrapper.acctSummary.clear()
            await self._summed(ib)
            told = [one for one in ib.wrapper.acctSummary.values() if one.account == self._number]
            found = {one.tag: one for one in told if one.tag in ("NetLiquidation", "TotalCashValue")}
            if len(found) < 2:
                raise TimeoutError
            for one in found.values():
                check_currency(self._opening.currency, one.currency)
            rates = {one.currency: float(one.value) for one in told if one.tag == "ExchangeRate"}
            self._rates = {**rates, found["NetLiquidation"].currency: 1.0}
            equity, cash = (float(found[tag].value) for tag in ("NetLiquidation", "TotalCashValue"))
            lent = {one.currency: float(one.value) for one in told if one.tag == "CashBalance"}
            foreign = {name: lent[name] for name in rates.keys() & lent.keys() - {found["NetLiquidation"].currency}}
            return Account(equity=equity, cash=cash, number=self._number, foreign=foreign, rates=rates)

        return self._asked(money)

    async def _summed(self, ib: Any) -> None:
        """Have the account's summary told once: each question is a subscription, and a gateway refuses the third (322)."""
        number = ib.client.getReqId()
        answer = ib.wrapper.startReq(number)
        ib.client.reqAccountSummary(number, "All", _SUMMARY)
        try:
            await self._within(answer)
        finally:
            if ib.isConnected():
                ib.client.cancelAccountSummary(number)

    def charges(self, since: str) -> Mapping[str, float]:
        """Return nothing: no bars are known here."""
        return {}

    def positions(self) -> Mapping[str, float] | None:
        """Return the units held by symbol; a contract that is not traded here is named as it is told."""

        async def held(ib: Any) -> dict[str, float]:
            told = [one for one in await self._within(ib.reqPositionsAsync()) if one.account == self._number]
            newest = {(one.contract.conId, self._name_of(one.contract)): float(one.position) for one in told}
            found: dict[str, float] = {}
            for (_, name), units in newest.items():  # what changes meanwhile is told once more
                found[name] = found.get(name, 0.0) + units
            return {name: units for name, units in found.items() if units}

        return self._asked(held)

    def _name_of(self, contract: Any) -> str:
        """Return our name of a contract; a stranger's is what tells it apart from ours and from others of its month."""
        told, kind = str(contract.lastTradeDateOrContractMonth), contract.secType
        key, size = (contract.symbol, kind, contract.currency, told[:6]), contract.multiplier
        ours = self._ours.get(key, [])
        if kind == "FUT" and size:
            ours = [name for name in ours if float(size) == float(self._contracts[name].multiplier)]
        if len(ours) == 1:
            return ours[0]
        parts = (*key[:3], told, contract.right, contract.strike, size)
        return " ".join(str(part) for part in parts if part)

    async def _trades(self, ib: Any) -> dict[str, BookedOrder]:
        """Return every order of the account that the gateway knows, by its reference: completed ones, then those that are open."""
        executions = await self._within(ib.reqExecutionsAsync())
        completed = await self._within(ib.reqCompletedOrdersAsync(False))
        opened = await self._opened(ib)
        filled: dict[str, float] = {}
        found: dict[str, BookedOrder] = {}
        for fill in _newest(one for one in executions if one.execution.acctNumber == self._number):
            one = fill.execution
            sign = 1.0 if one.side == "BOT" else -1.0
            filled[one.orderRef] = filled.get(one.orderRef, 0.0) + sign * float(one.shares)
            done = filled[one.orderRef]
            found[one.orderRef] = BookedOrder(one.orderRef, self._name_of(fill.contract), done, done, "filled")
        for trade in (*filter(self._is_own, completed), *opened):
            reference = str(trade.order.orderRef) or f"?{trade.order.permId}"
            found[reference] = self._booked(trade, filled.get(reference, 0.0))
        return found

    async def _opened(self, ib: Any) -> list[Any]:
        """Return what is open in the account; a gateway may have several, and tells of all."""
        return [one for one in await self._within(ib.reqAllOpenOrdersAsync()) if self._is_own(one)]

    def _is_own(self, trade: Any) -> bool:
        return str(trade.order.account) == self._number

    def _booked(self, trade: Any, filled: float) -> BookedOrder:
        order = trade.order
        sign = 1.0 if order.action == "BUY" else -1.0
        told = [float(order.filledQuantity), float(trade.orderStatus.filled)]
        filled = sign * max(abs(filled), *(one for one in told if abs(one) < _UNSET))
        units = sign * float(order.totalQuantity) if order.totalQuantity else filled  # a completed one tells none
        status = _ENDED.get(trade.orderStatus.status, "open")
        if status in ("cancelled", "rejected") and filled:
            status = "partly"
        return BookedOrder(str(order.orderRef), self._name_of(trade.contract), units, filled, status)

    def order_by_client_id(self, client_id: str) -> BookedOrder | None:
        """Return the order by its reference, among those of today and those that are open."""

        async def found(ib: Any) -> BookedOrder | None:
            return (await self._trades(ib)).get(client_id)

        return self._asked(found)

    def open_orders(self) -> Sequence[BookedOrder]:
        """Return the orders that may still be filled, whoever gave them."""

        async def opened(ib: Any) -> list[BookedOrder]:
            return [self._booked(one, 0.0) for one in await self._opened(ib)]

        return [one for one in self._asked(opened) if one.status == "open"]

    # --- orders

    def submit(self, order: Order) -> BookedOrder:
        """Send an order whose reference the gateway does not know yet, and wait for its word."""
        known = self.order_by_client_id(order.client_id)
        if known is not None:
            return known
        if order.symbol not in self._contracts:
            raise RejectedError(f"{order.symbol} has no contract", hint="set it in broker.futures")
        if not taken_of(self._contracts[order.symbol], order.units):
            raise RejectedError(f"ib: {order.symbol}: a part of one is not taken", hint="trade it by hand")

        async def sent(ib: Any) -> tuple[Any, str]:
            trade = ib.placeOrder(contract_of(self._contracts[order.symbol]), self._instructed(order))
            until = asyncio.get_running_loop().time() + self._settings.timeout_seconds
            while not _answered(trade):
                if asyncio.get_running_loop().time() > until or not ib.isConnected():
                    raise TimeoutError
                await asyncio.sleep(_LOOK_SECONDS)
            if trade.orderStatus.status == "Inactive":
                ib.cancelOrder(trade.order)
            return trade, trade.log[-1].message if trade.log else ""

        trade, said = self._asked(sent)
        booked = self._booked(trade, 0.0)
        if booked.status in ("cancelled", "rejected") or _invalid(trade):
            short = any(words in said.lower() for words in _SHORT)
            raise RejectedError(f"ib: {order.symbol}: {said}", funds=short)
        at_once = "at once" if order.urgent else "at once, for the open of the next bar"
        return replace(booked, note="" if self._auctioned(order) else at_once)

    def _auctioned(self, order: Order) -> bool:
        return self._contracts[order.symbol].kind == "STK" and self._opening.daily and not order.urgent

    def _instructed(self, order: Order) -> Any:
        """Return the order as the gateway takes it."""
        return order_of(
            self._contracts[order.symbol], order,
            account=self._number, auctioned=self._auctioned(order), at_close=self._opening.fill == "next_close",
        )  # fmt: skip

    def cancel(self, client_id: str) -> None:
        """Ask for an order back that is still open, or inactive: that may be activated yet."""

        async def asked(ib: Any) -> None:
            for trade in await self._opened(ib):
                ended = _ENDED.get(trade.orderStatus.status) in ("filled", "cancelled")
                if trade.order.orderRef == client_id and not ended:
                    ib.cancelOrder(trade.order)
                    await asyncio.sleep(_LOOK_SECONDS)

        self._asked(asked)

    # --- what happened

    def cursor(self) -> int:
        """Return the gateway's time, in microseconds."""

        async def now(ib: Any) -> dt.datetime:
            found: dt.datetime = await self._within(ib.reqCurrentTimeAsync())
            return found

        return int(self._asked(now).timestamp() * 1_000_000)

    def fills(self, since: int) -> Sequence[Fill]:
        """Return the executions that the gateway knows, those of today, oldest first, corrected ones once.

        UnreachableError while the commission of a new one is not told yet: it is booked with its execution, or never.
        """

        async def executed(ib: Any) -> list[Any]:
            found = await self._within(ib.reqExecutionsAsync())
            known = ib.wrapper.fills  # where commissions are put, which come after
            return [known[one.execution.execId] for one in found if one.execution.acctNumber == self._number]

        newest = _newest(self._asked(executed))
        untold = [one.execution.time for one in newest if not one.commissionReport.execId]
        if untold and self.cursor() - max(untold).timestamp() * 1_000_000 < _COMMISSION / dt.timedelta(microseconds=1):
            raise UnreachableError("ib: the commission of an execution is not told yet")
        return sorted(map(self._fill, newest), key=lambda one: one.sequence)

    def _fill(self, told: Any) -> Fill:
        """Return an execution; its id without the number of its correction."""
        one, name = told.execution, _name_and_correction(told)[0]
        symbol, quote = self._name_of(told.contract), float(one.price)
        units = float(one.shares) * (1.0 if one.side == "BOT" else -1.0)
        return Fill(
            int(one.time.timestamp() * 1_000_000), name, str(one.orderRef) or None, "", symbol, units,
            quote * self._worth_of(symbol, told.contract), quote, self._commission(told.commissionReport),
        )  # fmt: skip

    def _worth_of(self, symbol: str, contract: Any) -> float:
        """Return what 1 of a quote is worth: as the last close had it; before that, or of a stranger, as the gateway tells.

        UnreachableError until a rate is told.
        """
        if symbol in self._worth:
            return self._worth[symbol]
        if contract.currency not in self._rates:
            raise UnreachableError(f"ib: an execution in {contract.currency}, whose rate is not told")
        return self._rates[contract.currency] * float(contract.multiplier or 1.0)

    def _commission(self, told: Any) -> float:
        """Return a commission in the account's currency; UnreachableError until its own currency's rate is told."""
        commission = float(told.commission or 0.0)
        if not commission or commission >= _UNSET:
            return 0.0
        if told.currency not in self._rates:
            raise UnreachableError(f"ib: a commission in {told.currency or 'no currency'}, whose rate is not told")
        return commission * self._rates[told.currency]

    def events(self, since: int) -> Sequence[Event]:
        """Return nothing: the gateway tells no corporate actions; splits are told by prices, cash is in the equity."""
        return ()


def _name_and_correction(told: Any) -> tuple[str, str]:
    name, _, number = told.execution.execId.rpartition(".")
    return name, number


def _newest(told: Iterable[Any]) -> list[Any]:
    """Return each execution once, as its last correction has it: they may be told in any order."""
    return list({_name_and_correction(one)[0]: one for one in sorted(told, key=_name_and_correction)}.values())


def _answered(trade: Any) -> bool:
    """Return whether the gateway has said what becomes of an order; that it waits for its venue's hours may be its last word."""
    said = {trade.orderStatus.status, *(one.status for one in trade.log)}
    return _invalid(trade) or not said.isdisjoint({*_TAKEN, *_ENDED})


def _invalid(trade: Any) -> bool:
    return any(one.errorCode == _INVALID for one in trade.log)
