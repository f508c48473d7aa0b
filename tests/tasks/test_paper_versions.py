"""task=paper of promoted versions: the backtest of the version, and what a change of its stage does to its account."""

from dataclasses import asdict
from pathlib import Path

import pytest

from tests.registry import shelf
from tests.tasks.test_backtest import checkpoint
from tests.tasks.test_paper import ACCOUNT, MARKET, records, run
from tests.trading.killing import elsewhere
from wealtharena.agents.policy import load_policy
from wealtharena.config import compose
from wealtharena.data import load
from wealtharena.deployment.board import Board
from wealtharena.deployment.watching_accounts import as_json
from wealtharena.errors import CheckpointError
from wealtharena.features import compute
from wealtharena.files import write_json
from wealtharena.registry import ModelCheckpoint, history, promote, rollback, withdraw
from wealtharena.registry.history import HISTORY
from wealtharena.registry.publish import publish
from wealtharena.tasks import accounts, console, dispatch
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.standing import STANDS, UNKNOWN, Standing, where

pytestmark = pytest.mark.slow
AGENT = "cryptocurrencies"


def shelve(store, version, *, seed, std=0.05):
    """Save an untrained policy of the market as a version of the registry."""
    spec = compose(MARKET)
    panel = load(spec.asset, spec.data, seed=spec.seed)
    features = compute(panel, spec.features)
    facts = {
        "data": {"source": panel.source, "simulated": panel.simulated, "fingerprint": panel.fingerprint},
        "config_hash": "0123456789abcdef",
        "verdict": {"status": "unproven", "reasons": ["a test"], "evidence": {}},
        "metrics": {},
    }
    policy = load_policy(checkpoint(store.root.parent / f"mine-{version}", seed=seed, std=std))
    publish(store, policy, version=version, spec=spec, features=features, start=0, stop=features.bars, facts=facts)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A registry with versions `first`, which is on paper, and `second`."""
    monkeypatch.chdir(tmp_path)
    made = ModelCheckpoint(tmp_path / "checkpoints")
    shelve(made, "first", seed=0)
    shelve(made, "second", seed=1)
    promote(made, AGENT, "first")
    return made


@pytest.mark.parametrize("risk", ["none", "default"])
def test_an_account_of_a_promoted_version_is_the_backtest_of_that_version(store, risk):
    """Both by its graph; the candidate it was made of differs in the last digits of single precision."""
    assert run(f"risk={risk}") == 0
    (found,) = (one["paper"] for one in records("paper"))
    assert found["version"] == "first"
    assert found["paper"]["trades"] > 20
    assert found["largest_deviation"] < 1e-9
    for place in (f"checkpoints/{AGENT}/first", "mine-first"):
        run(f"backtest.checkpoints=[{place}]", f"risk={risk}", task="backtest")
    version, tensors = (one["metrics"]["test"]["total_return"] for one in records("backtest"))
    equity = 1.0 + found["paper"]["total_return"]
    assert 1.0 + version == pytest.approx(equity, rel=1e-9)
    assert 1.0 + tensors == pytest.approx(equity, rel=1e-5)
    run("paper.account=named", f"paper.checkpoints=[checkpoints/{AGENT}/first]", f"risk={risk}")
    named = records("paper")[-1]["paper"]
    assert named["largest_deviation"] < 1e-9
    assert named["paper"]["total_return"] == found["paper"]["total_return"]


# --- its stage changes hands while it trades

DAYS = ("paper.start=2024-10-01", "paper.end=2024-10-20", "paper.monitor=false")
CHANGED = "2024-10-08"


def deploy(*overrides):
    """Run task=deploy in a process of its own."""
    given = ["task=deploy", f"deploy.agents=[{AGENT}]", "tracking=quiet", *overrides]
    process = elsewhere(lambda: dispatch(compose(given)))
    process.join(240)
    assert process.exitcode == 0


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen once an account has closed the bar of CHANGED."""
    shown = console.PaperProgress.show

    def then(happens):
        def show(self, bar):
            shown(self, bar)
            if bar.startswith(CHANGED):
                happens()

        monkeypatch.setattr(console.PaperProgress, "show", show)

    return then


def told():
    """The account's interventions about its version, and the bars of its orders."""
    ledger = Ledger(ACCOUNT)
    spoken = [(one["bar"][:10], one["action"]) for one in ledger.interventions() if one["rule"] == "version"]
    found = spoken, sorted({one.bar[:10] for one in ledger.intents()}), ledger.state(), len(ledger.closes())
    ledger.close()
    return found


def test_an_account_goes_on_with_its_version_where_another_is_promoted_meanwhile(store, meanwhile, capsys):
    meanwhile(lambda: deploy("deploy.checkpoints=[second]", "deploy.stage=paper"))
    assert run(*DAYS) == 0
    spoken, ordered, (state, _), bars = told()
    assert spoken == [("2024-10-09", "replaced by second on paper")]
    assert (state, bars) == ("trading", 20)
    assert ordered[-1] > CHANGED
    said = capsys.readouterr().out
    assert said.count("first replaced by second on paper") == 1
    assert "paper.action=restart" in said
    assert records("paper")[-1]["paper"]["largest_deviation"] < 1e-9
    run("paper.action=status")
    assert "It is traded by first, replaced by second on paper." in capsys.readouterr().out
    board = Board(Path("paper"))
    (shown,) = board.views()
    assert (shown.facts["version"], as_json(shown)["standing"]) == ("first", "replaced by second on paper")
    assert "version first, replaced by second on paper" in board.page(keyed=False)

    assert run(*DAYS, "paper.end=2024-10-25") == 0  # and so it does at the next start, which says it no more
    again = records("paper")[-1]["paper"]
    assert (again["version"], again["bars"], again["epoch"]) == ("first", 25, 1)
    assert again["largest_deviation"] < 1e-9
    assert told()[0] == spoken
    assert run(*DAYS, "paper.action=restart") == 0
    anew = records("paper")[-1]["paper"]
    assert (anew["version"], anew["epoch"], anew["interventions"]) == ("second", 2, {})
    assert [(one.who, one.standing) for one in board.views()] == [("version second", None)]


def test_an_account_says_which_checkpoint_trades_and_its_version_is_not_deleted(store, capsys):
    """It said `ppo`, and `deploy.keep` deleted the version that had been named to trade."""
    named = f"paper.checkpoints=[checkpoints/{AGENT}/second]"
    assert run(*DAYS, named) == 0
    run("paper.action=status")
    assert "It is traded by ppo of second." in capsys.readouterr().out
    (shown,) = Board(Path("paper")).views()
    assert (shown.who, as_json(shown)["checkpoints"]) == ("version ppo of second", ["second"])
    shelve(store, "third", seed=2)
    dispatch(
        compose(
            ["task=deploy", f"deploy.agents=[{AGENT}]", "deploy.checkpoints=[third]", "deploy.keep=1", "tracking=quiet"]
        )
    )
    assert {row["version"] for row in store.list_checkpoints(AGENT)} == {"second", "third"}
    assert "kept second, which paper.account=default was opened with" in capsys.readouterr().out
    assert run(*DAYS, named, "paper.end=2024-10-25") == 0


def test_a_promotion_that_was_not_carried_out_replaces_no_version(store):
    """The account was told that it had been replaced by a version that never stood there."""
    stands = history.standing(store.root, AGENT, "paper")
    looks = Standing(store.root, AGENT, "first")
    event = {"event": "promote", **asdict(stands), "version": "second", "from_version": "first"}
    history.append(store.root, event)
    assert looks.look() == STANDS
    promote(store, AGENT, "second")
    assert looks.look() == "replaced by second on paper"
    # a crash of the registry's disk, say: the record is of before
    write_json(history.pointer_path(store.root, AGENT, "paper"), stands.to_dict())
    assert looks.look() == STANDS


def test_an_account_freezes_where_its_version_is_retired_meanwhile(store, meanwhile, capsys):
    meanwhile(lambda: deploy("deploy.action=withdraw", "deploy.stage=paper"))
    assert run(*DAYS) == 0
    spoken, ordered, (state, reason), bars = told()
    assert spoken == [("2024-10-09", "retired")]
    assert (state, reason, bars) == ("halted", "first was retired", 20)
    assert ordered[-1] == CHANGED
    assert capsys.readouterr().out.count("halted at 2024-10-09: first was retired") == 1

    assert run(*DAYS, "paper.end=2024-10-25") == 0
    assert told() == (spoken, ordered, (state, reason), 25)
    run("paper.action=release", "paper.reason=seen")
    assert run(*DAYS, "paper.end=2024-10-30") == 0  # a person's word stands
    assert told()[0] == spoken
    assert told()[1][-1] > "2024-10-25"
    promote(store, AGENT, "first")
    withdraw(store, AGENT, stage="paper")  # again, and all of it while the account rested
    assert run(*DAYS, "paper.end=2024-11-05") == 0
    assert told()[0] == [*spoken, ("2024-10-31", "retired")]
    assert told()[2] == ("halted", "first was retired")


def test_a_version_that_was_retired_while_its_account_rested_sends_nothing_more(store):
    assert run(*DAYS) == 0
    ordered = told()[1]
    withdraw(store, AGENT, stage="paper")
    assert run(*DAYS, "paper.end=2024-10-25") == 0
    assert told() == ([("2024-10-21", "retired")], ordered, ("halted", "first was retired"), 25)


def test_a_history_that_cannot_be_read_stops_no_trading_and_is_told(store, meanwhile, capsys):
    def spoil():
        (store.root / HISTORY).write_text("{}\n")

    meanwhile(spoil)
    assert run(*DAYS) == 0
    spoken, ordered, (state, _), _ = told()
    assert spoken == [("2024-10-09", UNKNOWN)]
    assert (state, ordered[-1] > CHANGED) == ("trading", True)
    assert UNKNOWN in capsys.readouterr().out


def test_where_a_version_stands(store):
    def found(version="first"):
        return where(store.root, AGENT, version)

    assert (found(), found("second")) == ("stands", UNKNOWN)
    promote(store, AGENT, "second")
    assert (found(), found("second")) == ("replaced by second on paper", "stands")
    rollback(store, AGENT, stage="paper")
    assert (found(), found("second")) == ("stands", "replaced by first on paper")
    promote(store, AGENT, "second")
    withdraw(store, AGENT, stage="paper")
    assert (found(), found("second")) == ("replaced, and paper is empty", "retired")
    promote(store, AGENT, "first")
    assert (found(), found("second")) == ("stands", "replaced by first on paper")
    assert where(store.root.parent / "nowhere", AGENT, "first") == UNKNOWN


def test_an_account_whose_version_a_retention_deleted_says_so(tmp_path):
    """It was "opened with another policy": nobody knew that there was a way back."""
    store = ModelCheckpoint(tmp_path / "checkpoints")
    for version in ("v1", "v2"):
        shelf.save(store, version)
        promote(store, shelf.AGENT, version, stage="paper")
    known = {"version": "v1", "policy": store.load_checkpoint(shelf.AGENT, "v1").files.manifest_sha256}
    spec = compose(["task=paper", "asset=crypto", f"paths.checkpoints={store.root}"])
    assert store.prune(shelf.AGENT, keep=0) == ["v1"]
    told = rf"default was opened with {shelf.AGENT}/v1, which was deleted on .* by deploy\.keep=0; begin anew with paper\.action"
    with pytest.raises(CheckpointError, match=told):
        accounts.choose(spec, known)


def test_a_retention_spares_what_an_account_was_opened_with(store, capsys):
    """It was deleted, and the account could not go on."""
    assert run() == 0
    shelve(store, "third", seed=2)
    promote(store, AGENT, "third", stage="paper")
    words = [
        "task=deploy",
        f"deploy.agents=[{AGENT}]",
        "deploy.stage=paper",
        "deploy.checkpoints=[third]",
        "deploy.keep=0",
    ]
    assert dispatch(compose(words)) == 0
    assert f"{AGENT}: kept first, which paper.account=default was opened with" in capsys.readouterr().out
    assert {row["version"] for row in store.list_checkpoints(AGENT)} == {"first", "third"}
    (ledger,) = store.root.parent.glob("**/ledger.sqlite")
    ledger.write_bytes(b"no database" * 500)
    with pytest.raises(CheckpointError, match="nothing is deleted, since what an account trades is not known"):
        dispatch(compose(words))
    assert {row["version"] for row in store.list_checkpoints(AGENT)} == {"first", "third"}
