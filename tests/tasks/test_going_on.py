"""Which run goes on in a folder: the one that was begun there, with its state, on its bars, and with one look."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.tasks.conftest import SMALL, UNPUBLISHED, record
from wealtharena import files
from wealtharena.config import compose
from wealtharena.config.machine import no_room
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.tasks import continuing, dispatch, judging, resuming, train
from wealtharena.tasks.record import RunContext
from wealtharena.tracking import journal

pytestmark = pytest.mark.slow

LEDGER, RUN = Path("results/ledger.jsonl"), Path("run")
SHORT = (*SMALL, UNPUBLISHED, "train.env_steps=1024", "train.evaluations=1", "evaluation.baselines=[buy_and_hold,cash]")
FILES = ("asset=etf", "data=files", "data.path=bars", "universe.max_symbols=null", "data.max_missing_share=1")


def go_on(folder: Path, *overrides: str, begun: tuple[str, ...] = SHORT, resumed: bool = True) -> int:
    typed = (*begun, *overrides)
    return train.run_in(RunContext(folder.resolve(), typed, resumed=resumed), compose(typed))


def openings() -> int:
    return sum(entry["kind"] == "open" for entry in Ledger(LEDGER).entries())


def standing(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.name != ".lock"}


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def bars(folder: Path, *, seed: int = 0) -> None:
    folder.mkdir()
    days = pd.date_range("2020-01-01", periods=700, freq="B")
    for number, symbol in enumerate(("IWM", "QQQ", "SPY")):
        steps = np.random.default_rng([seed, number]).normal(0.0002, 0.01, len(days))
        table = pd.DataFrame({"date": days, "close": 100 * np.exp(np.cumsum(steps))})
        table.to_csv(folder / f"{symbol}.csv", index=False)


@pytest.fixture(scope="module")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """Return a function that gives a folder in which a run was killed between its training and its opening, each once."""
    places: dict[tuple[str, ...], Path] = {}

    def make(more: tuple[str, ...]) -> Path:
        if more not in places:
            place = places[more] = tmp_path_factory.mktemp("trained")
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(place)
                patch.setattr(judging, "judge", killed)
                bars(place / "bars")
                with pytest.raises(KeyboardInterrupt):
                    go_on(RUN, begun=(*SHORT, *more), resumed=False)
        return places[more]

    return make


@pytest.fixture
def trained(
    _trained: Callable[[tuple[str, ...]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    def take(*more: str) -> None:
        shutil.copytree(_trained(more), tmp_path, dirs_exist_ok=True)

    monkeypatch.chdir(tmp_path)
    return take


def test_a_copy_of_a_run_that_came_to_its_end_is_refused_before_its_first_step(trained: Callable[..., None]) -> None:
    trained()
    copy = shutil.copytree(RUN, Path("copy"))
    assert go_on(RUN) == 0
    before = standing(Path())
    with pytest.raises(
        ConfigError, match=r"copy is a copy of the run .*, which has come to its test window since: res"
    ):
        go_on(copy)
    assert standing(Path()) == before
    assert openings() == 1


@pytest.mark.parametrize(
    ("left", "said"), [(True, "step 1,024 of 1,024"), (False, "its begin: no state had been saved")]
)
def test_from_which_step_a_run_goes_on_is_said(
    trained: Callable[..., None], capsys: pytest.CaptureFixture[str], left: bool, said: str
) -> None:
    trained()
    if not left:
        shutil.rmtree(RUN / "trainer")
        content = {key: value for key, value in record(RUN).items() if key != "training"}
        (RUN / "run.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert go_on(RUN) == 0
    assert f"Goes on from {said}\n" in capsys.readouterr().out


def test_a_copy_is_known_by_the_registry_where_the_ledger_is_another(trained: Callable[..., None]) -> None:
    trained()
    run_id = record(RUN)["run_id"]
    Path("checkpoints/currency_pairs", run_id).mkdir(parents=True)
    with pytest.raises(ConfigError, match=f"its test window since: checkpoints/currency_pairs/{run_id}; go on with"):
        go_on(RUN)
    assert openings() == 0


def test_of_two_copies_at_work_at_once_one_opens_the_window(
    trained: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained()
    copy = shutil.copytree(RUN, Path("copy"))
    assert go_on(RUN) == 0
    with monkeypatch.context() as patch:
        patch.setattr(resuming, "check", lambda *_: None)  # as when it was begun before the other had ended
        with pytest.raises(ConfigError, match="is a copy of the run"):
            go_on(copy)
    assert openings() == 1
    assert "opened" not in record(copy)


def test_a_moved_folder_goes_on(trained: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    trained()
    with monkeypatch.context() as patch:
        patch.setattr(judging, "write_down", killed)
        with pytest.raises(KeyboardInterrupt):
            go_on(RUN)
    assert openings() == 1
    with files.atomic_path(RUN / "trainer" / "state.pt") as left:  # by a kill
        left.hardlink_to(RUN / "trainer" / "state.pt")
        left.with_name(f"{left.name[:-12]}00000000.tmp").write_bytes(b"half")
    assert go_on(RUN.rename("moved")) == 0
    assert openings() == 1
    assert not list(Path("moved").rglob(".*.tmp"))
    assert not any("looked at this test window" in note for note in record(Path("moved"))["notes"]), "its own look"
    assert record(Path("moved"))["status"] == "completed"


def test_a_run_killed_after_its_opening_gets_no_other_budget_before_its_end(
    trained: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would train another policy under the same name, and look a second time."""
    trained()
    with monkeypatch.context() as patch:
        patch.setattr(judging, "write_down", killed)
        with pytest.raises(KeyboardInterrupt):
            go_on(RUN)
    with pytest.raises(ConfigError, match="has opened its test window for the configuration"):
        go_on(RUN, "train.env_steps=2048")
    assert go_on(RUN) == 0
    assert openings() == 1


@pytest.mark.parametrize("more", ["train.env_steps=2048", "train.patience=5"])
def test_a_run_that_goes_on_with_another_budget_is_no_seed_of_those_that_had_it_at_once(
    trained: Callable[..., None], more: str
) -> None:
    """It had learned by other rates, and the ledger had two policies of one seed under one name."""
    trained()
    before = record(RUN)["config_hash"]
    assert go_on(RUN, more, "train.test=false") == 0
    assert go_on(RUN, more, "train.test=false") == 0
    assert go_on(Path("fresh"), more, "train.test=false", resumed=False) == 0
    other, fresh = record(RUN), record(Path("fresh"))
    assert other["begun_with"] == "train.env_steps=1024 train.patience=None"
    assert "begun_with" not in fresh
    assert len({before, other["config_hash"], fresh["config_hash"]}) == 3


def test_a_run_whose_state_is_gone_is_not_begun_at_nothing(trained: Callable[..., None]) -> None:
    trained()
    shutil.rmtree(RUN / "trainer")
    before = standing(Path())
    with pytest.raises(ConfigError, match=r"run: the state that training goes on from is gone: trainer/state\.pt"):
        go_on(RUN)
    assert standing(Path()) == before
    folds = {"training": {"env_steps": 8}, "folds": [{"index": 0}, {"index": 1}]}
    with pytest.raises(ConfigError, match=r"is gone: folds/0/trainer/state\.pt"):
        resuming.require_state(RUN, folds)


def _without_state(run: Path) -> None:
    shutil.rmtree(run / "trainer")


def _garbage(run: Path) -> None:
    (run / "trainer/state.pt").write_bytes(b"garbage")


def _with_other_bars(run: Path) -> None:
    shutil.rmtree("bars")
    bars(Path("bars"), seed=1)


def _without_id(run: Path) -> None:
    (run / "run.json").write_text('{"status":"completed","task":"train","training":{"env_steps":1024}}')


def _without_training(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({key: value for key, value in record(run).items() if key != "training"}))


@pytest.mark.parametrize(
    ("harm", "more", "told"),
    [
        (_without_state, (), r"run: the state that training goes on from is gone: trainer/state\.pt"),
        (_garbage, (), r"run/trainer/state\.pt: cannot be read"),
        (_with_other_bars, FILES, r"run was begun on other bars: the same dates, with other prices"),
        (lambda _: None, ("seed=1", *FILES), r"run was trained as another job: seed was 0, is 1"),
        (_without_id, (), r"run/run\.json is damaged: it has no run_id"),
        (_without_training, (), r"run: its run\.json has lost how many steps were trained"),
    ],
)
def test_a_larger_budget_that_is_refused_leaves_no_folder(
    trained: Callable[..., None], harm: Callable[[Path], None], more: tuple[str, ...], told: str
) -> None:
    typed = FILES if more else ()
    trained(*typed)
    assert go_on(RUN, begun=(*SHORT, *typed)) == 0
    harm(RUN)
    before = sorted(path.name for path in Path().iterdir())
    with pytest.raises(WealthArenaError, match=told):
        dispatch(compose([*SHORT, *typed, *more, "train.env_steps=2048", f"resume={RUN}"]))
    assert sorted(path.name for path in Path().iterdir()) == before


def test_a_longer_run_that_was_interrupted_still_names_its_parent(
    trained: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained()
    assert go_on(RUN) == 0
    with monkeypatch.context() as patch:
        patch.setattr(train, "train_folds", killed)
        with pytest.raises(KeyboardInterrupt):
            dispatch(compose([*SHORT, "train.env_steps=2048", f"resume={RUN}"]))
    (new,) = (path.parent for path in Path().glob("*/run.json") if path.parent != RUN)
    begun = record(new)
    assert go_on(new, "train.env_steps=2048", "train.test=false") == 0
    assert record(new)["parent"] == begun["parent"] == record(RUN)["run_id"]
    assert record(new)["run_id"] == begun["run_id"]


def test_a_run_that_goes_on_from_another_is_no_seed_of_those_that_began_at_nothing(
    trained: Callable[..., None],
) -> None:
    """It was validated at other steps: of one seed there would be two policies under one name."""
    trained()
    assert go_on(RUN) == 0
    longer = ("train.env_steps=2048", "train.test=true")
    assert dispatch(compose([*SHORT, *longer, f"resume={RUN}"])) == 0
    (new,) = (path.parent for path in Path().glob("*/run.json") if path.parent != RUN)
    begun = record(new)
    assert begun["begun_with"] == record(RUN)["config_hash"]
    assert go_on(new, *longer) == 0
    assert go_on(Path("fresh"), *longer, resumed=False) == 0
    assert record(new)["config_hash"] == begun["config_hash"] != record(Path("fresh"))["config_hash"]
    told = {entry["config_hash"] for entry in Ledger(LEDGER).entries() if entry["run_id"] == begun["run_id"]}
    assert told == {begun["config_hash"]}


def test_the_folds_of_a_longer_run_stand_where_the_longer_budgets_before_them_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stood by the old budget: one step was two folds', and a kill lost what the second had shown."""
    monkeypatch.chdir(tmp_path)
    words = (*SHORT, "split=walk_forward", "split.folds=2", "train.test=false")
    assert go_on(RUN, begun=words, resumed=False) == 0
    assert dispatch(compose([*words, "train.env_steps=2048", f"resume={RUN}"])) == 0
    (new,) = (path.parent for path in Path().glob("*/run.json") if path.parent != RUN)
    shown = [(line["fold"], line["env_step"]) for line in journal.read(new / "metrics.jsonl")]
    assert shown == [(0, 1024), (1, 3072), (0, 2048), (1, 4096)]


def test_a_run_goes_on_where_its_bars_were_moved_to_and_on_no_others(trained: Callable[..., None]) -> None:
    trained(*FILES)
    Path("bars").rename("moved")
    bars(Path("others"), seed=1)
    others = r"was begun on other bars: the same dates, with other prices; put the bars back"
    with pytest.raises(ConfigError, match=others):
        go_on(RUN, "data.path=others", begun=(*SHORT, *FILES))
    with pytest.raises(WealthArenaError, match=r"does not exist; set data\.path"):
        go_on(RUN, begun=(*SHORT, *FILES))
    with pytest.raises(ConfigError, match=others):  # what was refused knows its bars still
        go_on(RUN, "data.path=others", begun=(*SHORT, *FILES))
    assert go_on(RUN, "data.path=moved", begun=(*SHORT, *FILES)) == 0
    assert openings() == 1


def test_a_run_that_goes_on_from_another_folder_is_told_where_its_bars_and_its_ledger_lie(
    trained: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its relative paths are meant from where it was begun; another ledger counts no trial of before."""
    trained(*FILES)
    begun, run = Path.cwd(), RUN.resolve()
    written = yaml.safe_dump({"hydra": {"runtime": {"cwd": str(begun)}}})
    (run / ".hydra").mkdir(exist_ok=True)
    (run / ".hydra" / "hydra.yaml").write_text(written)
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    (begun / "checkpoints").mkdir()
    with pytest.raises(ConfigError, match=rf"from which data\.path=bars is meant; .*type data\.path={begun}/bars"):
        go_on(run, begun=(*SHORT, *FILES))
    assert not caplog.messages
    assert go_on(run, f"data.path={begun}/bars", "train.test=false", begun=(*SHORT, *FILES)) == 0
    both = f"type paths.ledger={begun}/results/ledger.jsonl paths.checkpoints={begun}/checkpoints to go on with them"
    assert any(both in line for line in caplog.messages)
    with pytest.raises(ConfigError, match=rf"which paths\.checkpoints=checkpoints is meant; .*={begun}/checkpoints"):
        go_on(run, "train.retrain=etf", f"data.path={begun}/bars", begun=(*SHORT, *FILES))


def test_a_longer_run_was_begun_where_it_was_asked_for(
    trained: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its record was the old run's: where it goes on with its own ledger it was told of the other's."""
    trained()
    (RUN / ".hydra").mkdir()
    (RUN / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"cwd": str(Path.cwd())}}}))
    assert go_on(RUN) == 0
    run = RUN.resolve()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert dispatch(compose([*SHORT, "train.env_steps=2048", f"resume={run}"])) == 0
    assert sum("was begun in another folder" in line for line in caplog.messages) == 1
    (new,) = (path.parent for path in run.parent.glob("*/run.json") if path.parent != run)
    assert resuming._begun_in(new) == Path.cwd()
    assert resuming._begun_in(run) == run.parent


def test_a_run_that_has_trained_nothing_yet_goes_on_its_own_bars_only(trained: Callable[..., None]) -> None:
    trained(*FILES)
    for left in ("trainer", "checkpoints"):
        shutil.rmtree(RUN / left)
    content = {key: value for key, value in record(RUN).items() if key != "training"}
    (RUN / "run.json").write_text(json.dumps(content))
    bars(Path("others"), seed=1)
    with pytest.raises(ConfigError, match="was begun on other bars"):
        go_on(RUN, "data.path=others", begun=(*SHORT, *FILES))
    assert not (RUN / "trainer").exists()


def test_a_search_whose_study_is_gone_is_not_begun_at_nothing(tmp_path: Path) -> None:
    study = tmp_path / "study.journal"
    resuming.require_study(tmp_path, study)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"the study of its search is gone: .*study\.journal; .*sweep\.json is there"):
        resuming.require_study(tmp_path, study)
    study.touch()
    resuming.require_study(tmp_path, study)


def test_a_copy_that_the_disk_has_no_room_for_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on beyond a budget copies the run: neither half a folder nor a reason of None is left of it."""
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "trainer").mkdir(parents=True)
    (old / "trainer" / "state.pt").write_bytes(b"state")

    def full(source: Path, target: Path, **_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left") as told:
        continuing._copied(old, new, (), {})
    assert no_room(told.value).message.startswith(f"cannot write {tmp_path / '.new.tmp' / 'trainer' / 'state.pt'}: No")
    assert list(tmp_path.iterdir()) == [old]
