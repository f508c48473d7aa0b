from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deployment.rooms import REPOSITORY, stocked
from tests.registry.shelf import AGENT, FEATURES, SPLIT, SYMBOLS, save
from wealtharena.deployment.bars import observe
from wealtharena.deployment.inputs import InputError, Portfolio
from wealtharena.deployment.manager import ProductionModelManager
from wealtharena.deployment.prediction import Prediction
from wealtharena.errors import CheckpointError
from wealtharena.registry import ModelCheckpoint, promote, rollback, withdraw

ZEROS = np.zeros((3, 2, 2), dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return stocked(tmp_path)


@pytest.fixture
def manager(store: ModelCheckpoint) -> ProductionModelManager:
    return ProductionModelManager(store.root)


def test_an_answer_is_weights_by_symbol_with_its_origin(manager: ProductionModelManager) -> None:
    answer = manager.get_model_prediction("asset=crypto", ZEROS)
    assert isinstance(answer, Prediction)
    assert dict(answer) == pytest.approx({"BTC-USD": 0.5, "ETH-USD": 0.2, "SOL-USD": 0.1})
    assert (answer.agent, answer.version, answer.stage, answer.verdict) == (AGENT, "v1", "production", "promotable")
    assert answer.flat_portfolio_assumed
    assert not answer.simulated
    assert answer.cash == pytest.approx(0.2)


def test_a_paper_agent_on_simulated_data_says_so(manager: ProductionModelManager) -> None:
    answer = manager.get_model_prediction("etf", ZEROS, portfolio={"BTC-USD": 0.5})
    assert isinstance(answer, Prediction)
    assert (answer.stage, answer.simulated, answer.flat_portfolio_assumed) == ("paper", True, False)


def test_a_batch_gets_an_answer_each(manager: ProductionModelManager) -> None:
    features = np.zeros((4, 3, 2, 2), dtype=np.float32)
    features[:, 0, -1, 0] = [0, 1, 2, 3]
    answers = manager.get_model_prediction("crypto", features)
    assert isinstance(answers, list)
    assert [answer["BTC-USD"] for answer in answers] == pytest.approx([0.5, 0.55, 0.6, 0.65])


def test_the_environments_own_observation_is_taken(manager: ProductionModelManager) -> None:
    flat = np.zeros(SPLIT + 6, dtype=np.float32)
    flat[2] = 1.0  # newest bar, first feature of the first symbol
    answer = manager.get_model_prediction("crypto", flat)
    assert isinstance(answer, Prediction)
    assert answer["BTC-USD"] == pytest.approx(0.55)
    assert not answer.flat_portfolio_assumed
    with pytest.raises(InputError, match="portfolio: is part of"):
        manager.get_model_prediction("crypto", flat, portfolio={})


@pytest.mark.parametrize(
    ("observation", "portfolio", "field"),
    [
        (np.zeros((3, 2, 3)), None, "observation"),
        (np.full((3, 2, 2), np.inf), None, "observation"),
        (np.zeros((0, 3, 2, 2)), None, "observation"),
        (np.zeros(5), None, "observation"),
        (ZEROS, {"DOGE-USD": 0.1}, "portfolio.weights.DOGE-USD"),
        (ZEROS, {"BTC-USD": float("nan")}, "portfolio.weights.BTC-USD"),
        (ZEROS, Portfolio({}, drawdown=0.2), "portfolio.drawdown"),
        (ZEROS, Portfolio({}, leverage=-1.0), "portfolio.leverage"),
        (ZEROS, np.zeros(5), "portfolio"),
        (ZEROS, np.full(6, np.nan), "portfolio"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(
    manager: ProductionModelManager, observation: np.ndarray, portfolio: object, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        manager.get_model_prediction("crypto", observation, portfolio=portfolio)
    assert caught.value.field == field


def test_a_state_that_the_agent_does_not_carry_is_refused(manager: ProductionModelManager) -> None:
    with pytest.raises(InputError, match=r"state\.hidden: unknown state"):
        manager.get_model_prediction("crypto", ZEROS, state={"hidden": [0.0]})


def frame(bars: int = 40, symbols: tuple[str, ...] = SYMBOLS, end: str = "2026-03-01") -> pd.DataFrame:
    rng = np.random.default_rng(1)
    days = pd.date_range(end=end, periods=bars, tz="UTC")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (bars, len(symbols))), axis=0))
    parts = [pd.DataFrame({"timestamp": days, "symbol": name, "close": close[:, i]}) for i, name in enumerate(symbols)]
    return pd.concat(parts, ignore_index=True)


def test_bars_become_the_newest_features(manager: ProductionModelManager) -> None:
    bars = frame()
    answer = manager.get_model_prediction("crypto", bars)
    assert isinstance(answer, Prediction)
    last = np.log(bars[bars.symbol == "ETH-USD"].close.to_numpy())
    assert answer["ETH-USD"] == pytest.approx(0.2 + 0.05 * (last[-1] - last[-2]), abs=1e-6)
    assert answer.as_of == "2026-03-01T00:00:00"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda f: f.drop(columns="close"), "bars.close"),
        (lambda f: f.assign(timestamp="yesterday-ish"), "bars.timestamp"),
        (lambda f: f.assign(close="dear"), "bars.close"),
        (lambda f: f.assign(close=np.inf), "bars.close"),
        (lambda f: f[f.symbol != "SOL-USD"], "bars.SOL-USD"),
        (lambda f: pd.concat([f, f.assign(symbol="DOGE")]), "bars.DOGE"),
        (lambda f: pd.concat([f, f.iloc[[3]]]), "bars.BTC-USD"),
        (lambda f: f.groupby("symbol").tail(29), "bars.BTC-USD"),
        (lambda f: f.assign(close=f.close.where(f.symbol != "ETH-USD", -1.0)), "bars.ETH-USD"),
    ],
)
def test_bars_that_cannot_be_used_are_refused_by_their_name(
    manager: ProductionModelManager, change: object, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        manager.get_model_prediction("crypto", change(frame()))  # type: ignore[operator]
    assert caught.value.field == field


def test_stale_bars_are_refused_where_a_limit_is_given(manager: ProductionModelManager) -> None:
    meta = manager.load_agent_model("crypto").metadata
    meta = meta.model_copy(
        update={"recipe": meta.recipe.model_copy(update={"asset": {"universe": {"calendar": "24/7"}}})}
    )
    now = pd.Timestamp("2026-03-04T12:00", tz="UTC").to_pydatetime()
    observe(meta, frame(), max_stale_bars=3, now=now)
    with pytest.raises(InputError, match=r"bars\.BTC-USD: is stale: its last bar is of 2026-03-01"):
        observe(meta, frame(), max_stale_bars=2, now=now)
    with pytest.raises(InputError, match="lies in the future"):
        observe(meta, frame(end="2026-03-06"), max_stale_bars=3, now=now)


def test_weekends_make_no_stale_bars_where_nothing_trades(manager: ProductionModelManager) -> None:
    meta = manager.load_agent_model("crypto").metadata
    monday = pd.Timestamp("2026-03-02T08:00", tz="UTC").to_pydatetime()
    observe(meta, frame(end="2026-02-27"), max_stale_bars=1, now=monday)  # the last bar is Friday's


def test_promotions_and_rollbacks_are_taken_up(store: ModelCheckpoint, manager: ProductionModelManager) -> None:
    manager.load_agent_model("crypto")
    save(store, "v2", verdict="promotable", weights=(0.0, 0.0, 0.9))
    promote(store, AGENT, "v2")
    assert AGENT in manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v2"  # type: ignore[union-attr]
    assert manager.refresh() == []
    rollback(store, AGENT)
    manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"  # type: ignore[union-attr]
    withdraw(store, AGENT)
    manager.refresh()
    with pytest.raises(CheckpointError, match="nothing in production or on paper"):
        manager.get_model_prediction("crypto", ZEROS)


@pytest.mark.parametrize(
    "name", ["policy.onnx", "weights.pt", "metadata.json", "manifest.json", "scaler.json", "config.yaml", "probe.npz"]
)
def test_a_corrupted_promotion_leaves_the_old_version_answering(
    store: ModelCheckpoint, manager: ProductionModelManager, name: str
) -> None:
    manager.refresh()
    folder = save(store, "v2", verdict="promotable", weights=(0.0, 0.0, 0.9))
    promote(store, AGENT, "v2")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"  # type: ignore[union-attr]
    assert name in manager.problems[AGENT]
    rollback(store, AGENT)
    manager.refresh()
    assert manager.problems == {}


def test_a_damaged_pointer_leaves_the_old_version_answering(
    store: ModelCheckpoint, manager: ProductionModelManager
) -> None:
    manager.refresh()
    (store.root / AGENT / "production.json").write_text("{")
    manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"  # type: ignore[union-attr]
    assert "production.json" in manager.problems[AGENT]


def test_a_version_changed_after_its_promotion_is_refused(store: ModelCheckpoint) -> None:
    other = ModelCheckpoint(store.root.parent / "other")
    save(other, "v1", verdict="promotable", weights=(0.9, 0.0, 0.0))
    folder = store.root / AGENT / "v1"
    for path in (other.root / AGENT / "v1").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CheckpointError, match=r"manifest\.json: is not the one that was promoted"):
        ProductionModelManager(store.root).load_agent_model("crypto")


def test_unload_forgets_and_the_list_shows_all_agents(manager: ProductionModelManager) -> None:
    manager.refresh()
    rows = {row["agent"]: row for row in manager.list_agents()}
    assert set(rows) == {"asx_stocks", "currency_pairs", "cryptocurrencies", "etf", "commodities"}
    assert rows[AGENT]["production"] == "v1"
    assert rows["commodities"]["serving"] is None
    manager.unload("crypto")
    assert manager.serving(AGENT) is None


def test_why_an_agent_holds_what_it_holds_is_measured(manager: ProductionModelManager) -> None:
    served = manager.load_agent_model("crypto")
    now = served.policy.probe.features[-1, :, -1, :]
    for asset, holding in enumerate(served.explanation.holdings):
        strongest = holding.signals[0]
        assert strongest.feature == FEATURES[0]
        assert strongest.effect == pytest.approx(0.05 * now[asset, 0], abs=1e-6)
        assert holding.signals[1].effect == pytest.approx(0.0, abs=1e-7)


def test_serving_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    stocked(tmp_path)
    code = (
        "import sys, numpy as np\n"
        "from wealtharena.deployment.app import build\n"
        "from wealtharena.deployment import server\n"
        "import wealtharena.tasks.serve, wealtharena.features.computing\n"
        "from wealtharena.deployment.manager import ProductionModelManager\n"
        "manager = ProductionModelManager(sys.argv[1])\n"
        "manager.get_model_prediction('crypto', np.zeros((3, 2, 2)))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'ray', 'wandb', 'onnx', 'onnxscript', 'numba'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "checkpoints")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_large_batch_is_the_same_as_its_rows(manager: ProductionModelManager) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1025, 3, 2, 2)).astype(np.float32)
    together = manager.get_model_prediction("crypto", features)
    assert isinstance(together, list)
    assert len(together) == 1025
    for row in (0, 1, 512, 1024):
        alone = manager.get_model_prediction("crypto", features[row])
        np.testing.assert_allclose(together[row].weights, alone.weights, atol=1e-6)  # type: ignore[union-attr]


def test_the_container_holds_all_that_serving_imports(tmp_path: Path) -> None:
    """The Dockerfile installs `[dependency-groups] serve`; with everything else out of reach, bars are answered."""
    stocked(tmp_path)
    owners = metadata.packages_distributions()
    held = serving_distributions() | {"wealtharena"}
    absent = [module for module, names in owners.items() if not held & {canonicalize_name(name) for name in names}]
    code = (
        "import json, sys\n"
        "class Absent:\n"
        "    names = frozenset(json.loads(sys.argv[2]))\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in self.names:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import numpy as np, pandas as pd, uvicorn\n"
        "import wealtharena.cli, wealtharena.tasks.serve\n"
        "from wealtharena.config import compose\n"
        "from wealtharena.deployment import app, server\n"
        "from wealtharena.deployment.manager import ProductionModelManager\n"
        "compose(['task=serve'])\n"
        "days = pd.date_range('2026-01-01', periods=40, tz='UTC')\n"
        "bars = pd.concat([pd.DataFrame({'timestamp': days, 'symbol': s, 'close': 1.0 + np.arange(40)}) "
        "for s in ('BTC-USD', 'ETH-USD', 'SOL-USD')])\n"
        "print(ProductionModelManager(sys.argv[1]).get_model_prediction('crypto', bars).version)"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "checkpoints"), json.dumps(absent)]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "v1", done.stderr
    assert {"torch", "ray", "wandb", "numba", "scipy"} <= set(absent)


def serving_distributions() -> set[str]:
    """Return the distributions that the group `serve` brings along."""
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    wanted = [Requirement(text) for text in groups["serve"]]
    known: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in known:
            continue
        known.add(name)
        for needed in map(Requirement, metadata.requires(name) or ()):
            asked = ("", *requirement.extras)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in asked):
                wanted.append(needed)
    return known
