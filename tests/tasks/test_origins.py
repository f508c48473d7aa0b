"""A test window is the one that a policy was kept from when it was trained, whatever split a later command asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.attacks import moments
from tests.tasks.conftest import SMALL, record
from tests.tasks.test_backtest import MARKET, checkpoint, looks
from wealtharena.config import compose
from wealtharena.evaluation.splits import Segment
from wealtharena.registry import publish as publishing
from wealtharena.tasks import dispatch, judging
from wealtharena.tasks.origins import Origin, origin_of, seen_in, trained_as
from wealtharena.tasks.pipeline import Prepared, prepare, split_of

ELSEWHERE = ("split.test_share=0.015", "tracking=none")  # what was the test window is validation or training here


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(compose(MARKET))


def trained(here: Path, split: dict[str, Any] | None) -> str:
    """Leave a run directory that says it was trained with this split, and return its name."""
    facts = {"agent": "cryptocurrencies", "algo": "ppo", "config_hash": "abc", "checkpoint": {"path": "checkpoints/1"}}
    checkpoint(here / "run" / "checkpoints" / "1")
    (here / "run" / "run.json").write_text(json.dumps(facts if split is None else {**facts, "split": split}))
    return "run"


def play(*overrides: str, task: str = "backtest") -> dict[str, Any]:
    before = set(Path().glob("outputs/*/*"))
    assert dispatch(compose([f"task={task}", *MARKET, *ELSEWHERE, *overrides])) == 0
    (folder,) = set(Path().glob("outputs/*/*")) - before
    return record(folder)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["run", "run/checkpoints/1"])
def test_the_former_test_window_is_opened_with_a_line_under_another_split(
    here: Path, prepared: Prepared, place: str
) -> None:
    split = split_of(prepared)
    trained(here, split)
    first, last = split["test"][0], str(np.datetime64(split["test"][1]) - 30)
    found = play(f"backtest.checkpoints=[{place}]", f"backtest.start={first}", f"backtest.end={last}")
    (look,) = looks()
    assert (look["kind"], look["fold"]) == ("open", None)
    assert look["window"] == [[first, last]]
    assert look["fingerprint"] == found["data"]["fingerprint"]
    assert found["verdict"]["evidence"]["openings"] == 1
    assert "prove nothing" not in found["verdict"]["reasons"][0], "it never saw these rows"


@pytest.mark.slow
def test_what_a_policy_was_chosen_by_needs_no_line_and_proves_nothing_under_any_split(
    here: Path, prepared: Prepared
) -> None:
    split = split_of(prepared)
    trained(here, split)
    first, last = split["validation"]
    found = play("backtest.checkpoints=[run]", f"backtest.start={first}", f"backtest.end={last}")
    assert looks() == []
    assert "prove nothing" in found["verdict"]["reasons"][0]
    found = play("backtest.checkpoints=[run]", "split.test_share=0.6")  # a test window that it has learnt from
    assert "prove nothing" in found["verdict"]["reasons"][0]
    assert found["verdict"]["status"] != "promotable"


@pytest.mark.slow
def test_a_folder_that_does_not_say_what_it_learnt_from_is_played_over_nothing_without_a_line(here: Path) -> None:
    checkpoint(here / "mine")
    play("backtest.checkpoints=[mine]", "backtest.window=train")
    (look,) = looks()
    assert look["fold"] is None


@pytest.mark.slow
def test_an_ensemble_is_kept_from_what_any_member_was_kept_from(here: Path, prepared: Prepared) -> None:
    split = split_of(prepared)
    trained(here, split)
    late = prepare(compose([*MARKET, *ELSEWHERE]))
    checkpoint(here / "other", seed=1)
    (here / "other" / "metadata.json").write_text(json.dumps({"agent": "cryptocurrencies", "split": split_of(late)}))
    span = (f"backtest.start={split['test'][0]}", f"backtest.end={split['test'][0][:-2]}28")
    found = play("backtest.checkpoints=[run,other]", *span)
    assert len(looks()) == 1
    assert "prove nothing" in found["verdict"]["reasons"][0], "the other member has learnt from these rows"


@pytest.mark.slow
def test_a_replay_on_paper_of_the_former_test_window_is_a_look(here: Path, prepared: Prepared) -> None:
    split = split_of(prepared)
    trained(here, split)
    first, last = split["test"][0], str(np.datetime64(split["test"][0]) + 20)
    play("paper.checkpoints=[run]", f"paper.start={first}", f"paper.end={last}", task="paper")
    (look,) = looks()
    assert (look["purpose"], look["window"]) == ("paper", [[first, last]])


@pytest.mark.slow
def test_a_baseline_has_no_test_window_but_that_of_the_split_at_hand(here: Path, prepared: Prepared) -> None:
    first, last = split_of(prepared)["test"]
    play("backtest.baseline=momentum", f"backtest.start={first}", f"backtest.end={np.datetime64(last) - 30}")
    assert looks() == []


DAYS = np.arange("2020-01-01", "2020-01-11", dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("facts", "keeps", "learns"),
    [
        ({}, 10, 0),
        ({"split": {"train": ["2020-01-01", "2020-01-03"], "validation": ["2020-01-04", "2020-01-05"]}}, 5, 5),
        ({"split": {"train": ["2020-01-01", "2020-01-03"], "test": ["2020-01-05", "2020-01-10"]}}, 7, 3),
        ({"split": {"train": [], "validation": [], "test": ["2020-01-07", "2020-01-08"]}}, 4, 6),
        ({"track_record": {"dates": ["2020-01-07", "2020-01-08"]}}, 4, 6),
        (
            {
                "split": {
                    "train": [["2020-01-01", "2020-01-02"], ["2020-01-07", "2020-01-08"]],
                    "validation": ["2020-01-09", "2020-01-09"],
                    "test": [["2020-01-04", "2020-01-05"]],
                }
            },
            3,
            5,
        ),
    ],
)
def test_rows_after_what_a_policy_learnt_from_and_those_of_its_test_are_kept(
    facts: dict[str, Any], keeps: int, learns: int
) -> None:
    origin = Origin.of(facts)
    assert origin.keeps(DAYS).sum() == keeps
    assert origin.learns(DAYS).sum() == learns


@pytest.mark.slow
def test_a_version_that_says_nothing_of_its_training_has_seen_what_the_last_fold_of_the_split_at_hand_has() -> None:
    prepared = prepare(compose([*MARKET, "split=walk_forward"]))
    first, last = (prepared.folds[at].test[0] for at in (0, -1))
    old = Origin.of({"track_record": {"dates": split_of(prepared)["test"]}})
    told = Origin.of({"split": {**split_of(prepared), "train": ["1990-01-01", "1990-12-31"], "validation": []}})
    assert seen_in([old], prepared, first, unseen=last.start), "the last fold was trained on these rows"
    assert seen_in([told, old], prepared, first, unseen=last.start)
    assert not seen_in([told], prepared, first, unseen=last.start)
    assert not seen_in([old], prepared, last, unseen=last.start)


FOLDS = [
    {"index": 0, "dates": {"train": [["2020-01-05", "2020-01-08"]], "validation": [["2020-01-09", "2020-01-09"]], "test": [["2020-01-01", "2020-01-03"]]}},
    {"index": 1, "dates": {"train": [["2020-01-01", "2020-01-04"]], "validation": [["2020-01-05", "2020-01-05"]], "test": [["2020-01-08", "2020-01-10"]]}},
]  # fmt: skip


def fold_of(here: Path, index: int, **facts: Any) -> Origin:
    """Return the origin of a candidate of one of two folds of a run that says so much."""
    split = {"train": ["2020-01-01", "2020-01-04"], "validation": ["2020-01-05", "2020-01-05"], "test": ["2020-01-01", "2020-01-10"]}  # fmt: skip
    (here / "run.json").write_text(json.dumps({"split": split, "status": "completed", **facts}))
    return origin_of(here / "folds" / str(index) / "checkpoints" / "1", {})


def test_a_candidate_of_an_earlier_fold_learnt_from_the_dates_of_that_fold(here: Path) -> None:
    early, late = (fold_of(here, index, folds=FOLDS) for index in (0, 1))
    assert early.learns(DAYS).tolist() == [False] * 4 + [True] * 5 + [False]
    assert late.learns(DAYS).tolist() == [True] * 5 + [False] * 5
    assert early.keeps(DAYS).all(), "the test windows of all folds"


def test_a_candidate_of_a_fold_whose_dates_nobody_wrote_has_seen_every_row(here: Path) -> None:
    bare = [{"index": 0}, {"index": 1}]
    assert fold_of(here, 0, folds=bare).learns(DAYS).all()
    assert fold_of(here, 1, folds=bare).learns(DAYS).tolist() == [True] * 5 + [False] * 5, "run.json's split is its own"
    stopped = fold_of(here, 0, folds=bare[:1], status="interrupted")
    assert stopped.learns(DAYS).all()
    assert stopped.keeps(DAYS).all()
    run = json.loads((here / "run.json").read_text()) | {"checkpoint": {"path": "folds/0/checkpoints/1"}}
    assert origin_of(here, run) == stopped, "a run that was stopped left the candidate of no last fold"


def test_hours_after_a_validation_that_ended_on_the_same_day_were_not_seen_under_another_split(here: Path) -> None:
    prepared = prepare(compose([*MARKET, "data.interval=1h"]))
    split = split_of(prepared)
    assert split["validation"][1] == split["test"][0], "or this shows nothing"
    other = Origin.of({"split": {**split, "train": [split["train"][0], split["train"][0]]}})
    (test,) = prepared.folds[0].test
    days = prepared.sealed.timestamps.astype("datetime64[D]")
    morning = Segment(int(np.searchsorted(days, np.datetime64(split["test"][0]))), test.stop)
    assert not seen_in([other], prepared, test, unseen=test.start)
    assert seen_in([other], prepared, morning, unseen=test.start), "validation had these hours"


@pytest.mark.slow
def test_hours_of_the_day_on_which_validation_ends_and_the_test_begins_are_told_apart_in_the_own_split(
    here: Path,
) -> None:
    words = [*MARKET, "data.interval=1h"]
    split = split_of(prepare(compose(words)))
    assert split["validation"][1] == split["test"][0], "or this shows nothing"
    trained(here, split)
    assert dispatch(compose(["task=backtest", *words, "tracking=none", "backtest.checkpoints=[run]", "backtest.window=validation"])) == 0  # fmt: skip
    assert looks() == []


@pytest.mark.slow
def test_a_configuration_that_was_chosen_by_a_test_window_is_counted_on_it(
    small: Callable[..., tuple[int, Path]],
) -> None:
    closed, quick = "train.test=false", "train.publish=false"
    plain = small(closed, quick)[1]
    small(closed, quick, "split.test_share=0.015", "split.validation_share=0.185", "seed=1")
    small(closed, quick, "split.test_share=0.015", "split.validation_share=0.185", "seed=2")
    small(closed, quick, "algo.gamma=0.5")  # chosen by an earlier window
    written = looks()
    assert [line["kind"] for line in written] == ["trial"] * 4
    assert written[0]["window"] == [record(plain)["split"]["validation"]]
    opened = small("train.test=true", quick)[1]
    evidence = record(opened)["verdict"]["evidence"]
    assert evidence["configurations"] == 2


def test_a_validation_day_on_which_the_test_begins_is_no_trial_of_the_test() -> None:
    sealed = prepare(compose([*MARKET, "data.interval=1h"])).sealed
    ((first, last),) = sealed.selection.dates
    assert first < last < sealed.window.dates[0][0]


@pytest.mark.slow
def test_a_version_of_the_registry_is_kept_from_its_own_test_window(finished: Callable[..., list[Path]]) -> None:
    (folder,) = finished()
    run = record(folder)
    version = Path("checkpoints") / run["registry"]
    assert json.loads((version / "metadata.json").read_text())["split"] == run["split"]
    first, last = run["split"]["test"][0], str(np.datetime64(run["split"]["test"][1]) - 30)
    before = len(looks())
    words = (f"backtest.checkpoints=['{version}']", f"backtest.start={first}", f"backtest.end={last}")
    assert dispatch(compose(["task=backtest", *SMALL, *ELSEWHERE, *words])) == 0
    (look,) = looks()[before:]
    assert look["fold"] is None
    assert look["window"][0][0] == first


@pytest.mark.slow
@pytest.mark.parametrize("chdir", ["true", "false"])
def test_one_ledger_stands_where_commands_are_given_whatever_folder_hydra_goes_to(here: Path, chdir: str) -> None:
    words = ("task=backtest", *MARKET, "backtest.baseline=cash", "tracking=none", f"hydra.job.chdir={chdir}")
    with moments.quiet_environment():
        done = moments.play(here, (*words, "hydra.run.dir=out"))
    assert done.code == 0, done.said
    assert [path.relative_to(here) for path in here.rglob("ledger.jsonl")] == [Path("results/ledger.jsonl")]
    assert "out/run.json" in done.said


def test_a_candidate_is_of_the_configuration_and_seed_of_its_run(tmp_path: Path) -> None:
    """A look at its folder is one of the run's: else it would be a baseline's, which is no trial of anything."""
    (tmp_path / "run.json").write_text('{"config_hash": "a", "seed": 7, "status": "completed"}')
    candidate = tmp_path / "checkpoints" / "000008192"
    candidate.mkdir(parents=True)
    assert trained_as(candidate, {}, candidate) == ("a", 7)
    assert trained_as(candidate, {"config_hash": "b", "seed": 1}, candidate) == ("b", 1)


def test_a_candidate_that_was_copied_out_of_its_run_is_a_configuration_by_what_it_learned(tmp_path: Path) -> None:
    """Twenty closed seeds were compared on their test window that way, and each look was no trial, as a baseline's."""
    hashes = []
    for content in (b"one", b"other", b"one"):
        (tmp_path / "weights.pt").write_bytes(content)
        who, seed = trained_as(tmp_path, {}, tmp_path)
        hashes.append(who)
        assert seed is None
    assert "" not in hashes
    assert (hashes[0] == hashes[2], hashes[0] == hashes[1]) == (True, False)


def test_a_finalist_is_of_its_own_seed_and_one_that_lost_of_another_configuration(tmp_path: Path) -> None:
    """Played by itself the winner of a search was the seed that the search was typed with: one that its verdict left out."""
    path = "finalists/trial-3/seed-0/checkpoints/000008192"
    run = {"config_hash": "a", "seed": 0, "status": "completed", "checkpoint": {"path": path, "seed": 1000}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    for trial in (3, 5):
        place = tmp_path / path.replace("trial-3", f"trial-{trial}")
        place.mkdir(parents=True)
        (place / "weights.pt").write_bytes(b"%d" % trial)
    chosen, lost = (tmp_path / path.replace("trial-3", f"trial-{trial}") for trial in (3, 5))
    assert trained_as(tmp_path, run, chosen) == ("a", 1000)
    assert trained_as(chosen, {}, chosen) == ("a", 1000)
    who, seed = trained_as(lost, {}, lost)
    assert who not in ("", "a")
    assert seed is None


def test_a_version_is_of_the_seed_of_its_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search is typed with one seed, and its finalists are trained with others."""
    said = {"status": "unproven", "reasons": []}
    (tmp_path / "metadata.json").write_text(json.dumps({"verdict": said}))
    saved: dict[str, Any] = {}
    monkeypatch.setattr(publishing, "publish", lambda *_, facts, **__: saved.update(facts) or tmp_path)
    monkeypatch.setattr(judging, "track_record", lambda _: {})
    spec = compose(["asset=crypto"]).model_copy(update={"seed": 1000})
    record: Any = SimpleNamespace(run_id="s", content={"seed": 0, "verdict": said}, update=lambda **_: None)
    view = SimpleNamespace(test=[Segment(0, 2)], features=None)
    found: Any = SimpleNamespace(features=view, policies=[None], evaluation=None)
    judging.publish(spec, record, found)
    assert saved["seed"] == 1000
