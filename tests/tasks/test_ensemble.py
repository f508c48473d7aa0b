from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from tests.deployment.rooms import Client, settings
from tests.registry.shelf import place
from tests.tasks.conftest import record
from wealtharena.agents.engine import warm_up
from wealtharena.agents.policy import NetworkPolicy, load_policy
from wealtharena.config import compose
from wealtharena.data import load
from wealtharena.data.panel import Panel
from wealtharena.deployment.app import build
from wealtharena.errors import CheckpointError, ConfigError, TrainingError, WealthArenaError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.evaluation.since import outdated
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry import ModelCheckpoint, retrain, withdraw
from wealtharena.registry.history import Pointer, now, read_pointer
from wealtharena.tasks import dispatch, ensemble

pytestmark = pytest.mark.slow

Small = Callable[..., tuple[int, Path]]
DATA = ("data=ecb", "data.start=2016-01-01", "data.end=2022-12-30", "train.env_steps=1024", "train.evaluations=1")


@pytest.fixture
def members(finished: Callable[..., list[Path]]) -> list[str]:
    """Return two versions of one agent: two seeds, two kinds of network."""
    words = " ".join(DATA)
    return [str(record(f)["run_id"]) for f in finished(f"{words} seed=1 model=mlp", f"{words} seed=2 model=gru")]


def deploy(*versions: str) -> int:
    return dispatch(
        compose(
            ["task=deploy", "deploy.agents=[forex]", f"deploy.checkpoints=[{','.join(versions)}]", "tracking=quiet"]
        )
    )


def looks() -> list[dict[str, object]]:
    return [json.loads(line) for line in Path("results/ledger.jsonl").read_text().splitlines()]


def audit_lines(path: Path, *, least: int) -> list[dict[str, Any]]:
    """Return the lines of the service's audit log, which a thread of its own writes, once there are enough of them."""
    until = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < least:
        assert time.monotonic() < until, "the audit log was not written"
        time.sleep(0.05)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_several_checkpoints_are_deployed_as_one(
    small: Small, members: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(looks())
    places = f"{members[0]},checkpoints/currency_pairs/{members[1]}"
    code, folder = small("task=deploy", "deploy.agents=[forex]", f"deploy.checkpoints=[{places}]")
    assert code == 0
    run, store = record(folder), ModelCheckpoint("checkpoints")
    assert (run["status"], run["task"], run["members"]) == ("completed", "deploy", members)

    # a look at the test window of its own, and a verdict of its own
    added = looks()[before:]
    assert [line["kind"] for line in added] == ["open", "result"]
    assert {line["config_hash"] for line in added} == {run["config_hash"]}
    meta = store.load_checkpoint("forex", run["run_id"]).metadata
    assert (meta.members, meta.algo, meta.verdict.status) == (tuple(members), "ensemble of 2", run["verdict"]["status"])
    assert meta.config_hash not in {store.load_checkpoint("forex", version).metadata.config_hash for version in members}
    assert meta.verdict.status != "promotable"
    about = {"agent": meta.agent, "config_hash": meta.config_hash, "run_ids": [run["run_id"]]}
    assert outdated(meta.verdict.evidence, Ledger("results/ledger.jsonl"), **about) is None
    assert outdated({"trials": 0}, Ledger("results/ledger.jsonl"), **about) is not None
    assert run["audit"]["passed"] is True
    assert 0 < run["ensemble"]["mean_spread"] <= run["ensemble"]["max_spread"]
    pointer = read_pointer(store.root, "currency_pairs", "paper")
    assert pointer is not None
    assert pointer.version == run["run_id"]
    assert "Spread of the 2 members" in capsys.readouterr().out

    # what is served is the mean of what the members would answer, and says how far they are apart
    rng = np.random.default_rng(0)
    whole = ProductionModelManager("checkpoints").load_agent_model("forex").policy
    single = [store.load_checkpoint("forex", version).policy for version in members]
    rows = rng.standard_normal((300, *whole.feature_shape)).astype(np.float32)
    held = np.zeros((300, whole.feature_shape[0] + 3), np.float32)
    held[:, whole.feature_shape[0]] = 1.0  # all cash
    found, apart = whole.act(rows, held), np.stack([one.act(rows, held).weights for one in single])
    np.testing.assert_allclose(found.weights, apart.mean(axis=0), atol=1e-5)
    assert found.spread is not None
    np.testing.assert_allclose(found.spread, apart.std(axis=0).sum(axis=1), atol=1e-5)
    assert set(found.states) == {"m1_hidden"}

    service = Client(build(settings(tmp_path)), {})
    for row in range(2):
        answer = service.predict("forex", features=rows[row].tolist()).json()["predictions"][0]
        assert answer["spread"] == pytest.approx(float(found.spread[row]), abs=1e-5)
    lines = audit_lines(tmp_path / "audit.jsonl", least=2)
    assert lines[-1]["spread"] == pytest.approx(float(found.spread[1]), abs=1e-5)
    assert service.get("/agents/forex").json()["members"] == members

    member, saved = (
        load_policy(store.root / "currency_pairs" / members[0]),
        store.root / "currency_pairs" / meta.version,
    )
    assert isinstance(member, NetworkPolicy)
    with pytest.raises(TrainingError, match="an ensemble has one for each member"):
        warm_up(member.network, saved)

    # and it can be played again like any other version: by its graph, so that single precision rounds otherwise
    code, again = small("task=backtest", *DATA, f"backtest.checkpoints=[checkpoints/currency_pairs/{run['run_id']}]")
    assert code == 0
    assert record(again)["metrics"]["test"]["sharpe"] == pytest.approx(run["metrics"]["test"]["sharpe"], abs=1e-5)
    assert record(again)["ensemble"] == run["ensemble"]


def test_a_mean_of_retrainings_has_to_beat_what_they_were_to_replace(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    """Retrainings that beat nothing made a mean that nobody held against the version in production."""
    store = ModelCheckpoint("checkpoints")
    old = store.load_checkpoint("forex", record(small(*DATA)[1])["run_id"])
    version, manifest = old.metadata.version, old.files.manifest_sha256
    pointer = Pointer("currency_pairs", "production", version, manifest, "promotable", False, now())
    place(store.root, pointer)
    again = ("train.retrain=forex", "data.end=2023-12-29", "train.env_steps=1024", "train.evaluations=1")
    parts = [str(record(small(*again, f"seed={seed}")[1])["run_id"]) for seed in (1, 2)]
    for empty in (False, True):
        if empty:
            withdraw(store, "currency_pairs")
        code, folder = small("task=deploy", "deploy.agents=[forex]", f"deploy.checkpoints=[{','.join(parts)}]")
        assert code == 0
        run = record(folder)
        found = run["challenge"]
        assert (found["incumbent"], found["beats"], found["start"] > "2022-12-30") == (version, False, True)
        assert store.load_checkpoint("forex", run["run_id"]).metadata.challenge == found
        said = " ".join(capsys.readouterr().out.split())
        assert f"It does not beat the incumbent {version} on data that neither has seen" in said
        paper = read_pointer(store.root, "currency_pairs", "paper")
        assert paper is not None
        assert paper.version == run["run_id"]


def test_what_cannot_be_a_member_is_named(small: Small, members: list[str]) -> None:
    first = members[0]
    other = str(record(small(*DATA, "data.end=2021-12-30")[1])["run_id"])
    names = "features.names=[log_return_1,log_return_5,log_return_20,volatility_20]"
    seeing = str(record(small(*DATA, names)[1])["run_id"])
    cases = {
        "nothing": ("does not exist", 2),
        "etf/x": ("no checkpoint of currency_pairs", 2),
        other: ("was trained on other data than .*: end 2021-12-30 instead of 2022-12-30; bars", 1),
        seeing: ("sees other features than .*: volatility_ratio", 1),
    }
    for second, (said, code) in cases.items():
        with pytest.raises(WealthArenaError, match=said) as refused:
            deploy(first, second)
        assert refused.value.exit_code == code
    with pytest.raises(ConfigError, match=f"names {first} twice"):
        deploy(first, first)
    with pytest.raises(ConfigError, match="one agent"):
        dispatch(compose(["task=deploy", f"deploy.checkpoints=[{first},nothing]"]))
    assert len(ModelCheckpoint("checkpoints").list_checkpoints("forex")) == 4


@pytest.mark.parametrize(
    "changed", ["asset.costs.commission_bps=7.5", "asset.limits.max_weight=0.2", "env.fill=next_close"]
)
def test_members_that_traded_by_other_terms_are_refused(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one's costs would be everybody's, so that the order of the names would decide the verdict."""
    specs = [
        compose(["asset=forex", *more]) for more in ([], ["algo=ppo", "seed=3", "split.test_share=0.3"], [changed])
    ]
    members: list[Any] = [
        SimpleNamespace(spec=spec, metadata=SimpleNamespace(version=name, model_path=name))
        for spec, name in zip(specs, "abc", strict=True)
    ]
    monkeypatch.setattr(retrain, "trained_spec", lambda member: member.spec)
    panel = cast(Panel, SimpleNamespace(open=np.ones((9, 1))))
    ensemble._same_terms(members[:2], panel)
    name = changed.partition("=")[0].replace(".", r"\.")
    with pytest.raises(CheckpointError, match=f"^c was trained with another {name} than a"):
        ensemble._same_terms(members, panel)


def test_a_fill_by_name_and_one_by_what_auto_stands_for_are_the_same_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of one fill were refused as unlike."""
    specs = [compose(["asset=forex", f"env.fill={fill}"]) for fill in ("auto", "next_close", "next_open")]
    members: list[Any] = [
        SimpleNamespace(spec=spec, metadata=SimpleNamespace(version=name, model_path=name))
        for spec, name in zip(specs, "abc", strict=True)
    ]
    monkeypatch.setattr(retrain, "trained_spec", lambda member: member.spec)
    with_opens, without = (cast(Panel, SimpleNamespace(open=open_)) for open_ in (np.ones((9, 1)), None))
    ensemble._same_terms([members[0], members[2]], with_opens)
    ensemble._same_terms(members[:2], without)
    with pytest.raises(CheckpointError, match=r"^b was trained with another env\.fill than a"):
        ensemble._same_terms(members[:2], with_opens)


def test_data_that_changed_since_the_training_are_refused(small: Small, tmp_path: Path) -> None:
    spec = compose([*DATA, "asset=forex"])
    made = load(spec.asset, spec.data, seed=0)
    bars = pd.concat(
        pd.DataFrame({"timestamp": made.timestamps, "symbol": symbol, "close": made.close[:, column]})
        for column, symbol in enumerate(made.symbols)
    )
    bars.to_parquet(tmp_path / "bars.parquet")
    kept = [item for item in DATA if not item.startswith("data=")]
    runs = [small(*kept, "data=files", "data.path=bars.parquet", f"seed={seed}") for seed in (1, 2)]
    bars.assign(close=bars["close"] * 1.0001).to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(CheckpointError, match="than files gives now"):
        deploy(*(record(folder)["run_id"] for _, folder in runs))
    assert len(ModelCheckpoint("checkpoints").list_checkpoints("forex")) == 2
