"""A broker's answers, looked through before anything is booked by them: what is none of its contract ends the account's run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from wealtharena.config import plugins
from wealtharena.errors import WealthArenaError
from wealtharena.trading.broker import (
    BROKER_METHODS,
    Account,
    BookedOrder,
    Broker,
    Capabilities,
    Event,
    Fill,
    Opening,
    Order,
)

_ROOM: Final = "trading.brokers"
_CHARGES: Final = ("traded", "costs", "financing", "dividends", "flow")
_HINTS: Final[Mapping[type[Any], Mapping[str, Any]]] = {
    kind: get_type_hints(kind) for kind in (Account, BookedOrder, Capabilities, Event, Fill)
}
_LONGEST: Final = 60  # letters of a value that are shown
_LARGEST: Final = 2**63 - 1  # whole number that the ledger takes


def opened(name: str, opening: Opening) -> Broker:
    """Return the account's broker of that name, each answer of which is looked through.

    Raises:
        WealthArenaError: it, or later an answer, is none of the contract, or a package's broker raised something else.
    """
    module = plugins.load(_ROOM, name)
    broker = _asked(name, "open_broker", module.open_broker, opening)
    plugins.check_answer(_ROOM, name, broker, of="open_broker", methods=BROKER_METHODS)
    try:
        return cast("Broker", _Checked(name, broker))
    except BaseException:
        _asked(name, "close", broker.close)  # nobody else has it
        raise


def warned(broker: Broker) -> Sequence[str]:
    """Return what is told of an account's symbols to whoever starts it; nothing of a broker that was not `opened` here."""
    return broker.warned() if isinstance(broker, _Checked) else ()


class _Checked:
    """A broker whose every answer is of the kind that the contract names."""

    def __init__(self, name: str, broker: Broker) -> None:
        self._name, self._broker, self._bar = name, broker, ""
        found: Any = _asked(name, "capabilities", getattr, broker, "capabilities")
        self._refuse("capabilities", unlike(found, Capabilities))
        self.capabilities: Capabilities = found

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return functools.partial(self._call, method)

    def warned(self) -> Sequence[str]:
        """Return what is told of the account's symbols to whoever starts it; nothing where the broker has no such method."""
        ask = getattr(self._broker, "warned", None)
        told: Any = () if ask is None else _asked(self._name, "warned", ask)
        listed = isinstance(told, Sequence) and not isinstance(told, str | bytes)
        if not (listed and all(isinstance(one, str) for one in told)):
            self._refuse("warned", f"{_a(told)} and no list of sentences")
        return cast("Sequence[str]", told)

    def _call(self, method: str, *values: Any) -> Any:
        answer = _asked(self._name, method, getattr(self._broker, method), *values)
        if method == "advance":
            self._bar = str(values[0].timestamps[-1].astype("datetime64[ns]"))
        told = _LOOKS[method](answer, *values) if method in _LOOKS else ""
        if not told and self.capabilities.embedded:
            told = self._off_its_bars(answer)
        self._refuse(method, told)
        # a zero is nothing that is held, of a symbol that nobody trades here neither
        return {name: units for name, units in answer.items() if units} if method == "positions" and answer else answer

    def _off_its_bars(self, answer: Any) -> str:
        """Return what is wrong with the bars of a broker that stands at the close itself; nothing where they are right."""
        if isinstance(answer, Account) and answer.bar != self._bar:
            return f"Account.bar={answer.bar!r} at the close {self._bar}"
        rows = answer if isinstance(answer, Sequence) else ()
        off = [one.bar for one in rows if isinstance(one, Fill) and not (_is_bar(one.bar) and one.bar <= self._bar)]
        return f"Fill.bar={off[0]!r} at the close {self._bar}" if off else ""

    def _refuse(self, method: str, told: str) -> None:
        if told:
            raise plugins.misused(_ROOM, self._name, f"{method} answered with {told}")


def _asked(name: str, method: str, call: Callable[..., Any], *values: Any) -> Any:
    """Return what the broker answers; ours may fail with whatever it raises, a package's is named."""
    try:
        return call(*values)
    except WealthArenaError:
        raise
    except (Exception, SystemExit) as error:
        if not plugins.of_package(_ROOM, name):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise plugins.misused(_ROOM, name, f"{method} raised {said}") from error


def unlike(answer: object, kind: type[Any]) -> str:
    """Return in what an answer is no `kind`, one of the contract's records with finite numbers; nothing where it is one."""
    if not isinstance(answer, kind):
        return f"{_a(answer)} and no {kind.__name__}"
    for name, hint in _HINTS[kind].items():
        if not _fits(getattr(answer, name), hint):
            return f"{kind.__name__}.{name}={_short(getattr(answer, name))}"
    return ""


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Mapping:
        return not _mapping(value)
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if hint in (int, float) and isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= _LARGEST
    if hint is float:  # a numpy number of another kind than float64 would be written as bytes
        return isinstance(value, float) and math.isfinite(value)
    return isinstance(value, hint)


def _mapping(answer: object) -> str:
    """Return in what an answer is no mapping of names to finite numbers."""
    if not isinstance(answer, Mapping):
        return f"{_a(answer)} and no mapping"
    wrong = [
        (name, value) for name, value in answer.items() if not (isinstance(name, str) and name and _fits(value, float))
    ]
    return f"{_short(wrong[0][0])}: {_short(wrong[0][1])}" if wrong else ""


def _rows(answer: object, kind: type[Any], *named: str) -> str:
    """Return in what an answer is no sequence of `kind` whose fields `named` are not empty."""
    if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
        return f"{_a(answer)} and no list of {kind.__name__}"
    for one in answer:
        told = unlike(one, kind)
        empty = [] if told else [name for name in named if not getattr(one, name)]
        if told or empty:
            return told or f"{kind.__name__}.{empty[0]}=''"
    return ""


def _charges(answer: object, since: str) -> str:
    told = _mapping(answer)
    strange = [] if told else [name for name in cast("Mapping[str, float]", answer) if name not in _CHARGES]
    return f"{strange[0]!r}, which is none of {', '.join(_CHARGES)}" if strange else told


def _booked(answer: object, order: Order) -> str:
    told = unlike(answer, BookedOrder) or _found(answer, order.client_id)
    other = not told and cast("BookedOrder", answer).symbol != order.symbol
    return f"an order in {_short(cast('BookedOrder', answer).symbol)} for one in {order.symbol}" if other else told


def _found(answer: object, client_id: str) -> str:
    if answer is None:
        return ""
    told = unlike(answer, BookedOrder)
    other = not told and cast("BookedOrder", answer).client_id != client_id
    return f"the order {_short(cast('BookedOrder', answer).client_id)} for {client_id}" if other else told


def _events(answer: object, since: int) -> str:
    told = _rows(answer, Event, "event_id")
    nameless = not told and any(one.units and not one.symbol for one in cast("Sequence[Event]", answer))
    return "Event.units without a symbol" if nameless else told


_LOOKS: Final[Mapping[str, Callable[..., str]]] = {
    "account": lambda answer: unlike(answer, Account),
    "charges": _charges,
    "positions": lambda answer: "" if answer is None else _mapping(answer),
    "submit": _booked,
    "order_by_client_id": _found,
    "open_orders": lambda answer: _rows(answer, BookedOrder, "symbol"),
    "fills": lambda answer, since: _rows(answer, Fill, "execution_id", "symbol"),
    "events": _events,
    "cursor": lambda answer: "" if _fits(answer, int) else f"{_short(answer)} and no whole number",
}


def _is_bar(text: str) -> bool:
    try:
        return str(np.datetime64(text, "ns")) == text
    except ValueError:
        return False


def _a(answer: object) -> str:
    return "None" if answer is None else f"a {type(answer).__name__}"


def _short(value: object) -> str:
    vast = isinstance(value, int) and abs(value) > _LARGEST
    said = f"{value:#x}" if vast else " ".join(repr(value).split())  # of too many digits Python refuses to write them
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
