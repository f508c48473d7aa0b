"""No shipped configuration can trade real money, and no output carries a key."""

import contextlib
import dataclasses
import itertools
import traceback

import pytest
import yaml

from tests.trading.conformance import OPEN, alpaca_broker
from tests.trading.exchange import Exchange
from tests.trading.serving import serving
from wealtharena.config import compose
from wealtharena.config.composition import groups
from wealtharena.config.paths import conf_dir
from wealtharena.errors import ConfigError
from wealtharena.tasks import console
from wealtharena.trading.broker import RefusedError, UnreachableError
from wealtharena.trading.locks import Keys, Reported, check_account, read_keys

LIVE = "987654321"


@dataclasses.dataclass(frozen=True)
class Asked:
    name: str = "alpaca"
    live: bool = False
    account: str | None = None


@pytest.mark.slow
def test_no_shipped_file_opens_a_lock():
    for path in conf_dir().rglob("*.yaml"):
        text = path.read_text()
        content = yaml.safe_load(text) or {}
        if path.parent.name == "risk":
            assert content["allow_live"] is False
            continue
        assert "allow_live" not in "".join(line.partition("#")[0] for line in text.splitlines()), path
        if path.parent.name == "broker":
            assert content.get("live", False) is False, path
            assert content.get("account") is None, path


@pytest.mark.parametrize(("risk", "broker"), list(itertools.product(groups()["risk"], groups()["broker"])))
def test_with_a_shipped_configuration_a_live_account_is_refused(risk, broker):
    """Case 27: what the server reports decides."""
    spec = compose([f"risk={risk}", f"broker={broker}", "asset=etf", "asset.instrument.lot_size=1"])
    asked = spec.broker if hasattr(spec.broker, "live") else Asked()
    with pytest.raises(RefusedError, match="real money"):
        check_account(asked, Reported(LIVE, live=True), allow_live=spec.risk.allow_live)


@pytest.mark.parametrize(
    ("live", "account", "allow"), list(itertools.product((False, True), (None, LIVE), (False, True)))
)
def test_each_lock_alone_holds(live, account, allow):
    def opened():
        check_account(Asked(live=live, account=account), Reported(LIVE, live=True), allow_live=allow)

    if live and account and allow:
        opened()
    else:
        with pytest.raises(RefusedError):
            opened()


@pytest.mark.slow
def test_what_is_at_stake_is_said_in_words(capsys, tmp_path):
    for overrides, said in (
        (["broker=alpaca", "broker.live=true"], "LIVE"),
        (["broker=alpaca"], "PAPER"),
        (["broker=ib", "broker.live=true", "asset.instrument.lot_size=1"], "LIVE"),
        (["broker=webhook"], "bridge"),
        (["broker=paper"], "no money"),
    ):
        money = compose([*overrides, "asset=etf"]).broker.money
        record = {"agent": "etf", "fill": "next_open", "data": {"simulated": False, "symbols": [], "source": "yahoo"}}
        console.paper_header(record, version="v1", account="default", folder=tmp_path, money=money)
        text = " ".join(capsys.readouterr().out.split())
        assert said in text
        assert ("REAL MONEY" in text) == (said == "LIVE")


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        (Asked(account="PA1"), Reported("PA2", live=False)),
        (Asked(live=True, account=LIVE), Reported("111111111", live=True)),
        (Asked(live=True), Reported("PA2", live=False)),
    ],
)
def test_another_account_than_the_one_expected_is_refused(asked, reported):
    with pytest.raises(RefusedError):
        check_account(asked, reported, allow_live=True)


def test_a_live_server_is_refused_by_what_it_reports_and_again_later(tmp_path):
    """Case 27, over HTTP: the address is the paper one's, the account is not."""
    exchange = Exchange({"AAPL": 190.0}, OPEN, number=LIVE)
    with serving(exchange) as url:
        with pytest.raises(RefusedError, match="real money"):
            alpaca_broker(exchange, url, tmp_path, ("AAPL",))
        with contextlib.closing(
            alpaca_broker(
                exchange,
                url,
                tmp_path,
                ("AAPL",),
                live=True,
                account=LIVE,
                allow_live=True,
            )
        ) as broker:
            assert broker.account().equity == 100_000.0
            exchange.number = "123123123"
            with pytest.raises(RefusedError):
                broker.account()
    assert {method for method, _, _ in exchange.log} == {"GET"}


def test_keys_come_from_a_file_or_the_environment_and_are_never_shown(tmp_path, monkeypatch):
    names = ("A_KEY", "A_SECRET")
    monkeypatch.setenv("A_KEY", "from-environment")
    with pytest.raises(ConfigError, match="A_SECRET") as error:
        read_keys(names, None)
    assert "from-environment" not in str(error.value)
    lines, tree = tmp_path / "lines", tmp_path / "tree.json"
    lines.write_text("A_KEY=k-hidden\nA_SECRET = two\n")
    tree.write_text('{"A_KEY": "k-hidden", "A_SECRET": "two"}')
    utf16 = tmp_path / "utf16"
    utf16.write_text("ONE=k-hidden", encoding="utf-16")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        read_keys(names, str(utf16))
    assert read_keys(names, str(lines)) == read_keys(names, str(tree)) == Keys("k-hidden", "two")
    assert "k-hidden" not in repr(Keys("k-hidden", "two"))
    tree.write_text('{"A_KEY": "k-hidden", ')
    with pytest.raises(ConfigError) as error:
        read_keys(names, str(tree))
    assert "k-hidden" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("line", ["export A_KEY=k-hidden", 'A_KEY="k-hidden"', " export A_KEY = 'k-hidden' "])
def test_a_file_that_a_shell_reads_holds_the_keys_that_it_has_there(tmp_path, line):
    """Quotes were sent to the broker as part of the key, and `export` was part of a name that the file lacked."""
    (tmp_path / ".env").write_text(f"# of the paper account\n{line}\nA_SECRET='tw=o\n")
    assert read_keys(("A_KEY", "A_SECRET"), str(tmp_path / ".env")) == Keys("k-hidden", "'tw=o")


@pytest.mark.parametrize("kind", ["429", "500", "504", "truncated", "html", "401"])
def test_no_failure_carries_a_key(tmp_path, kind):
    exchange = Exchange({"AAPL": 190.0}, OPEN)
    with serving(exchange) as url, contextlib.closing(alpaca_broker(exchange, url, tmp_path, ("AAPL",))) as broker:
        exchange.fail(kind, times=99)
        with pytest.raises(UnreachableError) as error:
            broker.positions()
        said = "".join(traceback.format_exception(error.value)) + repr(vars(broker))
    assert "SECRET" not in said


def test_an_account_in_dollars_is_refused_where_money_is_counted_in_another_currency(tmp_path):
    exchange = Exchange({"AAPL": 190.0}, OPEN)
    with serving(exchange) as url:
        with pytest.raises(RefusedError, match="kept in USD, money here is counted in AUD") as refused:
            alpaca_broker(exchange, url, tmp_path, ("AAPL",), currency="AUD")
        assert "asset.account_currency=USD" in refused.value.hint
        alpaca_broker(exchange, url, tmp_path, ("AAPL",), currency="USD").close()
