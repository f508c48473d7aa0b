import math
import warnings

import numpy as np
import pytest

from wealtharena.evaluation import bootstrap, significance


def test_deflated_sharpe_ratio_of_bailey_and_lopez_de_prado():
    """Annual Sharpe 2.5, 250 days, 1250 returns, skewness -3, kurtosis 10, 100 trials of variance 0.5 a year: 0.9004."""
    found = significance.deflated_sharpe_ratio(
        2.5 / math.sqrt(250), bars=1250, skewness=-3, kurtosis=10, trials=100, trials_variance=0.5 / 250
    )
    assert found == pytest.approx(0.9004, abs=5e-5)


def test_probabilistic_sharpe_ratio_of_a_hedge_fund_index():
    """24 monthly returns, monthly Sharpe 0.458, skewness -2.448, kurtosis 10.164: PSR(0) about 0.913."""
    found = significance.probabilistic_sharpe_ratio(0.458, bars=24, skewness=-2.448, kurtosis=10.164)
    assert found == pytest.approx(0.913, abs=5e-4)


def test_the_best_of_100_standard_normal_trials_is_expected_at_2_5306():
    assert significance.expected_maximum_sharpe(100) == pytest.approx(2.5306, abs=5e-5)


@pytest.mark.parametrize(("bars", "years"), [(250, 2.7312), (52, 2.8288), (12, 3.2398)])
def test_minimum_track_record_of_sharpe_2_against_1(bars, years):
    """Annual Sharpe 2 against 1 at 95 %, normal returns: 2.7312 years of days, 2.8288 of weeks, 3.2398 of months."""
    found = significance.min_track_record_length(2 / math.sqrt(bars), benchmark=1 / math.sqrt(bars)) / bars
    assert found == pytest.approx(years, abs=5e-5)


def test_one_trial_deflates_nothing_and_more_trials_deflate_more():
    ratios = [
        significance.deflated_sharpe_ratio(0.1, bars=500, skewness=0, kurtosis=3, trials=n, trials_variance=0.001)
        for n in (1, 2, 10, 1000)
    ]
    assert ratios[0] == significance.probabilistic_sharpe_ratio(0.1, bars=500, skewness=0, kurtosis=3)
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] < ratios[0] - 0.3


def test_undefined_moments_give_nan_and_no_advantage_takes_forever():
    found = significance.moments(np.zeros(20))
    assert found.bars == 20
    assert math.isnan(found.sharpe)
    assert math.isnan(significance.probabilistic_sharpe_ratio(math.nan, bars=20, skewness=math.nan, kurtosis=math.nan))
    assert significance.min_track_record_length(0.1, benchmark=0.1) == math.inf
    with pytest.raises(ValueError, match="at least 1"):
        significance.expected_maximum_sharpe(0)


def test_pbo_of_pure_noise_is_a_half():
    rng = np.random.default_rng(11)
    found = [
        significance.probability_of_backtest_overfitting(rng.normal(0, 0.01, (1000, 20)), blocks=8).probability
        for _ in range(100)
    ]
    assert np.mean(found) == pytest.approx(0.50, abs=0.06)


def test_pbo_with_one_true_edge_of_sharpe_3_2_is_small():
    rng = np.random.default_rng(12)
    edge = np.zeros(20)
    edge[7] = 3.2 / math.sqrt(252) * 0.01
    found = [
        significance.probability_of_backtest_overfitting(rng.normal(0, 0.01, (1000, 20)) + edge, blocks=8).probability
        for _ in range(50)
    ]
    assert np.mean(found) < 0.05


def test_pbo_counts_ties_and_lambda_zero_as_overfit():
    """Two equal strategies: the winner's rank is the middle, lambda is 0, and CSCV counts it."""
    returns = np.random.default_rng(0).normal(0, 0.01, 64)
    found = significance.probability_of_backtest_overfitting(np.column_stack([returns, returns]), blocks=4)
    assert np.allclose(found.logits, 0.0)
    assert found.probability == 1.0


@pytest.mark.parametrize("own", [0.0, 0.01])
def test_trials_that_are_one_and_the_same_have_no_probability_of_overfitting(own):
    """Ten that are all their anchor showed one of 100 %."""
    copies = np.repeat(np.random.default_rng(0).normal(0, own, (300, 1)), 10, axis=1)
    assert significance.overfitting(copies, blocks=16) is None
    copies[7, 3] += 1e-9
    assert significance.overfitting(copies, blocks=16) is not None


def test_pbo_agrees_with_a_plain_loop():
    import itertools

    matrix = np.random.default_rng(5).normal(0.0002, 0.01, (160, 7))
    pieces = np.array_split(matrix, 8)
    logits, winners = [], []
    for chosen in itertools.combinations(range(8), 4):
        inside = np.vstack([pieces[i] for i in chosen])
        outside = np.vstack([pieces[i] for i in range(8) if i not in chosen])
        before = inside.mean(axis=0) / inside.std(axis=0, ddof=1)
        best = np.argmax(before)
        scores = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        rank = (scores < scores[best]).sum() + 1
        logits.append(math.log(rank / (8 - rank)))
        winners.append((before[best], scores[best]))
    found = significance.probability_of_backtest_overfitting(matrix, blocks=8)
    assert np.allclose(found.logits, logits)
    assert found.probability == np.mean(np.array(logits) <= 0)
    before, after = np.array(winners).T
    assert found.degradation == pytest.approx(np.polyfit(before, after, 1)[0])
    assert found.loss_probability == np.mean(after < 0)


@pytest.mark.parametrize(
    ("matrix", "blocks", "word"),
    [
        (np.zeros((100, 1)), 8, "N >= 2"),
        (np.zeros((100, 3)), 7, "even"),
        (np.zeros((10, 3)), 8, "too few"),
        (np.full((100, 3), np.nan), 8, "NaN"),
    ],
)
def test_pbo_refuses_what_it_cannot_answer(matrix, blocks, word):
    with pytest.raises(ValueError, match=word):
        significance.probability_of_backtest_overfitting(matrix, blocks=blocks)


def pair(rng, n=1000, *, a=0.0006, b=0.0003, correlation=0.6):
    shared = rng.normal(0, 1, n)
    noise = rng.normal(0, 1, (2, n))
    mixed = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * noise
    return a + 0.01 * mixed[0], b + 0.012 * mixed[1]


@pytest.mark.slow
@pytest.mark.parametrize("studentised", [True, False])
def test_the_interval_covers_the_truth_in_93_to_97_percent_of_pairs(studentised):
    """200 of the 1,000 pairs of the benchmark, 400 draws each: 95 % +- 4.5 % here."""
    rng = np.random.default_rng(3)
    truth = (0.0006 / 0.01 - 0.0003 / 0.012) * math.sqrt(252)
    covered = []
    for _ in range(200):
        found = significance.paired_bootstrap(
            *pair(rng), rng=rng, bars_per_year=252, draws=400, studentised=studentised
        )
        covered.append(found.sharpe.low <= truth <= found.sharpe.high)
    assert 0.905 <= np.mean(covered) <= 0.985


@pytest.mark.slow
def test_the_studentised_interval_of_independent_returns_is_as_wide_as_theory_says():
    """Half width 1.96 standard errors, the standard error that of the influence of each bar (delta method)."""
    rng = np.random.default_rng(13)
    a, b = pair(rng, 2000)
    found = significance.paired_bootstrap(a, b, rng=rng, bars_per_year=252, draws=20_000, block_bars=1.0)
    error = bootstrap.influence(a, b).std() / math.sqrt(2000) * math.sqrt(252)
    assert (found.sharpe.high - found.sharpe.low) / 2 == pytest.approx(1.96 * error, rel=0.03)
    assert found.sharpe.high - found.sharpe.value == pytest.approx(found.sharpe.value - found.sharpe.low)
    mean_error = (a - b).std() / math.sqrt(2000) * 252
    assert (found.annual_return.high - found.annual_return.low) / 2 == pytest.approx(1.96 * mean_error, rel=0.03)


@pytest.mark.slow
def test_the_bootstrap_agrees_with_arch():
    from arch.bootstrap import StationaryBootstrap

    rng = np.random.default_rng(21)
    a, b = pair(rng)
    found = significance.paired_bootstrap(
        a, b, rng=rng, bars_per_year=252, draws=20_000, block_bars=5.0, studentised=False
    )

    def difference(x, y):
        return (x.mean() / x.std(ddof=1) - y.mean() / y.std(ddof=1)) * math.sqrt(252)

    reference = StationaryBootstrap(5, a, b, seed=np.random.default_rng(4))
    low, high = reference.conf_int(difference, reps=4_000, method="percentile").ravel()
    assert found.sharpe.value == pytest.approx(difference(a, b), rel=1e-12)
    assert found.sharpe.low == pytest.approx(low, abs=0.05)
    assert found.sharpe.high == pytest.approx(high, abs=0.05)


def test_blocks_have_the_asked_mean_length_and_wrap_around():
    index = np.empty(200_000, dtype=np.int64)
    bootstrap.resample(np.uint64(9), 1 / 8.0, index)
    follows = (np.diff(index) == 1) | (np.diff(index) == 1 - index.size)
    assert follows.mean() == pytest.approx(7 / 8, abs=0.005)
    assert index.min() >= 0
    assert index.max() < index.size


@pytest.mark.slow
@pytest.mark.parametrize("bars", [11, 12, 40, 250, 2000])
@pytest.mark.parametrize("memory", [-0.4, 0.0, 0.6, 0.97])
def test_the_block_length_is_archs_to_the_last_digit(bars, memory):
    from arch.bootstrap import optimal_block_length

    series = np.random.default_rng(8).normal(size=bars)
    for t in range(1, bars):
        series[t] += memory * series[t - 1]
    best = float(optimal_block_length(series)["stationary"].iloc[0])
    assert significance.optimal_block_bars(series) == min(max(best, 1.0), bars / 3.0)


def test_blocks_grow_with_dependence_and_a_series_that_never_moves_has_none():
    noise = np.random.default_rng(8).normal(size=2000)
    series = np.zeros(2000)
    for t in range(1, 2000):
        series[t] = 0.6 * series[t - 1] + noise[t]
    assert significance.optimal_block_bars(series) > 3 * significance.optimal_block_bars(noise)
    assert significance.optimal_block_bars(np.zeros(100)) == 1.0
    assert significance.optimal_block_bars(np.r_[np.ones(40), 2.0, np.ones(60)]) >= 1.0


def test_the_same_generator_gives_the_same_interval_whatever_the_threads(monkeypatch):
    a, b = pair(np.random.default_rng(0))

    def interval():
        return significance.paired_bootstrap(a, b, rng=np.random.default_rng(5), bars_per_year=252, draws=2_000)

    first = interval()
    monkeypatch.setattr(bootstrap, "MAX_THREADS", 1)
    assert interval() == first


@pytest.mark.slow
def test_a_p_value_is_small_for_an_edge_and_uniform_without_one():
    rng = np.random.default_rng(2)
    strong = significance.paired_bootstrap(
        rng.normal(0.003, 0.01, 1000), rng.normal(0, 0.01, 1000), rng=rng, bars_per_year=252, draws=1000
    )
    assert strong.sharpe_p_value < 0.01
    assert strong.sharpe.low > 0
    values = [
        significance.paired_bootstrap(
            rng.normal(0, 0.01, 300), rng.normal(0, 0.01, 300), rng=rng, bars_per_year=252, draws=200
        ).sharpe_p_value
        for _ in range(200)
    ]
    assert np.mean(np.array(values) < 0.05) < 0.1
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)


def test_a_baseline_that_never_moves_has_sharpe_zero():
    returns = np.random.default_rng(0).normal(0.001, 0.01, 500)
    found = significance.paired_bootstrap(
        returns, np.zeros(500), rng=np.random.default_rng(1), bars_per_year=252, draws=500
    )
    assert found.sharpe.value == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(252))
    equal = significance.paired_bootstrap(
        np.zeros(500), np.zeros(500), rng=np.random.default_rng(1), bars_per_year=252, draws=500
    )
    assert (equal.sharpe.low, equal.sharpe.value, equal.sharpe.high, equal.sharpe_p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("a", "b"), [(np.zeros(5), np.zeros(5)), (np.zeros(20), np.zeros(21)), (np.full(20, np.nan), np.zeros(20))]
)
def test_a_pair_that_cannot_be_compared_is_refused(a, b):
    with pytest.raises(ValueError, match=r"bars|length|NaN"):
        significance.paired_bootstrap(a, b, rng=np.random.default_rng(0), bars_per_year=252)


def test_the_interquartile_mean_ignores_the_best_and_the_worst_seed():
    assert float(significance.interquartile_mean([-9.0, 1.0, 1.1, 1.2, 50.0])) == pytest.approx(1.1)
    assert float(significance.interquartile_mean([1.0, 3.0])) == 2.0


def test_the_stratified_interval_resamples_inside_each_stratum():
    """Two strata of constant scores: whatever is drawn, the interquartile mean is the same."""
    scores = np.column_stack([np.zeros(5), np.ones(5)])
    found = significance.stratified_interval(scores, rng=np.random.default_rng(0), draws=200)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    spread = significance.stratified_interval(np.arange(10.0), rng=np.random.default_rng(0), draws=2000)
    assert spread.low < spread.value < spread.high
    assert math.isnan(significance.stratified_interval([1.0], rng=np.random.default_rng(0)).low)


def test_a_group_interval_covers_the_luck_of_the_seed_too():
    rng = np.random.default_rng(6)
    market = rng.normal(0.0003, 0.01, 750)
    alike = market + rng.normal(0.0005, 0.001, 750) + np.zeros((5, 750))
    drifts = np.array([-0.002, -0.001, 0.0005, 0.002, 0.003])
    apart = market + rng.normal(0, 0.001, (5, 750)) + drifts[:, None]
    narrow, wide = (
        significance.group_bootstrap(x, market, rng=np.random.default_rng(1), bars_per_year=252, draws=2_000)
        for x in (alike, apart)
    )
    assert wide.sharpe.high - wide.sharpe.low > 2 * (narrow.sharpe.high - narrow.sharpe.low)
    assert narrow.sharpe.low > 0


@pytest.mark.slow
def test_a_groups_p_value_says_what_its_interval_says():
    """Draws of skewed returns lie unevenly about the estimate: a p-value of equal distances could disagree with the interval."""
    rng = np.random.default_rng(11)
    beyond, told = [], []
    for _ in range(200):
        market = rng.standard_t(3, 90) * 0.01
        seeds = market + rng.exponential(0.01, (3, 90)) - 0.01 + rng.normal(0.0012, 0.001)
        found = significance.group_bootstrap(seeds, market, rng=rng, bars_per_year=252, draws=400)
        beyond.append(not found.sharpe.low <= 0.0 <= found.sharpe.high)
        told.append(found.p_value)
    assert 0.1 < np.mean(beyond) < 0.9
    clear = np.abs(np.array(told) - 0.05) > 0.01  # of 400 draws a p-value is a step of 1/200
    assert ((np.array(told) < 0.05) == beyond)[clear].all()


@pytest.mark.parametrize("bars", [8, 9, 10, 11, 12, 30])
def test_a_short_record_is_resampled_without_a_warning(bars):
    """pytest turns warnings into errors here; `still` ends in bars that never move."""
    rng = np.random.default_rng(0)
    moving = rng.normal(size=bars)
    still = np.where(np.arange(bars) < 2, (-1.0) ** np.arange(bars), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for series in (moving, np.cumsum(moving), still):
            assert 1.0 <= significance.optimal_block_bars(series) <= bars / 3
