import numpy as np
import pytest

from wealtharena.trading.monitor import drift

NAMES = ("calm", "trending")


def sessions(rng, count, *, shift=0.0, scale=1.0):
    """Return features [count, 4, 2] of which one moves slowly."""
    slow = np.zeros((count, 4))
    for t in range(1, count):
        slow[t] = 0.9 * slow[t - 1] + rng.normal(0, np.sqrt(1 - 0.81), 4)
    return np.stack([rng.normal(shift, scale, (count, 4)), slow], axis=-1)


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(2)
    found = drift.reference(sessions(rng, 1500), NAMES, bars_per_year=252.0, false_alarms=0.05 / 3, rng=rng)
    assert found is not None
    return found


def test_what_is_as_in_training_seldom_alarms(known):
    rng = np.random.default_rng(5)
    above = [known.index(sessions(rng, known.sessions))[0] > known.limit for _ in range(120)]
    assert np.mean(above) <= 0.03


@pytest.mark.parametrize("change", [{"shift": 0.6}, {"scale": 1.7}, {"scale": 0.5}])
def test_another_distribution_alarms_and_is_named(known, change):
    index, name = known.index(sessions(np.random.default_rng(6), known.sessions, **change))
    assert index > known.limit
    assert name == "calm"


def test_the_index_is_the_sum_over_bins_by_hand():
    edges = (np.array([0.0]),)
    window = np.array([[[-1.0]], [[1.0]], [[1.0]], [[1.0]]])
    counts = drift._counts(window, edges).sum(axis=0)[None]
    shares = np.zeros((1, drift.BINS))
    shares[0, :2] = 0.5
    expected = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert drift._psi(counts, shares)[0, 0] == pytest.approx(expected)


def test_what_is_not_known_counts_nowhere(known):
    rng = np.random.default_rng(14)
    whole = sessions(rng, known.sessions)
    whole[:, 1, 0] = np.nan
    assert known.index(whole)[0] < known.limit
    assert known.index(np.full_like(whole, np.nan))[0] == 0.0


def test_weights_that_are_mostly_nothing_are_compared_too():
    rng = np.random.default_rng(8)
    training = np.where(rng.random((600, 3, 1)) < 0.8, 0.0, rng.random((600, 3, 1)))
    found = drift.reference(training, ("weight",), bars_per_year=252.0, false_alarms=0.02, rng=rng)
    assert found is not None
    assert found.index(training[:63])[0] <= found.limit
    assert found.index(np.full((63, 3, 1), 0.9))[0] > found.limit


def test_too_short_a_training_window_has_no_reference():
    rng = np.random.default_rng(9)
    assert drift.reference(sessions(rng, 100), NAMES, bars_per_year=252.0, false_alarms=0.02, rng=rng) is None
