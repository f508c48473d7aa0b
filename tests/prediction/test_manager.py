from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.forks import Fork
from tests.registry.shelf import AGENT, FEATURES, SPLIT, save, stocked
from tests.registry.trained import put_on_paper, world
from wealtharena.config import plugins
from wealtharena.errors import CheckpointError
from wealtharena.prediction.answers import Prediction
from wealtharena.prediction.inputs import InputError, Portfolio
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry import ModelCheckpoint, promote, rollback, withdraw
from wealtharena.registry.mending import mend

ZEROS = np.zeros((3, 2, 2), dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> ModelCheckpoint:
    return stocked(tmp_path)


@pytest.fixture
def manager(store: ModelCheckpoint) -> ProductionModelManager:
    return ProductionModelManager(store.root)


def test_a_version_whose_anchor_s_package_is_not_installed_is_not_taken_up(store: ModelCheckpoint) -> None:
    save(store, "v2", verdict="promotable", recipe={"tilt": {"anchor": {"name": "elsewhere"}}})
    promote(store, AGENT, "v2")
    manager = ProductionModelManager(store.root)
    manager.refresh()
    assert "'elsewhere', which is not here; install the package" in manager.problems[AGENT]
    assert manager.serving(AGENT) is None


def test_a_version_whose_anchor_s_package_was_edited_is_not_taken_up(
    store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leant from another portfolio than the one that was judged, and nobody was told."""
    monkeypatch.setattr(plugins, "names_offered", lambda room: ("strange",))
    monkeypatch.setattr(plugins, "source_of", lambda room, name: "as it is")
    for version, code in (("v2", "as it was"), ("v3", "as it is"), ("v4", None)):
        save(
            store, version, verdict="promotable", recipe={"tilt": {"anchor": {"name": "strange"}}, "anchor_code": code}
        )
        promote(store, AGENT, version)
        manager = ProductionModelManager(store.root)
        manager.refresh()
        told = "the package of the anchor 'strange', which it leans from, was edited"
        assert told in manager.problems[AGENT] if code == "as it was" else manager.serving(AGENT) is not None


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


@pytest.mark.parametrize(
    ("portfolio", "told"),
    [
        (Portfolio({"BTC-USD": 0.5}, cash=9.0), ["add up to 9.5 of equity, not to 1"]),
        (Portfolio({"BTC-USD": 0.5, "ETH-USD": -0.3}, leverage=0.5), ["leverage is 0.5, less than 0.8"]),
        (Portfolio({"BTC-USD": 0.5}, cash=0.2, leverage=0.1), ["add up to 0.7", "leverage is 0.1"]),
        (Portfolio({"BTC-USD": 0.5}, cash=0.505, leverage=0.497), []),
        (Portfolio({"BTC-USD": 1.5, "ETH-USD": -0.5}, cash=0.0, leverage=2.0), []),
        (Portfolio({"BTC-USD": 0.5}, cash=0.5, leverage=0.9), []),  # gross of more than the agent's symbols
        (Portfolio({"BTC-USD": 0.5}), []),
        ({"BTC-USD": 0.5}, []),
        (pd.Series({"BTC-USD": 0.5}), []),
        ({"BTC-USD": Decimal("0.5")}, []),
    ],
)
def test_a_portfolio_whose_parts_contradict_is_named_in_the_notes(
    manager: ProductionModelManager, portfolio: Portfolio | dict[str, float], told: list[str]
) -> None:
    answer = manager.get_model_prediction("crypto", ZEROS, portfolio=portfolio)
    assert isinstance(answer, Prediction)
    assert len(answer.notes) == len(told)
    for note, words in zip(answer.notes, told, strict=True):
        assert words in note


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
        (ZEROS, {"BTC-USD": "a half"}, "portfolio.weights.BTC-USD"),
        (ZEROS, {"BTC-USD": True}, "portfolio.weights.BTC-USD"),
        (ZEROS, Portfolio({}, cash=np.True_), "portfolio.cash"),
        (ZEROS, np.zeros(6, dtype=bool), "portfolio"),
        (ZEROS.astype(bool), None, "observation"),
        (ZEROS, [True, 0.0, 0.0, 0.0, 0.0, 1.0], "portfolio"),
        (ZEROS.astype(complex), None, "observation"),
        (ZEROS.astype("M8[D]"), None, "observation"),
        (torch.zeros(ZEROS.shape, requires_grad=True), None, "observation"),
        ([[[0.0, 0.0], [0.0, True]]] * 3, None, "observation"),
        (np.full(ZEROS.shape, True, dtype=object), None, "observation"),
        (ZEROS, Portfolio({}, cash="all"), "portfolio.cash"),
        (ZEROS, Portfolio({}, cash=10**400), "portfolio.cash"),
        (ZEROS, {"BTC-USD": 10**400}, "portfolio.weights.BTC-USD"),
        (np.full(ZEROS.shape, 10**400, dtype=object), None, "observation"),
        ("bars.csv", None, "observation"),
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


@pytest.mark.parametrize("rows", [ZEROS, np.stack([ZEROS, ZEROS])])
@pytest.mark.parametrize("state", [np.zeros(4), [0.0, 1.0], 0.5])
def test_what_is_no_whole_state_is_refused(manager: ProductionModelManager, rows: object, state: object) -> None:
    with pytest.raises(InputError, match=rf"state: is a {type(state).__name__}; hand back the whole `state`"):
        manager.get_model_prediction("crypto", rows, state=state)


@pytest.mark.parametrize("agent", [["crypto"], {"crypto"}, {}, None])
def test_what_is_no_name_of_an_agent_is_refused(manager: ProductionModelManager, agent: object) -> None:
    with pytest.raises(CheckpointError, match="is unknown; agents: "):
        manager.get_model_prediction(agent, ZEROS)


@pytest.mark.slow
def test_promotions_and_rollbacks_are_taken_up(store: ModelCheckpoint, manager: ProductionModelManager) -> None:
    manager.load_agent_model("crypto")
    save(store, "v2", verdict="promotable", weights=(0.0, 0.0, 0.9))
    promote(store, AGENT, "v2")
    assert AGENT in manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v2"
    assert manager.refresh() == []
    rollback(store, AGENT)
    manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"
    withdraw(store, AGENT)
    manager.refresh()
    with pytest.raises(CheckpointError, match="nothing in production or on paper"):
        manager.get_model_prediction("crypto", ZEROS)


def test_who_shows_what_is_loaded_is_told_of_the_other_stage_too(
    store: ModelCheckpoint, manager: ProductionModelManager
) -> None:
    """A page that is made once for what is loaded named what stood on paper before, until production changed."""
    manager.refresh()
    shown, answers = manager.loaded, manager.serving(AGENT)
    save(store, "v2")
    assert manager.refresh() == []
    assert manager.loaded is not shown
    shown = manager.loaded
    promote(store, AGENT, "v2", stage="paper")
    assert manager.refresh() == [AGENT]
    assert manager.loaded is not shown
    assert manager.serving(AGENT) is answers


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
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"
    assert name in manager.problems[AGENT]
    rollback(store, AGENT)
    manager.refresh()
    assert manager.problems == {}


def test_agents_stay_where_the_working_folder_changes(store: ModelCheckpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.root.parent)
    manager = ProductionModelManager(store.root.name)
    manager.refresh()
    served = set(manager.loaded)
    monkeypatch.chdir("/")
    manager.refresh()
    assert AGENT in served
    assert set(manager.loaded) == served
    manager.unload("crypto")
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"


def test_a_manager_is_not_sent_to_another_process(manager: ProductionModelManager) -> None:
    for send in (pickle.dumps, copy.deepcopy):
        with pytest.raises(CheckpointError, match="make one there"):
            send(manager)
        with pytest.raises(CheckpointError, match="load it there"):
            send(manager.load_agent_model("crypto"))


def test_a_damaged_pointer_leaves_the_old_version_answering(
    store: ModelCheckpoint, manager: ProductionModelManager
) -> None:
    manager.refresh()
    (store.root / AGENT / "production.json").write_text("{")
    manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"
    assert "production.json" in manager.problems[AGENT]


@pytest.mark.parametrize("text", ["{", None])
def test_a_damaged_record_behind_the_version_that_answers_is_a_problem(
    store: ModelCheckpoint, manager: ProductionModelManager, text: str | None
) -> None:
    """Nobody was told until production was withdrawn, and then nothing could be taken up."""
    save(store, "v2")
    promote(store, AGENT, "v2", stage="paper")
    manager.refresh()
    record = store.root / AGENT / "paper.json"
    record.unlink() if text is None else record.write_text(text)
    assert manager.refresh() == [AGENT]
    assert "paper.json" in manager.problems[AGENT]
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"
    assert manager.refresh() == []
    manager.load_agent_model("crypto")
    assert "paper.json" in manager.problems[AGENT]
    manager.load_agent_model("crypto", stage="production")  # who asks for a stage hears of that one
    assert manager.problems == {}
    manager.load_agent_model("crypto")
    mend(store, AGENT)
    assert manager.refresh() == [AGENT]
    assert manager.problems == {}


def test_a_version_changed_after_its_promotion_is_refused(store: ModelCheckpoint) -> None:
    other = ModelCheckpoint(store.root.parent / "other")
    save(other, "v1", verdict="promotable", weights=(0.9, 0.0, 0.0))
    folder = store.root / AGENT / "v1"
    for path in (other.root / AGENT / "v1").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CheckpointError, match=r"manifest\.json: is not the one that was saved"):
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


def test_a_large_batch_is_the_same_as_its_rows(manager: ProductionModelManager) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1025, 3, 2, 2)).astype(np.float32)
    together = manager.get_model_prediction("crypto", features)
    assert isinstance(together, list)
    assert len(together) == 1025
    for row in (0, 1, 512, 1024):
        alone = manager.get_model_prediction("crypto", features[row])
        np.testing.assert_allclose(together[row].weights, alone.weights, atol=1e-6)


def test_a_fork_answers_a_large_batch_after_its_parent_has(manager: ProductionModelManager) -> None:
    many = np.zeros((300, 3, 2, 2), dtype=np.float32)
    manager.get_model_prediction("crypto", many)  # by threads, of which a fork has none
    child = Fork(target=manager.get_model_prediction, args=("crypto", many))
    child.start()
    child.join(timeout=60)
    ended = child.exitcode
    child.kill()
    child.join(timeout=10)
    assert ended == 0


@pytest.mark.slow
def test_a_state_is_taken_row_by_row_in_its_shape_or_flat(tmp_path: Path) -> None:
    manager = put_on_paper(tmp_path / "checkpoints", world("forex", "gru", window=1))
    served = manager.load_agent_model("forex")
    probe = served.policy.probe
    name, carried = next(iter(probe.states.items()))
    together = manager.get_model_prediction("forex", probe.features, portfolio=probe.portfolio, state=probe.states)
    assert isinstance(together, list)
    for row in (0, len(probe) - 1):
        for shaped in (carried[row], carried[row].ravel(), carried[row : row + 1]):
            held = probe.portfolio[row]
            alone = manager.get_model_prediction("forex", probe.features[row], portfolio=held, state={name: shaped})
            assert isinstance(alone, Prediction)
            np.testing.assert_allclose(alone.weights, together[row].weights, atol=1e-6)
            np.testing.assert_allclose(alone.weights, probe.weights[row], atol=1e-5)
    with pytest.raises(InputError, match=rf"state\.{name}: is not one of each of"):
        manager.get_model_prediction("forex", probe.features, state={name: carried[:-1]})
    with pytest.raises(InputError, match=rf"state\.{name}: has 2 numbers, expected"):
        manager.get_model_prediction("forex", probe.features[0], state={name: [0.0, 0.0]})
    with pytest.raises(InputError, match=rf"state\.{name}: holds a number beyond 1e30"):
        manager.get_model_prediction("forex", probe.features[0], state={name: np.full_like(carried[0], 1e31)})


def _without_version(root: Path) -> None:
    (root / AGENT / "v1").rename(root / "away")


def _without_a_file(root: Path) -> None:
    (root / AGENT / "v1" / "weights.pt").rename(root / "away")


def _with_a_changed_line(root: Path) -> None:
    path = root / "registry.jsonl"
    path.write_text(path.read_text().replace("promotable", "unproven", 1))


@pytest.mark.parametrize("damage", [_without_version, _without_a_file, _with_a_changed_line])
def test_what_answers_and_could_not_be_loaded_again_is_told_until_it_is_mended(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """It answered from memory and said that nothing was wrong, until the next start found nothing to load."""
    store = stocked(tmp_path)
    manager = ProductionModelManager(store.root)
    manager.refresh()
    whole = (store.root / "registry.jsonl").read_bytes()
    damage(store.root)
    assert AGENT in manager.refresh()
    assert manager.get_model_prediction("crypto", ZEROS).version == "v1"
    row = next(row for row in manager.list_agents() if row["agent"] == AGENT)
    assert row["serving"] is not None
    assert row["problem"] == manager.problems[AGENT] != ""
    assert manager.refresh() == []
    (store.root / "registry.jsonl").write_bytes(whole)
    if (store.root / "away").exists():
        (store.root / "away").rename(store.root / AGENT / "v1" / ("" if damage is _without_version else "weights.pt"))
    manager.refresh()
    assert manager.problems == {}
    save(store, "v2")
    assert manager.refresh() == []
