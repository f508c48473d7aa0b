"""What sweep.html says: luck of one kind with the figure beside it, and why a trial failed."""

import pytest

from tests.reporting.made_up import search_result
from wealtharena.reporting import sweep


@pytest.mark.parametrize(
    ("ratio", "words"),
    [("sharpe", "Sharpe ratio"), ("information_ratio", "information ratio to the anchor"), (None, "Sharpe ratio")],
)
def test_luck_is_told_of_the_ratio_that_it_is_of_beside_the_best_trials(ratio: str | None, words: str) -> None:
    result = search_result()
    result["bias"] |= {"best_sharpe_annual": 0.25} | ({} if ratio is None else {"ratio": ratio})
    page = sweep.render(result)
    assert f"to show an annual {words} of 0.60; that of the best trial is +0.25, all on validation data." in page


def test_an_older_search_that_kept_no_ratio_of_its_best_trial_shows_none() -> None:
    assert "an annual Sharpe ratio of 0.60, all on validation data." in sweep.render(search_result())


def test_a_failed_trial_says_why_where_all_trials_stand() -> None:
    result = search_result(trials=8)
    assert "why it failed" not in sweep.render(result)
    result["trials"][3]["failure"] = "ValueError: 3 < 4"
    assert ">ValueError: 3 &lt; 4</td>" in sweep.render(result)


def test_finalists_show_what_they_are_ranked_by() -> None:
    """Two of +0.741 less 0.002 and +0.740 less 0.004 both stood as +0.74, spread 0.00."""
    result = search_result()
    result["finalists"] = [
        item | {"median": median, "spread": spread}
        for item, (median, spread) in zip(result["finalists"], ((0.7407, 0.0016), (0.73999, 0.0037)), strict=False)
    ]
    result["winner"] = result["finalists"][0]
    page = sweep.render(result)
    assert "<td>+0.741</td><td>0.002</td>" in page
    assert "<td>+0.740</td><td>0.004</td>" in page
    assert "median +0.741 over 3 seeds, spread 0.002." in page
