# ruff: noqa: F811 - the fixtures of the loopback services are imported by name
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.market_stub import sample
from tests.data.market_stub.fixtures import make_spec, server, stub  # noqa: F401 - fixtures, found by name
from tests.trading.killing import elsewhere
from wealtharena.config import compose
from wealtharena.data import fixings
from wealtharena.data.collecting import Collector
from wealtharena.data.store import Healing, Store
from wealtharena.errors import DataError
from wealtharena.tasks import collect, dispatch, multirun, sweep, train
from wealtharena.tasks.record import RunContext

ROOT = Path(__file__).parents[2]
COINS = ("BTC-USD", "ETH-USD", "SOL-USD")


@pytest.fixture
def request_coins(make_spec, tmp_path, monkeypatch):
    """Return `request(**collect options)`: the spec of a collection of three coins, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)

    def request(symbols=COINS, series=(), **options):
        spec = make_spec("crypto", "yahoo")
        macro = spec.data.macro.model_copy(update={"series": series})
        data = spec.data.model_copy(update={"symbols": symbols, "macro": macro})
        chosen = spec.collect.model_copy(update=options)
        return spec.model_copy(update={"task": "collect", "data": data, "collect": chosen})

    return request


def record(folder):
    return json.loads(next(folder.glob("outputs/*/*/run.json")).read_text())


@pytest.mark.slow
def test_it_fills_the_store_and_says_so(request_coins, tmp_path, capsys):
    assert collect.run(request_coins(series=("CPI",))) == 0
    store = Store(tmp_path / "data")
    assert store.missing("crypto", COINS, "1d", None, None) == ()
    assert len(store.read_macro("CPI")) == 24
    out = capsys.readouterr().out
    assert "crypto: 4 new" in out
    assert f"crypto 1/4 BTC-USD new {sample.DAYS} bars" in out  # no terminal: plain lines
    content = record(tmp_path)
    assert (content["status"], content["task"]) == ("completed", "collect")
    assert [item["status"] for item in content["collect"]] == ["new"] * 4


@pytest.mark.slow
@pytest.mark.parametrize("asked", [(), ("CPI",)])
def test_the_series_of_a_dated_cash_rate_comes_with_the_bars_and_once(request_coins, tmp_path, asked):
    spec = request_coins(series=asked)
    costs = spec.asset.costs.model_copy(update={"cash_bps_per_year": "CPI"})
    assert collect.run(spec.model_copy(update={"asset": spec.asset.model_copy(update={"costs": costs})})) == 0
    assert [item["symbol"] for item in record(tmp_path)["collect"]] == [*COINS, "CPI"]
    assert set(Store(tmp_path / "data").catalog()["macro"]) == {"CPI"}


@pytest.mark.slow
@pytest.mark.parametrize(("allowed", "code"), [(0.0, 1), (0.3, 1), (0.34, 0), (1.0, 0)])
def test_the_exit_code_tells_more_failures_than_allowed(request_coins, stub, capsys, allowed, code):
    stub.fault("yahoo", "unknown_symbol", match="ETH-USD")
    assert collect.run(request_coins(max_failed_share=allowed)) == code
    out = capsys.readouterr().out
    assert "2 new" in out
    assert "1 failed" in out
    assert "yahoo: ETH-USD: does not know ETH-USD" in out
    assert "-> check the symbol" in out


@pytest.mark.slow
def test_one_cause_of_many_failures_is_said_once(request_coins, stub, capsys):
    stub.fault("yahoo", "http_401")
    symbols = (*COINS, *(f"C{i}-USD" for i in range(20)))
    assert collect.run(request_coins(symbols=symbols)) == 1
    out = capsys.readouterr().out
    assert out.count("not asked, since BTC-USD met") == 2  # as it happens, and in the summary
    assert "C5-USD and 14 more: not asked" in out
    assert out.count("refused access") == 4
    assert out.count("(as before)") == 21
    assert out.count("  -> ") == 1, "both causes have one remedy"


def test_a_multirun_of_collections_misses_no_leaderboard(tmp_path):
    for number, tasks in enumerate((["collect", "collect"], ["collect", "train"], [])):
        folder = tmp_path / str(number)
        for job, task in enumerate(tasks):
            (folder / str(job)).mkdir(parents=True)
            (folder / str(job) / "run.json").write_text(json.dumps({"task": task}))
        assert multirun.trained(folder) is ("train" in tasks)


@pytest.mark.slow
def test_quality_is_reported_on_the_console_and_in_the_catalog(request_coins, stub, capsys, tmp_path):
    stub.fault("yahoo", "spike", factor=100.0, match="SOL-USD")
    collect.run(request_coins())
    assert "1 unit_errors repaired" in capsys.readouterr().out
    entry = Store(tmp_path / "data").catalog()["bars"]["crypto/SOL-USD/1d"]
    change = entry["quality"]["findings"][0]["changes"][0]
    assert change["before"] == pytest.approx(change["after"] * 100, rel=1e-5)
    assert (tmp_path / "data/processed/crypto/SOL-USD.changes.csv").exists()


@pytest.mark.slow
def test_an_interruption_keeps_what_is_finished_and_goes_on_next_time(
    request_coins,
    stub,
    monkeypatch,
    capsys,
    tmp_path,
):
    whole = Collector.collect

    def interrupted(self, symbol):
        if symbol == "ETH-USD":
            raise KeyboardInterrupt
        return whole(self, symbol)

    monkeypatch.setattr(Collector, "collect", interrupted)
    assert collect.run(request_coins()) == 130
    out = capsys.readouterr().out
    assert "2 not reached" in out
    assert record(tmp_path)["status"] == "interrupted"
    monkeypatch.setattr(Collector, "collect", whole)
    stub.clear()
    assert collect.run(request_coins()) == 0
    assert "1 current" in capsys.readouterr().out
    assert {row["symbol"] for row in stub.log("yahoo") if row["symbol"]} == {"ETH-USD", "SOL-USD"}


def wait_for(path, ended, seconds=90):
    end = time.monotonic() + seconds
    while not path.exists():
        assert not ended(), "ended too early"
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def heard():
    """Undo what a shell does to its background jobs: they, and what they start, ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("heard")
def test_the_command_survives_kill_9_and_ctrl_c_and_fetches_only_what_is_missing(stub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stub.fault("yahoo", "slow", delay=0.3)
    source = ("data=yahoo", f"data.manners.base_url={stub.url('yahoo')}", "data.manners.requests_per_second=100")
    words = ("task=collect", "asset=crypto", *source, f"data.symbols=[{','.join(COINS)}]")
    processed = tmp_path / "data" / "processed" / "crypto"
    first = elsewhere(lambda: dispatch(compose(words)))
    wait_for(processed / "BTC-USD.parquet", lambda: not first.is_alive())
    first.kill()
    first.join(90)
    assert first.exitcode == -signal.SIGKILL
    assert len(Store(tmp_path / "data").read("crypto", "BTC-USD", "1d").table) == sample.DAYS
    command = [sys.executable, str(ROOT / "run.py"), *words]
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(processed / "ETH-USD.parquet", lambda: second.poll() is not None)
    second.send_signal(signal.SIGINT)
    out, _ = second.communicate(timeout=90)
    assert second.returncode == 130, out
    assert "Interrupted" in out
    stub.clear()
    assert dispatch(compose(words)) == 0
    asked = {row["symbol"] for row in stub.log("yahoo") if row["symbol"]}
    assert asked == {"SOL-USD"}
    store = Store(tmp_path / "data")
    assert store.heal() == Healing()
    for symbol in COINS:
        assert len(store.read("crypto", symbol, "1d").table) == sample.DAYS


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [True, False])
def test_features_stand_beside_the_bars_where_they_are_asked_for(request_coins, stub, tmp_path, capsys, wanted):
    stub.fault("yahoo", "unknown_symbol", match="ETH-USD")
    spec = request_coins(max_failed_share=0.5)
    data = spec.data.model_copy(update={"store_features": wanted})
    features = spec.features.model_copy(update={"names": ("log_return_1",)})
    assert collect.run(spec.model_copy(update={"data": data, "features": features})) == 0
    found = sorted(path.name for path in tmp_path.glob("data/processed/crypto/features/*"))
    assert found == (["BTC-USD.parquet", "SOL-USD.parquet"] if wanted else [])
    assert ("features of 2 symbols" in capsys.readouterr().out) is wanted


@pytest.mark.slow
def test_features_that_an_update_leaves_behind_are_named(request_coins, tmp_path, capsys):
    folder = tmp_path / "data" / "processed" / "crypto" / "features"
    folder.mkdir(parents=True)
    (folder / "ETH-USD.parquet").write_bytes(b"of an earlier collection")
    assert collect.run(request_coins()) == 0
    assert "ETH-USD: the stored features are of earlier bars" in capsys.readouterr().out
    assert collect.run(request_coins()) == 0
    assert "stored features" not in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_to_be_said_of_bars_is_said_with_their_symbols(request_coins, monkeypatch, capsys, tmp_path):
    whole = Collector.collect

    def noted(self, symbol):
        outcome = whole(self, symbol)
        return outcome if symbol == "ETH-USD" else replace(outcome, note="5 of the 320 bars are gone")

    monkeypatch.setattr(Collector, "collect", noted)
    assert collect.run(request_coins()) == 0
    assert "BTC-USD, SOL-USD: 5 of the 320 bars are gone" in capsys.readouterr().out
    notes = [item["note"] for item in record(tmp_path)["collect"]]
    assert [note == "5 of the 320 bars are gone" for note in notes] == [True, False, True]


def test_a_root_that_is_no_folder_ends_in_one_line(request_coins, tmp_path):
    spec = request_coins()
    (tmp_path / "file").write_text("x")
    data = spec.data.model_copy(update={"root": str(tmp_path / "file")})
    with pytest.raises(DataError, match=r"data\.root=.* is no folder that can be used"):
        collect.run(spec.model_copy(update={"data": data}))


def about_to_train(spec, source="auto"):
    """Return the spec of a training that reads `source` and collects first."""
    data = spec.data.model_copy(update={"source": source})
    train_too = spec.train.model_copy(update={"collect": True})
    return spec.model_copy(update={"task": "train", "data": data, "train": train_too})


@pytest.mark.slow
@pytest.mark.parametrize("source", ["auto", "store"])
def test_a_training_brings_the_store_up_to_date_first_where_that_is_asked_for(request_coins, tmp_path, source):
    assert collect.run(request_coins(COINS[:1])) == 0
    stored, spec = Store(tmp_path / "data"), request_coins()
    collect.beforehand(spec.model_copy(update={"task": "train"}), {})  # nobody has asked for it
    collect.beforehand(about_to_train(spec, source), {"data": {}})  # it goes on, with bars that it knows
    assert len(stored.catalog()["bars"]) == 1
    collect.beforehand(about_to_train(spec, source), {})
    assert len(stored.catalog()["bars"]) == 3


@pytest.mark.slow
def test_a_training_goes_on_where_its_store_cannot_be_brought_up_to_date(request_coins, stub, tmp_path, capsys):
    stub.fault("yahoo", "unknown_symbol", match="ETH-USD")
    collect.beforehand(about_to_train(request_coins()), {})
    assert "ETH-USD" in capsys.readouterr().out
    assert len(Store(tmp_path / "data").catalog()["bars"]) == 2


def test_the_rates_that_a_training_reads_are_asked_for_first(make_spec, monkeypatch, capsys):
    monkeypatch.setattr(fixings, "behind", lambda now: True)
    monkeypatch.setattr(fixings, "renew", lambda data: f"asked at {data.rates.base_url}, who was out")
    spec = make_spec("forex", "yahoo")
    collect.beforehand(about_to_train(spec, "ecb"), {})
    assert f"asked at {spec.data.rates.base_url}, who was out" in " ".join(capsys.readouterr().out.split())


def test_what_asks_the_network_itself_is_not_collected_first(request_coins, stub, caplog):
    collect.beforehand(about_to_train(request_coins(), "yahoo"), {})
    assert "data=yahoo reads nothing that could be brought up to date" in caplog.text
    assert not stub.log("yahoo")


def test_bars_that_no_source_of_the_chain_has_stop_no_training(request_coins, caplog):
    spec = request_coins()
    elsewhere = spec.model_copy(update={"asset": spec.asset.model_copy(update={"chain": ("ecb",)})})
    collect.beforehand(about_to_train(elsewhere, "store"), {})
    assert "train.collect: none of asset.chain (ecb) has 1d bars" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("searches", [False, True])
def test_trainings_and_searches_collect_before_they_load(searches, tmp_path, monkeypatch):
    """In a run folder of their own, whose run.json knows of no bars yet."""
    monkeypatch.chdir(tmp_path)
    seen = []

    def noted(spec, run):
        seen.append((spec.train.collect, "data" in run))
        raise DataError("enough")

    monkeypatch.setattr(collect, "beforehand", noted)
    words = ["asset=crypto", "train.collect=true", *(["sweep=ppo"] if searches else [])]
    context, spec = RunContext.current(), compose(words)
    with pytest.raises(DataError, match="enough"):
        sweep.run_in(context, spec, words) if searches else train.run_in(context, spec)
    assert seen == [(True, False)]
