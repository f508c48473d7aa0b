"""Policies of the ledger whose seeds nobody said."""

from tests.evaluation.test_trials import YEAR, known, look
from wealtharena.evaluation.ledger import Ledger, RunIdentity
from wealtharena.evaluation.trials import Completed


def test_policies_that_a_notebook_showed_without_a_seed_are_counted_beyond_as_many_as_are_judged(tmp_path):
    """The best three of twenty that a Study judged, trained again by a command under a key that changes next to nothing."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for at in range(20):
        who = RunIdentity(f"s{at}", "s", "etf", "study")
        ledger.record_opening(who, window=YEAR, fold=0)
        ledger.record_result(who, window=YEAR, sharpe=0.1 * at)
    again = RunIdentity("again", "s", "etf", "study")  # of the best of them together: nothing new
    ledger.record_result(again, window=YEAR, sharpe=1.8, shown=((None, 1.7), (None, 1.8), (None, 1.9)))
    for seed in range(3):
        look(ledger, f"a{seed}", "a", sharpe=1.71 + 0.1 * seed, seed=seed)
    counted = known(ledger).trials("a", group=[Completed(f"a{seed}", seed, 1.71 + 0.1 * seed) for seed in range(3)])
    assert (counted.configurations, counted.lacking, counted.count) == (2, 17, 19)
