"""A checkpoint is not traded on other bars, or in other money, than it was trained with, without a word."""

import json

import pytest

from tests.tasks.test_backtest import checkpoint
from tests.tasks.test_paper import ACCOUNT, MARKET, here, records, run  # noqa: F401 - a fixture is found by its name
from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.tasks.terms import unlike

DAYS = ("paper.start=2024-10-01", "paper.end=2024-10-05", "paper.monitor=false")
VERSION = {"frequency": "1h", "recipe": {"asset": {"account_currency": "EUR"}}}


def says(folder, **facts):
    (folder / "metadata.json").write_text(json.dumps({"agent": "cryptocurrencies", **facts}))


@pytest.mark.slow
def test_a_version_a_run_and_a_candidate_say_what_they_were_trained_with(tmp_path):
    spec = compose(MARKET)
    says(tmp_path, **VERSION)
    assert [(one.key, one.trained) for one in unlike(spec, [tmp_path])] == [
        ("data.interval", "1h"),
        ("asset.account_currency", "EUR"),
    ]
    says(tmp_path, recipe={"asset": {"universe": {"calendar": "XNYS"}}})
    assert [str(one) for one in unlike(spec, [tmp_path])] == [
        f"{tmp_path.name} was trained on sessions of XNYS, and these are of {spec.asset.universe.calendar}: "
        "universe.calendar=XNYS is what it was trained with"
    ]
    says(tmp_path, frequency="1d", recipe={"asset": {"account_currency": "USD"}})
    assert unlike(spec, [tmp_path]) == []
    candidate = tmp_path / "run" / "checkpoints" / "1"
    candidate.mkdir(parents=True)
    assert unlike(spec, [candidate]) == []  # nobody says
    (tmp_path / "run" / "run.json").write_text(json.dumps({"data": {"frequency": "1w", "currency": "AUD"}}))
    for place in (tmp_path / "run", candidate):
        assert [one.trained for one in unlike(spec, [place])] == ["1w", "AUD"]


@pytest.mark.slow
def test_no_account_is_opened_on_other_bars_or_in_other_money(here, caplog):  # noqa: F811 - the fixture
    """An agent of hours traded days, its account in other money than its features were of."""
    trades = ("paper.checkpoints=[mine]", *DAYS)
    says(here / "mine", **VERSION)
    with pytest.raises(ConfigError, match=r"bars of 1h, and these are of 1d; .* account of EUR") as refused:
        run(*trades)
    assert "data.interval=1h asset.account_currency=EUR" in str(refused.value.hint)
    live = ("paper.checkpoints=[mine]", "paper.feed=live", "data=yahoo")
    with pytest.raises(ConfigError) as refused:
        run(*live)
    assert "add data.interval=1h" in str(refused.value.hint)
    says(here / "mine", **(VERSION | {"frequency": "4h"}))
    with pytest.raises(ConfigError) as refused:
        run(*live)
    assert "bars of 4h do not come live here" in str(refused.value.hint)
    says(here / "mine", **VERSION)
    assert not ACCOUNT.exists()
    says(here / "mine")
    assert run(*trades) == 0
    says(here / "mine", **VERSION)
    assert run(*trades, "paper.end=2024-10-07") == 0  # what was opened before this was asked goes on
    assert "bars of 1h, and these are of 1d" in caplog.text
    assert records("paper")[-1]["paper"]["bars"] == 7
    with pytest.raises(ConfigError, match="bars of 1h"):
        run(*trades, "paper.action=restart")


@pytest.mark.slow
def test_a_backtest_on_other_bars_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    says(checkpoint(tmp_path / "mine"), **VERSION)
    assert run("backtest.checkpoints=[mine]", task="backtest") == 0
    notes = records("backtest")[-1]["notes"]
    assert any("mine decides on bars of 1h, and these are of 1d" in note for note in notes)
    assert any("account of EUR" in note for note in notes)
    assert "decides on bars of 1h" in capsys.readouterr().out
