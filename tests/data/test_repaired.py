"""More rows repaired or left out than `data.max_repaired_share` are an error, whatever the source."""

import re
from datetime import UTC, date, datetime

import pytest

from wealtharena.data import load, loading
from wealtharena.data.collecting import Collector
from wealtharena.data.providers import alpha_vantage, coingecko, yahoo
from wealtharena.errors import DataError

EVENING = datetime(2024, 11, 21, 22, 30, tzinfo=UTC)  # New York has closed on the last day of the sample's shares
NOON = datetime(2024, 7, 17, 12, tzinfo=UTC)  # the day after the last of the sample's coins
CASES = {
    "yahoo": (yahoo, "stocks", "ACME", None, EVENING),
    "alpha_vantage": (alpha_vantage, "stocks", "BETA", date(2024, 7, 15), EVENING),
    "coingecko": (coingecko, "crypto", "BTC-USD", None, NOON),
}
SPOILT = 30
TOLD = re.compile(rf"{SPOILT} of (\d+) rows would have to be repaired or left out \({SPOILT} non_positive\)")


class Asked:
    """One symbol of one provider, asked through its own client."""

    def __init__(self, name, make_spec):
        self.module, asset, self.symbol, start, moment = CASES[name]
        spec = make_spec(asset, name)
        self.asset, self.options, self.clock = spec.asset, spec.collect, lambda: moment
        self.data = spec.data.model_copy(update={"symbols": (self.symbol,), "start": start})

    def allowing(self, share, **changes):
        return self.data.model_copy(update={"max_repaired_share": share, **changes})

    def panel(self, share):
        data = self.allowing(share)
        return loading.panel_of(self.module.Provider(data, self.asset, clock=self.clock), self.asset, data)

    def collect(self, share, **options):
        data = self.allowing(share)
        made = Collector(self.asset, data, self.options.model_copy(update=options), clock=self.clock)
        made._providers[data.source] = self.module.Provider(data, self.asset, clock=self.clock)
        return made.collect(self.symbol)


@pytest.fixture(params=CASES)
def asked(request, make_spec, stub):
    made = Asked(request.param, make_spec)
    stub.stub.cfg["now"] = int(made.clock().timestamp())
    return made


@pytest.fixture
def spoilt(asked, stub, monkeypatch):
    """Make the last closes of the source those of nobody: below zero."""

    def spoil():
        frame = stub.stub.bars.frames[asked.symbol].copy()
        rows = frame.index[-SPOILT - 2 : -2]
        frame.loc[rows, ["low", "close", "adj_close"]] = -frame.loc[rows, ["low", "close", "adj_close"]].abs()
        monkeypatch.setitem(stub.stub.bars.frames, asked.symbol, frame)

    return spoil


@pytest.mark.slow
def test_a_source_that_is_repaired_too_much_is_an_error_with_its_causes(asked, spoilt):
    whole = asked.panel(0.05).bars
    spoilt()
    with pytest.raises(DataError, match=TOLD) as refused:
        asked.panel(0.05)
    assert "\n" not in str(refused.value)
    assert asked.symbol in refused.value.message
    assert "data.max_repaired_share" in refused.value.hint
    received = int(TOLD.search(str(refused.value))[1])
    assert asked.panel(SPOILT / received).bars == whole - SPOILT  # as many as allowed
    with pytest.raises(DataError, match=TOLD):
        asked.panel((SPOILT - 0.5) / received)


def test_what_is_repaired_too_much_is_not_collected_and_what_is_stored_stays(asked, spoilt):
    assert asked.collect(0.05).status == "new"
    before = load(asked.asset, asked.allowing(0.05, source="store"), seed=0)
    spoilt()
    outcome = asked.collect(0.05, refresh=True)
    assert outcome.status == "failed"
    assert TOLD.search(outcome.cause)
    assert "data.max_repaired_share" in outcome.remedy
    after = load(asked.asset, asked.allowing(0.05, source="store"), seed=0)
    assert after.fingerprint == before.fingerprint


@pytest.mark.slow
def test_bars_that_were_collected_under_a_looser_limit_are_held_to_the_runs_own(asked, spoilt, stub):
    spoilt()
    assert asked.collect(0.5).status == "new"
    assert asked.collect(0.5).status == "current"
    loose = load(asked.asset, asked.allowing(0.5, source="store"), seed=0)
    assert len(loose.symbols) == 1
    with pytest.raises(DataError, match=TOLD):
        load(asked.asset, asked.allowing(0.05, source="store"), seed=0)
    stub.clear()
    assert asked.collect(0.05).status == "failed"  # judged anew, nothing asked
    assert not stub.log()
