"""What a broker does without a word, by hand: a fee that it keeps in kind, a split that it carries out."""

from types import SimpleNamespace

import numpy as np
import pytest

from wealtharena.trading import unsaid
from wealtharena.trading.broker import Capabilities, Fill

STAMPS = np.arange("2024-05-01", "2024-05-04", dtype="datetime64[D]").astype("datetime64[ns]")
BARS = [str(stamp) for stamp in STAMPS]


class Books:
    """A trader and its ledger in one: as much of each as is asked for."""

    def __init__(self, *, ours, fills=(), before=None):
        self.ledger, self.ours, self.fills, self.before, self.booked = self, ours, fills, before, []
        self.broker = SimpleNamespace(capabilities=Capabilities(True, False, fee_in_kind=0.0025, dust=1e-9))

    def positions(self):
        return self.ours

    def unassigned(self):
        return [Fill(at, f"x{at}", "id", "", "A", units, 1.0, 1.0, 0.0) for at, units in enumerate(self.fills)]

    def last_close(self):
        return {"bar": BARS[1], "marks": {"A": 100.0}, "positions": self.before}

    def closes(self, *, before, newest):
        return [{"bar": BARS[0], "marks": {"A": 98.0}}]

    def last_event(self):
        return 5

    def book_events(self, events, *, bar):
        self.booked += events
        return events

    def intervene(self, bar, found):
        assert bar == BARS[2]


@pytest.mark.parametrize(
    ("fills", "there", "kept"),
    [
        ([1.0], 0.998, -0.002),
        ([1.0], 0.9975, -0.0025),
        ([1.0], 0.997, None),  # more than it keeps at most
        ([0.5, 0.5], 0.998, -0.002),
        ([-1.0, 2.0], 0.996, -0.004),  # of what was bought
        ([-1.0], 0.998, None),
        ([1.0], 1.002, None),
        ([1.0], 1.0, None),
        ([], 0.998, None),
    ],
)
def test_what_lacks_of_a_purchase_is_a_fee_up_to_what_the_broker_keeps(fills, there, kept):
    books = Books(ours={"A": 1.0}, fills=fills)
    unsaid.fees(books, {"A": there})
    told = [(one.kind, one.event_id, one.units, one.cash) for one in books.booked]
    assert told == ([] if kept is None else [("fee", f"fee/x{len(fills) - 1}", pytest.approx(kept), 0.0)])


@pytest.mark.parametrize(
    ("before", "ours", "now", "there", "units", "cash"),
    [
        (10.0, 10.0, 50.0, 20.0, 10.0, 0.0),
        (7.0, 7.0, 100.0 / 1.5, 10.0, 3.0, 0.5 * 100.0 / 1.5),  # half a share of now is paid out
        (-7.0, -7.0, 100.0 / 1.5, -10.0, -3.0, -0.5 * 100.0 / 1.5),
        (10.0, 15.0, 50.0, 25.0, 10.0, 0.0),  # five were bought at the open of its date
        (10.0, 15.0, 50.0, 30.0, 15.0, 0.0),  # five were bought before it
        (10.0, 10.0, 50.0, 22.0, None, None),  # somebody else's, too
        (10.0, 10.0, 50.0, 10.0, None, None),  # it is not carried out yet
        (10.0, 10.0, 100.0, 20.0, None, None),  # no price tells of one
    ],
)
def test_a_split_is_booked_where_what_is_held_is_what_it_made(before, ours, now, there, units, cash):
    books = Books(ours={"A": ours}, before={"A": before})
    prices = np.array([[98.0 * now / 100.0], [now], [now]])
    market = SimpleNamespace(symbols=("A",), timestamps=STAMPS, prices=prices)
    unsaid.splits(books, SimpleNamespace(market=market, bar=BARS[2]), {"A": there})
    told = [(one.kind, one.event_id, one.units, one.cash) for one in books.booked]
    wanted = ("split", f"split/{BARS[1]}/A", pytest.approx(units), pytest.approx(cash, abs=1e-9))
    assert told == ([] if units is None else [wanted])
