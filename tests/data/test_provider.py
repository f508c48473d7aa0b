"""The contract of a source: what its class says of itself, and that nobody asks for what it does not serve."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.data.market_stub.fixtures import MakeSpec
from tests.data.specs import compose, with_data
from wealtharena.config import plugins
from wealtharena.config.paths import conf_dir
from wealtharena.data import auto, load, provider
from wealtharena.data.bars import Bars, RawBars, raw_table
from wealtharena.data.collecting import Collector
from wealtharena.data.store import Store, Window
from wealtharena.errors import ConfigError, WealthArenaError

MARKETS = {"stocks", "forex", "crypto", "etf", "commodities"}


@pytest.mark.parametrize("name", provider.names())
def test_a_source_is_one_name_in_code_and_conf(name: str) -> None:
    source = provider.find(name)
    assert issubclass(source, provider.Provider)
    assert source.name == name
    assert source.title
    assert source.host is None or source.host.startswith("https://")
    assert source.markets is None or source.markets <= MARKETS
    assert yaml.safe_load((conf_dir() / "data" / f"{name}.yaml").read_text())["source"] == name


def test_every_choice_of_data_is_a_source_or_auto() -> None:
    choices = {path.stem for path in (conf_dir() / "data").glob("*.yaml")}
    assert choices == {*provider.names(), "auto"}


def test_no_code_but_its_own_names_a_source_as_a_list_would() -> None:
    package = Path(provider.__file__).parents[1]
    lists = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if path.parent.name != "providers"
        and sum(f'"{name}"' in path.read_text() for name in ("yahoo", "alpha_vantage", "coingecko", "ecb")) > 1
    ]
    assert lists == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["asset=crypto", "data=ecb"], r"data=ecb has no crypto; it has forex, or take data=.*coingecko.*yahoo"),
        (["asset=crypto", "data=fred"], r"data=fred has no crypto; .*data\.macro\.series, or take data=(?!.*fred)"),
        (["asset=etf", "data=fred"], r"data=fred has no etf; .*data\.macro\.series, or take data=(?!.*fred)"),
        (["asset=forex", "data=coingecko"], "data=coingecko has no forex"),
        (["asset=commodities", "data=alpha_vantage"], "data=alpha_vantage has no commodities"),
        (["asset=forex", "data=ecb", "data.interval=1h"], "data=ecb has no bars of 1h; set data.interval=1d"),
        (["asset=stocks", "data=alpha_vantage", "data.interval=1h"], "no bars of 1h.*yahoo"),
        (["asset=forex", "data=auto", "data.interval=1h"], r"none of asset.chain \(ecb\) has 1h bars of forex"),
    ],
)
def test_what_a_source_does_not_serve_is_refused_before_anything_is_asked(
    overrides: list[str], words: str, tmp_path: Path
) -> None:
    spec = with_data(compose(overrides), root=str(tmp_path))
    with pytest.raises(ConfigError, match=words):
        load(spec.asset, spec.data, seed=0)
    with pytest.raises(ConfigError, match=words):
        Collector(spec.asset, spec.data, spec.collect)


@pytest.mark.parametrize("name", ["files", "simulated", "store"])
def test_what_lies_on_this_machine_already_is_not_collected(name: str, tmp_path: Path) -> None:
    spec = with_data(compose(["asset=crypto", f"data={name}"]), root=str(tmp_path))
    with pytest.raises(ConfigError, match=f"data={name} is not collected; use auto, .*yahoo"):
        Collector(spec.asset, spec.data, spec.collect)


def test_a_source_of_the_chain_that_does_not_serve_the_interval_is_passed_over(tmp_path: Path) -> None:
    spec = with_data(
        compose(["asset=stocks", "data=auto", "data.interval=1h", "asset.chain=[alpha_vantage,yahoo]"]),
        root=str(tmp_path),
    )
    everywhere = auto.resolve(spec.asset, spec.data, probe=lambda urls, seconds: frozenset(urls))
    assert everywhere.source == "yahoo"
    assert Collector(spec.asset, spec.data, spec.collect).chain == ("yahoo",)


def test_a_misspelt_source_is_named_with_the_near_one() -> None:
    with pytest.raises(ConfigError, match=r"asset.chain=yaho is not a known source; did you mean yahoo"):
        provider.find("yaho", key="asset.chain")


def test_the_caveats_of_a_source_do_not_vanish_in_the_store(tmp_path: Path) -> None:
    spec = with_data(compose(["asset=forex", "data=store"]), root=str(tmp_path), symbols=("EURUSD", "GBPUSD"))
    for symbol, origin in (("EURUSD", "ecb"), ("GBPUSD", "a source of another installation")):
        days = pd.date_range("2015-01-01", periods=200, freq="B", tz="UTC")
        table = raw_table(pd.DataFrame({"timestamp": days, "close": 1.1}))
        raw = RawBars(origin, symbol, "1d", table, "USD", "none", "none", datetime(2024, 1, 1, tzinfo=UTC))
        Store(tmp_path).write("forex", Bars.from_raw(raw), raw=raw, asked=Window(None, None), quality={})
    notes = load(spec.asset, spec.data, seed=0).notes
    assert sum("ECB reference rates, one fixing a day" in note for note in notes) == 1
    assert any("bars come from the local store (ecb, fetched 2024-01-01" in note for note in notes)


@pytest.mark.parametrize(
    ("asset", "name", "symbol"),
    [
        ("crypto", "yahoo", "BTC-USD"),
        ("forex", "alpha_vantage", "EURUSD"),
        ("crypto", "coingecko", "BTC-USD"),
        ("forex", "ecb", "EURUSD"),
    ],
)
def test_a_source_says_truly_whether_it_has_opens(make_spec: MakeSpec, asset: str, name: str, symbol: str) -> None:
    spec = compose([f"asset={asset}", f"data={name}"]) if name == "ecb" else make_spec(asset, name)
    source = provider.find(name)
    found = source(spec.data, spec.asset).fetch(symbol, None, None, "1d")
    assert bool(found.table["open"].notna().any()) == source.opens


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"symbol": "ZZZ-USD"}, "its symbol is 'ZZZ-USD', and 'A-USD' was asked for"),
        ({"provider": "yahoo"}, "its provider is 'yahoo', and 'mine' was asked for"),
        ({"currency": None}, "its currency is None, and no code such as 'USD'"),
        ({"volume_unit": "lots"}, "its volume_unit is 'lots', and none of units, account, none"),
        ({"adjusted": "maybe"}, "its adjusted is 'maybe', and none of splits, all, none"),
        ({"days": 60}, "its bars are of 2020-01-01 to 2020-02-29, and 2020-01-01 to 2020-01-31 was asked for"),
        ({"days": 32}, None),
        ({"currency": "usd"}, "its currency is 'usd', and no code such as 'USD'"),
        ({"fetched_at": datetime(2020, 3, 1)}, "its fetched_at is .*, and no time with a zone"),
        ({"fetched_at": None}, "its fetched_at is None, and no time with a zone"),
        ({"zone": "Australia/Sydney"}, "a bar of 1d is stamped 2019-12-31 13:00, and not at 00:00 of its trade date"),
        ({"zone": "Australia/Sydney", "interval": "1h"}, None),
        ({"hole": 3}, "its row 4 has no timestamp"),
    ],
)
def test_a_source_of_a_package_gives_the_bars_that_were_asked_for_or_is_refused(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], told: str | None
) -> None:
    """Bars behind `data.end`, which were to be held back, were traded; a unit that there is none of was none.

    Days by the midnight of a venue were days too early, or late.
    """

    class Mine(provider.Provider):
        name, title = "mine", "Mine"

        def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
            days = pd.date_range("2020-01-01", periods=changes.pop("days", 31), tz=changes.pop("zone", "UTC"))
            if hole := changes.pop("hole", 0):
                days = days.where(np.arange(len(days)) != hole)
            table = raw_table(pd.DataFrame({"timestamp": days, "close": 1.0}))
            sent = RawBars("mine", symbol, interval, table, "USD", "none", "splits", datetime.now(UTC))
            return replace(sent, **changes)

    spec = compose(["asset=crypto"])
    monkeypatch.setattr(plugins, "of_package", lambda room, name: True)
    monkeypatch.setattr(plugins, "title", lambda room, name: f"the plugin {name!r}")
    changes = dict(changes)  # fetch takes some out
    asked = (Mine(spec.data, spec.asset), "A-USD", date(2020, 1, 1), date(2020, 1, 31), "1d")
    if told is None:
        assert isinstance(provider.fetched(*asked), RawBars)
        return
    with pytest.raises(WealthArenaError, match=f"the plugin 'mine': fetch.*{told}"):
        provider.fetched(*asked)


@pytest.mark.parametrize("told", ["runs too well", None, (1,)])
def test_what_a_source_says_of_itself_is_texts_and_no_text_alone(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comma was forgotten, `("runs too well")`, and each letter stood as a note in the report."""

    class Mine(provider.Provider):
        name, title, caveats = "mine", "Mine", told

        def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
            raise NotImplementedError

    spec = compose(["asset=crypto"])
    monkeypatch.setattr(plugins, "subclass", lambda *asked: Mine)
    monkeypatch.setattr(provider, "names", lambda: ("mine",))
    with pytest.raises(WealthArenaError, match=r"the caveats of its Provider are .*, and no tuple of texts"):
        provider.find("mine")
    with pytest.raises(WealthArenaError, match=r"notes returned .*, and no tuple of texts"):
        provider.noted(Mine(spec.data, spec.asset))


@pytest.mark.parametrize("said", ["intervals", "markets"])
@pytest.mark.parametrize("told", ["1d", "crypto", (1,), 1])
def test_what_a_source_serves_is_a_set_of_texts(said: str, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one text alone each part was served: bars of `d`, and a market `forex` of `("stocks forex")`."""

    class Mine(provider.Provider):
        name, title = "mine", "Mine"

        def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
            raise NotImplementedError

    setattr(Mine, said, told)
    monkeypatch.setattr(plugins, "subclass", lambda *asked: Mine)
    monkeypatch.setattr(provider, "names", lambda: ("mine",))
    with pytest.raises(WealthArenaError, match=f"the {said} of its Provider are .*, and no set of texts"):
        provider.find("mine")
