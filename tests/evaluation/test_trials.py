from dataclasses import replace

import numpy as np
import pytest

from wealtharena.evaluation import evaluate
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.evaluation.trials import Completed, History, Trials

YEAR = Window("f", (("2022-01-01", "2022-12-31"),), ("A", "B"), "1d", simulated=False)


def look(ledger, run, config, window=YEAR, *, sharpe=None, agent="etf", seed=None):
    """Write a whole look: its opening and, where it has one, its result."""
    identity = RunIdentity(run, config, agent, "train", seed)
    ledger.record_opening(identity, window=window, fold=0)
    if sharpe is not None:
        ledger.record_result(identity, window=window, sharpe=sharpe)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.jsonl")


def known(ledger, window=YEAR, agent="etf", **changes):
    return History.of(ledger, agent, window, **changes)


def test_configurations_are_counted_once_and_looks_each_time(ledger):
    for run, config in (("1", "a"), ("2", "a"), ("3", "b")):
        look(ledger, run, config)
    look(ledger, "4", "c", replace(YEAR, dates=(("2019-01-01", "2019-12-31"),)))
    look(ledger, "5", "d", replace(YEAR, fingerprint="coins", symbols=("C",)), agent="crypto")
    ledger.record_trial(RunIdentity("t", "e", "etf", "sweep"), window=YEAR, sharpe=0.02)
    history = known(ledger)
    assert history.trials("a").count == 3
    assert history.openings() == 3
    assert history.openings("a") == 2
    assert known(ledger, replace(YEAR, dates=(("2022-12-31", "2023-05-01"),))).openings() == 3
    assert known(ledger, replace(YEAR, dates=(("2023-01-01", "2023-05-01"),))).openings() == 0


def test_a_run_that_opens_every_fold_of_its_split_has_looked_once(ledger):
    """Fifteen of cpcv, or some of walk-forward of which only one bears on the window that is asked about."""
    quarters = [(f"2022-{month:02}-01", f"2022-{month + 2:02}-28") for month in (1, 4, 7, 10)]
    for run, folds in (("1", quarters), ("2", quarters[:3])):
        for fold, dates in enumerate(folds):
            who = RunIdentity(run, "a", "etf", "train")
            ledger.record_opening(who, window=replace(YEAR, dates=(dates,)), fold=fold)
    assert known(ledger).openings() == known(ledger).openings("a") == 2
    assert "looked at this test window 2 times" in known(ledger).told("a", "another")
    last = replace(YEAR, dates=(quarters[3],))
    assert known(ledger, last).openings() == 1
    assert "1 time before" in known(ledger, last).told("a", "another")


def test_windows_beside_this_one_are_counted_a_run_s_folds_as_one(ledger):
    look(ledger, "1", "a")
    for run, config in (("2", "a"), ("3", "b")):
        look(ledger, run, config, replace(YEAR, dates=(("2019-01-01", "2019-12-31"),)))
    look(ledger, "4", "a", replace(YEAR, symbols=("C",), fingerprint="g"))
    look(ledger, "5", "a", replace(YEAR, dates=(("2018-01-01", "2018-12-31"),), simulated=True))
    look(ledger, "6", "a", replace(YEAR, dates=(("2017-01-01", "2017-12-31"),)), agent="crypto")
    look(ledger, "7", "", replace(YEAR, dates=(("2016-01-01", "2016-12-31"),)))
    ledger.record_trial(RunIdentity("4", "a", "etf", "train"), window=YEAR)  # its validation was this one
    for year in (2014, 2015, 2022):  # the last of them is this one
        look(ledger, "8", "a", replace(YEAR, dates=((f"{year}-01-01", f"{year}-12-31"),)))
    for year in (2012, 2013):
        look(ledger, "9", "a", replace(YEAR, dates=((f"{year}-01-01", f"{year}-12-31"),)))
    assert known(ledger).trials("a").elsewhere == 3
    assert known(ledger, replace(YEAR, simulated=True)).trials("a").elsewhere == 0


def test_a_run_that_went_on_as_another_configuration_has_looked_twice(ledger):
    for config in "ab":
        look(ledger, "1", config)
    assert known(ledger).openings() == 2
    assert known(ledger).openings("a") == 1


def test_lines_that_name_no_run_are_a_look_each(ledger):
    line = '{"kind": "open", "config_hash": "b", "agent": "etf", "fingerprint": "f", "window": [["2022-06-01", "2023-01-01"]]}'
    ledger.path.write_text(f"{line}\n{line}\n")
    assert known(ledger).openings() == 2


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({"fingerprint": "longer", "dates": (("2022-01-01", "2023-01-01"),)}, True),
        ({"fingerprint": "another", "symbols": ("B", "C")}, True),
        ({"fingerprint": "another", "symbols": ("C", "D")}, False),
        ({"fingerprint": "hourly", "frequency": "1h"}, True),
        ({"fingerprint": "made up", "simulated": True}, False),
        ({"dates": (("2015-01-01", "2015-12-31"),)}, False),
        ({"fingerprint": "after", "dates": (("2022-12-31", "2023-06-30"),)}, True),
        ({"fingerprint": "before", "dates": (("2021-01-01", "2021-12-31"),)}, False),
    ],
)
def test_what_counts_is_of_the_same_market_over_a_shared_date(ledger, other, counts):
    look(ledger, "1", "a")
    look(ledger, "2", "b", replace(YEAR, **other))
    assert known(ledger).trials("a").count == 1 + counts


def test_the_trials_of_a_judged_run_count_wherever_they_were_made(ledger):
    """A search over universes or over history chose for this window."""
    elsewhere = replace(YEAR, fingerprint="g", symbols=("X",), dates=(("2010-01-01", "2010-12-31"),))
    for config in ("b", "c"):
        ledger.record_trial(RunIdentity("search", config, "etf", "sweep"), window=elsewhere, sharpe=1.0)
    look(ledger, "search", "a")
    look(ledger, "search", "d", elsewhere)  # a look of its own at that window is none at this one
    assert known(ledger).trials("a").count == 1
    assert known(ledger, run_ids=["search"]).trials("a").count == 3


def test_a_simulated_market_is_the_same_by_its_fingerprint_only(ledger):
    made = replace(YEAR, simulated=True)
    look(ledger, "1", "a", made)
    look(ledger, "2", "b", replace(made, fingerprint="another seed"))
    look(ledger, "3", "c", made)
    look(ledger, "4", "d", replace(YEAR, fingerprint="real"))
    assert known(ledger, made).trials("a").count == 2


def test_a_look_without_a_configuration_is_a_look_and_no_trial(ledger):
    look(ledger, "1", "", sharpe=0.4)
    assert known(ledger).trials("a") == Trials(1, None)
    assert known(ledger).openings() == 1


def test_the_variance_of_trials_is_over_configurations_not_over_runs(ledger):
    for run, config, sharpe in (("1", "a", 0.1), ("2", "a", 0.3), ("3", "b", 0.4)):
        look(ledger, run, config, sharpe=sharpe)
    ledger.record_trial(RunIdentity("3", "b", "etf", "train"), window=YEAR, sharpe=9.0)
    ledger.record_trial(RunIdentity("4", "c", "etf", "train"), window=YEAR, sharpe=float("nan"))
    found = known(ledger).trials("a")
    assert found.count == 3
    assert found.sharpe_variance == pytest.approx(np.var([0.2, 0.4], ddof=1))


def test_runs_that_are_left_out_are_trials_with_their_own_variance(ledger):
    for seed, sharpe in enumerate((1.5, 1.4, 0.1, -0.9, -0.2)):
        look(ledger, f"r{seed}", "a", sharpe=sharpe, seed=seed)
    group = [Completed("r0", 0, 1.5), Completed("r1", 1, 1.4)]
    left_out = known(ledger).left_out("a", group)
    assert left_out == ("r2", "r3", "r4")
    found = known(ledger).trials("a", left_out=left_out)
    assert (found.configurations, found.count) == (1, 4)
    assert found.sharpe_variance == pytest.approx(np.var([1.45, 0.1, -0.9, -0.2], ddof=1))


def test_a_run_that_repeats_a_seed_to_the_digit_is_not_left_out_one_that_differs_is(ledger):
    look(ledger, "again", "a", sharpe=1.5, seed=0)
    look(ledger, "other", "a", sharpe=1.1, seed=0)
    look(ledger, "undefined", "a", sharpe=float("nan"), seed=3)
    group = [Completed("r0", 0, 1.5), Completed("r3", 3, float("nan"))]
    assert known(ledger).left_out("a", group) == ("other",)
    assert known(ledger).left_out("", group) == ()


@pytest.mark.parametrize(("bars_per_year", "frequency"), [(252.0, "1d"), (252.0 * 6.5, "1h")])
def test_hourly_trials_deflate_a_daily_record_as_daily_ones_do_and_the_reverse(ledger, bars_per_year, frequency):
    """The figures of the ledger are a year's: what a bar of the trials was long does not matter."""
    rng = np.random.default_rng(0)
    returns = rng.normal(2.4 / np.sqrt(bars_per_year) * 0.01, 0.01, round(2 * bars_per_year))
    sharpes = rng.normal(0.0, 0.9, 20)  # more than luck shows in two years
    found = {}
    for kind in ("1d", "1h"):
        shown = Ledger(ledger.path.with_name(f"{kind}.jsonl"))
        for i, sharpe in enumerate(sharpes):
            look(shown, f"r{i}", f"c{i}", replace(YEAR, fingerprint=kind, frequency=kind), sharpe=sharpe)
        here = replace(YEAR, frequency=frequency)
        found[kind] = evaluate.deflated(returns, known(shown, here).trials("c0"), bars_per_year=bars_per_year)
    assert found["1d"] == found["1h"]
    alone = evaluate.deflated(returns, Trials(1), bars_per_year=bars_per_year)
    assert 0.2 < found["1d"] < alone - 0.1


@pytest.mark.slow
def test_trials_that_move_together_never_raise_it() -> None:
    """A thousand copies of one idea beside twenty lower the variance that the trials showed; the figures are the docs'."""
    rng, bars, found = np.random.default_rng(0), 750, []
    for _ in range(400):
        ideas = rng.normal(0, np.sqrt(252 / (bars - 1)), 20)
        returns = rng.normal(size=bars)
        returns = (returns - returns.mean()) / returns.std(ddof=1) + ideas.max() / np.sqrt(252)
        for shown in (ideas, np.r_[ideas, np.full(1000, ideas.mean())]):
            trials = Trials(len(shown), float(shown.var(ddof=1)))
            found.append(evaluate.deflated(returns, trials, bars_per_year=252.0))
    alone, beside_copies = np.reshape(found, (400, 2)).T
    assert np.all(beside_copies <= alone)
    assert (round(float(np.median(alone)), 2), round(float(np.median(beside_copies)), 2)) == (0.44, 0.07)


def test_figures_from_before_they_had_a_unit_count_as_trials_and_are_not_read(ledger):
    look(ledger, "1", "a", sharpe=0.5)
    old = (
        '{"kind": "open", "run_id": "0", "config_hash": "b", "agent": "etf", "fingerprint": "g", "simulated": false, '
        '"fold": 0, "window": [["2022-06-01", "2023-01-01"]]}\n'
        '{"kind": "result", "run_id": "0", "config_hash": "b", "agent": "etf", "fingerprint": "g", "sharpe": 0.09}\n'
        '{"kind": "trial", "run_id": "x", "config_hash": "c", "agent": "etf", "fingerprint": "f", "sharpe": 0.05}\n'
    )
    ledger.path.write_text(ledger.path.read_text() + old)
    assert known(ledger).trials("a") == Trials(3, None)
    assert known(ledger).openings() == 2


def test_of_a_look_at_several_policies_those_that_are_judged_without_the_others_leave_them_out(ledger):
    who = RunIdentity("five", "a", "etf", "study")
    shown = [(None, sharpe) for sharpe in (1.5, 1.4, 0.1, -0.9, -0.2)]
    ledger.record_opening(who, window=YEAR, fold=0)
    ledger.record_result(who, window=YEAR, sharpe=0.1, shown=shown)
    look(ledger, "again", "a", sharpe=-0.9)  # one of them alone, once more
    best = [Completed("three", None, sharpe) for sharpe in (1.5, 1.4, 0.1)]
    left_out = known(ledger).left_out("a", best)
    assert left_out == ("five#4", "five#5")
    found = known(ledger).trials("a", left_out=left_out, group=best)
    assert (found.configurations, found.count) == (1, 3)
    assert found.sharpe_variance == pytest.approx(np.var([1.0, -0.9, -0.2], ddof=1))
    assert known(ledger).left_out("a", [Completed("all", None, sharpe) for _, sharpe in shown]) == ()


@pytest.mark.parametrize(("seed", "left_out"), [(None, ()), (0, ()), (1, ("r0",))])
def test_a_policy_whose_seed_nobody_knows_is_known_by_its_figure(ledger, seed, left_out):
    look(ledger, "r0", "a", sharpe=1.5, seed=0)
    assert known(ledger).left_out("a", [Completed("study", seed, 1.5)]) == left_out


def test_what_is_judged_counts_once_whether_the_ledger_has_it_already_or_not(ledger):
    look(ledger, "b", "b", sharpe=0.5)
    group = [Completed("new", None, 1.0), Completed("new", None, 2.0)]
    before = known(ledger).trials("a", group=group)
    assert before.sharpe_variance == pytest.approx(np.var([0.5, 1.5], ddof=1))
    for run, sharpe in (("1", 1.0), ("2", 2.0), ("3", 2.0)):
        look(ledger, run, "a", sharpe=sharpe)
        partly = known(ledger).trials("a", group=group)
        assert partly == before, run


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({}, True),
        ({"fingerprint": "other features"}, True),
        ({"fingerprint": "one more", "symbols": ("A", "B", "C")}, True),
        ({"fingerprint": "another market", "symbols": ("B",)}, False),
        ({"fingerprint": "another market", "symbols": ("B", "C")}, False),
        ({"fingerprint": "another market", "symbols": ("B", "C", "D")}, False),
        ({"fingerprint": "made up", "simulated": True}, False),
        ({"dates": (("2015-01-01", "2015-12-31"),)}, False),
    ],
)
def test_another_name_of_the_agent_makes_no_window_unseen(ledger, other, counts):
    """Two agents may have a symbol in common; the same universe under a second label is the same market."""
    look(ledger, "1", "a")
    look(ledger, "2", "b", replace(YEAR, **other), agent="any name")
    assert known(ledger).trials("a").count == known(ledger).openings() == 1 + counts


def test_equal_bars_under_other_names_are_the_same_market(ledger):
    named = replace(YEAR, content="bars")
    look(ledger, "1", "a", named)
    renamed = Window("g", YEAR.dates, ("AX", "BX"), "1d", simulated=False, content="bars")
    assert known(ledger, renamed).openings() == 1
    look(ledger, "2", "b", renamed)
    assert known(ledger, named).trials("a").count == 2
    assert known(ledger, replace(renamed, content="")).trials("b").count == 2, "as a run.json knows its window"
    assert known(ledger, replace(renamed, content="others")).openings() == 2
    assert known(ledger, replace(renamed, fingerprint="h", symbols=("CX",), content="others")).openings() == 0


def test_lines_from_before_bars_had_a_digest_of_their_own_go_on_by_fingerprint_and_symbols(ledger):
    look(ledger, "1", "a")
    assert known(ledger, replace(YEAR, content="bars")).openings() == 1
    assert known(ledger, replace(YEAR, fingerprint="g", symbols=("AX", "BX"), content="bars")).openings() == 0


@pytest.mark.parametrize(
    "names", [{"agent": "any name"}, {"window": replace(YEAR, content="bars", symbols=("X", "Y"))}]
)
def test_the_best_seeds_run_again_under_another_label_leave_the_others_out(ledger, names):
    here = replace(YEAR, content="bars")
    for seed, sharpe in enumerate((1.5, 1.4, 1.3, -0.9, -0.2)):
        look(ledger, f"r{seed}", "a", here, sharpe=sharpe, seed=seed)
    again = [Completed(f"again{seed}", seed, sharpe) for seed, sharpe in enumerate((1.5, 1.4, 1.3))]
    history = known(ledger, **{"window": here, **names})
    assert history.left_out("hash under the other label", again) == ("r3", "r4")
    found = history.trials("hash under the other label", left_out=("r3", "r4"), group=again)
    assert (found.configurations, found.count) == (1, 3), "one configuration, whatever it is called"
    assert found.sharpe_variance == pytest.approx(np.var([1.4, -0.9, -0.2], ddof=1))
    assert history.left_out("another configuration", [Completed("x", 0, 0.7)]) == ()
    assert known(ledger, here).left_out("another hash", again) == ("r3", "r4"), (
        "nor does a key that changes nothing help"
    )


def test_the_best_seeds_run_again_under_a_key_that_changes_nothing_are_the_same_configuration(ledger):
    """Of twenty seeds the three best, with another hash: nothing but their figures tells that there were others."""
    for seed in range(20):
        look(ledger, f"a{seed}", "a", sharpe=seed / 10, seed=seed)
    for seed in (17, 18, 19):
        look(ledger, f"b{seed}", "b", sharpe=seed / 10, seed=seed)
    group = [Completed(f"b{seed}", seed, seed / 10) for seed in (17, 18, 19)]
    left_out = known(ledger).left_out("b", group)
    assert left_out == tuple(f"a{seed}" for seed in range(17))
    counted = known(ledger).trials("b", left_out=left_out, group=group)
    assert (counted.configurations, counted.tested, counted.count) == (1, 1, 18)
    whole = [Completed(f"a{seed}", seed, seed / 10) for seed in range(20)]
    assert known(ledger).left_out("a", whole) == ()


def test_the_best_seeds_run_again_under_a_key_that_changes_next_to_nothing_are_a_choice_among_all(ledger):
    """Another learning rate in the seventh digit shows the same figures in the fourth: no digest and no figure is equal."""
    for seed in range(20):
        look(ledger, f"a{seed}", "a", sharpe=seed / 10, seed=seed)
    best = (17, 18, 19)
    for seed in best:
        look(ledger, f"b{seed}", "b", sharpe=seed / 10 + 1e-4, seed=seed)
    group = [Completed(f"b{seed}", seed, seed / 10 + 1e-4) for seed in best]
    history = known(ledger)
    assert history.left_out("b", group) == ()
    counted = history.trials("b", group=group)
    assert (counted.configurations, counted.lacking, counted.count) == (2, 17, 19)
    assert history.trials("b").lacking == 0, "one run of a grid waits for the comparison with the others"
    alone = [Completed(f"b{seed}", None, seed / 10) for seed in best]
    assert history.trials("b", group=alone).lacking == 0, "who does not know its seeds cannot lack any"


def test_seeds_that_another_configuration_showed_are_counted_once_each_and_only_where_the_group_lacks_them(ledger):
    for seed in range(3):
        look(ledger, f"a{seed}", "a", sharpe=1.0 + seed, seed=seed)
    group = [Completed(f"a{seed}", seed, 1.0 + seed) for seed in range(3)]
    for who, seed in (("b", 0), ("b", 2), ("b", 3), ("c", 3), ("c", 4)):  # 3 of both is one seed
        look(ledger, f"{who}{seed}", who, sharpe=0.5, seed=seed)
    look(ledger, "a5", "a", sharpe=9.0, seed=5)  # of its own configuration: left out, and no more than that
    look(ledger, "b5", "b", sharpe=0.5, seed=5)
    look(ledger, "b6", "b", replace(YEAR, dates=(("2015-01-01", "2015-12-31"),)), sharpe=0.5, seed=6)
    ledger.record_trial(RunIdentity("closed", "d", "etf", "train", 7), window=YEAR)
    ledger.record_opening(RunIdentity("mean", "", "etf", "backtest", 0, (("e", 8), ("", 9))), window=YEAR, fold=None)
    ledger.record_trial(RunIdentity("a1", "f", "etf", "sweep", 10), window=YEAR, sharpe=0.1)  # its own search
    ledger.record_opening(RunIdentity("g", "g", "etf", "study"), window=YEAR, fold=0)
    ledger.record_result(RunIdentity("g", "g", "etf", "study"), window=YEAR, sharpe=0.1, shown=((11, 0.1), (None, 0.2)))
    assert known(ledger).trials("a", left_out=("a5",), group=group).lacking == len((3, 4, 7, 8, 11))


def test_two_configurations_that_stay_at_one_anchor_are_two(ledger):
    """Nothing was learned by either, and of neither is a seed left out."""
    for config, seeds in (("a", 5), ("b", 3)):
        for seed in range(seeds):
            look(ledger, f"{config}{seed}", config, sharpe=0.7, seed=seed)
    group = [Completed(f"b{seed}", seed, 0.7) for seed in range(3)]
    assert known(ledger).left_out("b", group) == ()
    assert known(ledger).trials("b", group=group).configurations == 2


def test_two_configurations_that_are_equal_in_one_seed_are_two(ledger):
    """A seed of each stayed at its anchor."""
    for config, ratios in (("a", (0.5, 1.0, 1.1)), ("b", (0.5, 1.2, 1.3))):
        for seed, ratio in enumerate(ratios):
            look(ledger, f"{config}{seed}", config, sharpe=ratio, seed=seed)
    look(ledger, "c0", "c", replace(YEAR, fingerprint="later", content="x"), sharpe=1.2, seed=1)
    group = [Completed(f"b{seed}", seed, ratio) for seed, ratio in enumerate((0.5, 1.2, 1.3))]
    assert known(ledger).left_out("b", group) == ()
    counted = known(ledger).trials("b", group=group)
    assert (counted.configurations, counted.tested) == (3, 3)


def test_a_seed_that_a_backtest_has_shown_is_left_out_where_it_is_not_judged(ledger):
    """Trained with train.test=false and played by task=backtest, it leaves no result."""
    for seed in range(3):
        look(ledger, f"r{seed}", "a", sharpe=1.0 + seed, seed=seed)
    for seed, purpose in (
        (1, "backtest"),
        (7, "backtest"),
        (7, "paper"),
        (8, "paper"),
        (9, "audit"),
        (None, "backtest"),
    ):
        who = RunIdentity(f"{purpose}-{seed}", "a", "etf", purpose, seed)
        ledger.record_opening(who, window=YEAR, fold=None)
    group = [Completed(f"r{seed}", seed, 1.0 + seed) for seed in range(3)]
    assert known(ledger).left_out("a", group) == ("paper-7", "paper-8")
    assert known(ledger).trials("a", group=group).lacking == 0, "they are its own"
    assert known(ledger).left_out("b", group[1:]) == ("r0", "paper-7", "paper-8")
    assert known(ledger).left_out("a", [*group, Completed("x", None, 5.0)]) == ()


def test_a_seed_that_was_played_in_a_mean_is_left_out_where_it_is_not_judged(ledger):
    """The mean of a policy and a copy of it is that policy: closed seeds could be looked at two by two."""
    for seed in range(3):
        look(ledger, f"r{seed}", "a", sharpe=1.0 + seed, seed=seed)
    for run, members in (("one", (("a", 7), ("a", 2))), ("other", (("b", 8), ("a", None)))):
        who = RunIdentity(run, f"mean of {run}", "etf", "backtest", 0, members)
        ledger.record_opening(who, window=YEAR, fold=None)
    group = [Completed(f"r{seed}", seed, 1.0 + seed) for seed in range(3)]
    assert known(ledger).left_out("a", group) == ("one",)
    assert "members" not in next(ledger.entries()), "a line of one policy is as it was"
