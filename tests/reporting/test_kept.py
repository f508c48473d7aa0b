import dataclasses

import pytest

from tests.reporting.made_up import report_data
from wealtharena.reporting import head
from wealtharena.reporting.words import MINUS
from wealtharena.tasks import console
from wealtharena.tracking.tracker import summary

MORE = {"learned_less_anchor": 0.041, "learned_t": 2.43}
LESS = {"learned_less_anchor": -0.0199, "learned_t": -0.5}


@pytest.mark.parametrize(
    ("share", "told", "anchors", "words"),
    [
        (0.83, {}, ["anchor"], "so much of what was learned is kept, by the evidence of the validation."),
        (0.0, {}, ["anchor"], "proved nothing of what was learned, so the agent is its anchor."),
        (0.0, {}, [], "proved nothing of what was learned, so the agent stays in cash."),
        (0.83, MORE, ["anchor"], "earned 4.1\u00a0% a year more than its anchor (t +2.43), and so much of it is kept."),
        (
            0.0,
            LESS,
            ["anchor"],
            f"earned 2.0\u00a0% a year less than its anchor (t {MINUS}0.50), so the agent is its anchor.",
        ),
        (
            0.0,
            LESS,
            [],
            f"earned 2.0\u00a0% a year less than cash (t {MINUS}0.50), so the agent stays in cash.",
        ),
        (
            0.0,
            {"learned_less_anchor": 0.001, "learned_t": 0.3},
            ["anchor"],
            "(t +0.30), which proves nothing, so the agent is its anchor.",
        ),
        (0.0, {"learned_less_anchor": 0.0, "learned_t": None}, ["anchor"], "so the agent is its anchor."),
    ],
)
def test_how_much_of_what_was_learned_is_kept_and_why_stands_on_the_first_screen(
    share: float, told: dict[str, float | None], anchors: list[str], words: str
) -> None:
    made = report_data()
    against = {**made.run["comparison"], **{key: {} for key in anchors}}
    made = dataclasses.replace(made, run={**made.run, "comparison": against})
    checkpoint = {**(made.run.get("checkpoint") or {}), "kept_share": share, **told}
    shown = head.first_screen(dataclasses.replace(made, run={**made.run, "checkpoint": checkpoint}))
    assert f'data-metric="checkpoint.kept_share" value="{share!r}"' in shown
    assert words in shown
    assert "Lambda" not in head.first_screen(made)


@pytest.mark.parametrize(
    ("shares", "shown", "told"),
    [
        ([0.5, 0.0], ", by fold: so much of what each learned is kept", "Lambda 0.00 to 0.50 over 2 folds: so much"),
        (
            [0.0, 0.0],
            ", by fold: the validation proved nothing of what was learned",
            "Lambda 0.00: the validation proved nothing",
        ),
    ],
)
def test_lambda_of_several_folds_is_not_that_of_the_last(shares: list[float], shown: str, told: str) -> None:
    made = report_data()
    folds = [{"index": n, "checkpoint": {"kept_share": share}} for n, share in enumerate(shares)]
    run = {**made.run, "folds": folds, "checkpoint": folds[-1]["checkpoint"]}
    page = head.first_screen(dataclasses.replace(made, run=run))
    assert shown in page
    for n, share in enumerate(shares):
        assert f'data-metric="folds.{n}.checkpoint.kept_share" value="{share!r}"' in page
    (line,) = console.kept_share_notes(run)
    assert line.startswith(told)
    saved = "What is saved is of the last fold: the agent "
    assert (saved in page) == (saved in line) == any(shares)
    assert saved not in head.first_screen(dataclasses.replace(made, run={**run, "folds": folds[::-1]}))
    assert summary(run)["active/kept_share"] == sum(shares) / 2
