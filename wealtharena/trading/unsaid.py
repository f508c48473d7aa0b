"""What a broker does to a position without a word: a fee that it keeps in kind, a split that it carries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wealtharena.trading.actions import EARLIER, OWN_SPLIT, Prices, splits_between
from wealtharena.trading.broker import Event, Fill
from wealtharena.trading.desk import Close
from wealtharena.trading.guard import Intervention
from wealtharena.trading.situation import TOLERANCE
from wealtharena.trading.trader import Trader


def gaps_of(ours: Mapping[str, float], theirs: Mapping[str, float], *, dust: float) -> dict[str, float]:
    """Return what the broker holds beside our executions, by symbol."""
    gaps = {name: theirs.get(name, 0.0) - ours.get(name, 0.0) for name in sorted({*ours, *theirs})}
    size = {name: max(abs(ours.get(name, 0.0)), abs(theirs.get(name, 0.0))) for name in gaps}
    return {name: gap for name, gap in gaps.items() if abs(gap) > max(dust, TOLERANCE * size[name])}


def fees(trader: Trader, held: Mapping[str, float]) -> None:
    """Book what a broker kept of the units that it bought for us, where it takes its fee in kind."""
    ledger, capabilities = trader.ledger, trader.broker.capabilities
    if not capabilities.fee_in_kind:
        return
    gaps = gaps_of(ledger.positions(), held, dust=capabilities.dust)
    bought: dict[str, list[Fill]] = {}
    for one in ledger.unassigned():
        if one.units > 0.0:
            bought.setdefault(one.symbol, []).append(one)
    for symbol, fills in bought.items():
        most = capabilities.fee_in_kind * sum(one.units for one in fills)
        if -most - capabilities.dust <= gaps.get(symbol, 0.0) < 0.0:
            newest = fills[-1]
            kept = Event(newest.sequence, f"fee/{newest.execution_id}", "fee", symbol, gaps[symbol], 0.0)
            ledger.book_events([kept], bar="")


def splits(trader: Trader, close: Close, held: Mapping[str, float]) -> None:
    """Book the units that a split made of others, where the broker rescaled them without a word.

    The source tells of it by the prices of before; what is left of a share the broker has paid in cash by itself.
    """
    ledger, last = trader.ledger, trader.ledger.last_close()
    gaps = gaps_of(ledger.positions(), held, dust=trader.broker.capabilities.dust)
    if last is None or not gaps:
        return
    ours, stamps = ledger.positions(), [str(stamp) for stamp in close.market.timestamps]
    if last["bar"] not in stamps:
        return

    def marked(bar: str) -> dict[str, float]:
        return dict(zip(close.market.symbols, close.market.prices[stamps.index(bar)].tolist(), strict=True))

    def earlier() -> list[tuple[Prices, Prices]]:
        rows = ledger.closes(before=last["bar"], newest=EARLIER)
        return [(row["marks"], marked(row["bar"])) for row in rows if row["bar"] in stamps]

    now = marked(last["bar"])
    for symbol, ratio in splits_between(last["marks"], now, earlier=earlier).items():
        mine, before, there = ours.get(symbol, 0.0), last["positions"].get(symbol, 0.0), held.get(symbol, 0.0)
        # what was executed since the last close was so after the split, as at the open of its date, or before it
        made = min((mine + before * (ratio - 1.0), mine * ratio), key=lambda units: abs(there - units))
        if symbol in gaps and abs(there - made) < 1.0:
            left = (made - there) * now[symbol]
            one = Event(ledger.last_event(), f"{OWN_SPLIT}{last['bar']}/{symbol}", "split", symbol, gaps[symbol], left)
            tell(trader, close.bar, ledger.book_events([one], bar=""))


def tell(trader: Trader, bar: str, events: Sequence[Event]) -> None:
    """Write each event among the interventions of a bar."""
    for one in events:
        numbers = {"units": one.units, "cash": one.cash}
        trader.ledger.intervene(bar, [Intervention("event", one.kind, (one.symbol,) if one.symbol else (), numbers)])
