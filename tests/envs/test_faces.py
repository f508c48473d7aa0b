import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import wealtharena  # noqa: F401  # it registers the environment
from tests.envs.markets import EVERY_COST, features_of, market_of, panel_of, random_panel, spec_of
from wealtharena.envs.portfolio_env import PortfolioEnv
from wealtharena.envs.simulate import simulate
from wealtharena.envs.vector_env import PortfolioVectorEnv
from wealtharena.errors import MarketError

REWARDS = ("log_return", "differential_sharpe", "mean_variance", "drawdown")
RNG = np.random.default_rng(7)
PANEL = random_panel(RNG, bars=60, assets=3)
WILD = {
    "costs": EVERY_COST,
    "limits": {"max_gross": 4.0, "max_weight": 3.0, "maintenance_margin": 0.24},
    "randomisation": {"enabled": True},
    "episode_bars": 9,
}


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize("action", ["weights", "allocation"])
def test_the_environment_keeps_gymnasiums_contract(action, reward):
    spec = spec_of(action=action, reward={"name": reward}, costs=EVERY_COST)
    check_env(PortfolioEnv(market_of(PANEL, spec), spec), skip_render_check=True)


@pytest.mark.parametrize("reward", REWARDS)
@pytest.mark.parametrize(("window", "count"), [(1, 5), (3, 5), (1, 70), (3, 70)])  # 70: whole lanes and some over
def test_a_batch_equals_single_environments_bit_for_bit_resets_included(window, count, reward):
    spec = spec_of(window=window, reward={"name": reward, "turnover_penalty": 0.1}, **WILD)
    market = market_of(PANEL, spec)
    segments = [(0, 25), (30, 60)]
    batch = PortfolioVectorEnv(market, spec, num_envs=count, segments=segments)
    singles = [PortfolioEnv(market, spec, segments=segments) for _ in range(count)]
    seen, _ = batch.reset(seed=11)
    for i, single in enumerate(singles):
        assert (single.reset(seed=11 + i)[0] == seen[i]).all()
    rng = np.random.default_rng(0)
    ends = {"terminated": 0, "truncated": 0}
    for _ in range(120):
        actions = rng.uniform(-1, 1, (count, 3)).astype(np.float32) * np.float32(3)
        seen, reward_batch, terminated, truncated, infos = batch.step(actions)
        for i, single in enumerate(singles):
            obs, value, dead, over, info = single.step(actions[i])
            assert value == reward_batch[i]
            assert (dead, over) == (terminated[i], truncated[i])
            assert info["equity"] == infos["equity"][i]
            ends["terminated"] += dead
            ends["truncated"] += over
            if dead or over:
                assert (infos["final_obs"][i] == obs).all()
                obs, _ = single.reset()
            assert (obs == seen[i]).all()
    assert ends["terminated"] > 0
    assert ends["truncated"] > 0


def test_the_fast_face_writes_what_the_gymnasium_face_returns():
    spec = spec_of(**WILD)
    market = market_of(PANEL, spec)
    slow, fast = (PortfolioVectorEnv(market, spec, num_envs=4) for _ in range(2))
    obs = np.zeros((4, fast.layout.size), dtype=np.float32)
    final = np.zeros_like(obs)
    reward = np.zeros(4, dtype=np.float32)
    ended = np.zeros((2, 4), dtype=bool)
    fast.reset_into(obs, seed=3)
    assert (slow.reset(seed=3)[0] == obs).all()
    rng = np.random.default_rng(1)
    for _ in range(40):
        actions = rng.uniform(-1, 1, (4, 3)).astype(np.float32)
        fast.step_into(actions, obs=obs, reward=reward, terminated=ended[0], truncated=ended[1], final_obs=final)
        seen, value, terminated, truncated, infos = slow.step(actions)
        assert (seen == obs).all()
        assert (value == reward).all()
        assert (ended == [terminated, truncated]).all()
        if "_final_obs" in infos:
            assert (infos["final_obs"][infos["_final_obs"]] == final[infos["_final_obs"]]).all()
        assert (fast.equity == infos["equity"]).all()


def test_the_backtest_walks_the_same_path_as_the_environment():
    spec = spec_of(costs=EVERY_COST, episode_bars=None, random_start=False)
    market = market_of(PANEL, spec)
    env = PortfolioEnv(market, spec)
    env.reset(seed=0)
    targets = np.random.default_rng(2).uniform(-1, 1, (60, 3)).astype(np.float32)
    path = simulate(market, targets.astype(np.float64), spec=spec)
    for t in range(59):
        _, reward, _, truncated, info = env.step(targets[t])
        assert info["equity"] == pytest.approx(path.equity[t + 1], rel=1e-12)
        assert reward == pytest.approx(np.log(path.equity[t + 1] / path.equity[t]), abs=1e-6)
    assert truncated


def test_the_same_seed_gives_the_same_episodes_and_another_seed_others():
    spec = spec_of(episode_bars=5)
    env = PortfolioEnv(market_of(PANEL, spec), spec)
    first = [env.reset(seed=4)[0]] + [env.reset()[0] for _ in range(3)]
    again = [env.reset(seed=4)[0]] + [env.reset()[0] for _ in range(3)]
    other = [env.reset(seed=5)[0]] + [env.reset()[0] for _ in range(3)]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("length", [None, 4, 100])
def test_an_episode_never_crosses_the_end_of_its_segment(length):
    spec = spec_of(episode_bars=length, window=2)
    panel = panel_of(np.arange(1.0, 41.0))
    segments = [(0, 10), (20, 33)]
    env = PortfolioVectorEnv(market_of(panel, spec), spec, num_envs=8, segments=segments)
    env.reset(seed=0)
    visited = set()
    for _ in range(200):
        env.step(np.zeros((8, 1), dtype=np.float32))
        visited |= set(env.batch.clock[0].tolist())
    assert visited <= set(range(1, 10)) | set(range(21, 33))
    assert {8, 31} & visited  # the bars before the last ones, which are seen in final_obs only


def test_every_first_bar_of_every_segment_is_drawn():
    spec = spec_of(episode_bars=4)
    env = PortfolioVectorEnv(market_of(panel_of(np.ones(40)), spec), spec, num_envs=500, segments=[(0, 8), (20, 30)])
    env.reset(seed=0)
    bars, counts = np.unique(env.batch.clock[0], return_counts=True)
    assert bars.tolist() == [0, 1, 2, 3, 20, 21, 22, 23, 24, 25]
    assert counts.min() > 20


def test_without_random_start_segments_take_turns():
    spec = spec_of(episode_bars=None, random_start=False)
    env = PortfolioEnv(market_of(panel_of(np.ones(40)), spec), spec, segments=[(0, 8), (20, 30)])
    starts = []
    for _ in range(3):
        env.reset(seed=0 if not starts else None)
        starts.append(int(env.batch.clock[0, 0]))
    assert starts == [0, 20, 0]


@pytest.mark.parametrize("bad", [(0, 1), (5, 5), (-1, 9), (0, 41)])
def test_a_segment_without_a_step_is_refused(bad):
    spec = spec_of()
    with pytest.raises(MarketError, match="segment"):
        PortfolioEnv(market_of(panel_of(np.ones(40)), spec), spec, segments=[bad])


def test_next_step_autoreset_ignores_the_action_after_the_end():
    spec = spec_of(episode_bars=2)
    env = PortfolioVectorEnv(market_of(PANEL, spec), spec, num_envs=2, autoreset_mode=AutoresetMode.NEXT_STEP)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env.reset(seed=0)
    actions = np.ones((2, 3), dtype=np.float32)
    ends = [env.step(actions)[3].tolist() for _ in range(5)]
    assert ends == [[False] * 2, [True] * 2, [False] * 2, [False] * 2, [True] * 2]
    _, reward, _, _, infos = env.step(actions)
    assert reward.tolist() == [0, 0]
    assert (infos["equity"] == spec.initial_cash).all()


def test_disabled_autoreset_waits_for_a_masked_reset():
    spec = spec_of(episode_bars=2)
    env = PortfolioVectorEnv(market_of(PANEL, spec), spec, num_envs=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    actions = np.ones((2, 3), dtype=np.float32)
    env.step(actions)
    before, _, _, truncated, _ = env.step(actions)
    assert truncated.all()
    after, _ = env.reset(options={"reset_mask": np.array([True, False])})
    assert (after[1] == before[1]).all()
    assert not (after[0] == before[0]).all()


@pytest.mark.parametrize(
    "mask", [[True], [True] * 3, [0, 1], ["a", "b"], "x", [[True, False]], np.ones((2, 1), bool), [[True], [1, 2]]]
)
def test_a_reset_mask_says_yes_or_no_of_every_environment(mask):
    env = PortfolioVectorEnv(market_of(PANEL, spec_of()), spec_of(), num_envs=2)
    env.reset(seed=0)
    rng = env.batch.rng.copy()
    with pytest.raises(MarketError, match="reset_mask"):
        env.reset(seed=1, options={"reset_mask": mask})
    assert (env.batch.rng == rng).all()


@pytest.mark.parametrize("seed", [1.5, [None, 1], [1.5, 2], ["1", "2"], object()])
def test_a_seed_is_a_whole_number(seed):
    env = PortfolioVectorEnv(market_of(PANEL, spec_of()), spec_of(), num_envs=2)
    with pytest.raises(MarketError, match="seed"):
        env.reset(seed=seed)
    env.reset(seed=np.array([1, 2]))


@pytest.mark.parametrize("wrong", [{"num_envs": 2.0}, {"num_envs": "2"}, {"autoreset_mode": "same_step"}])
def test_what_a_batch_cannot_be_made_of_is_said(wrong):
    with pytest.raises(MarketError, match=f"{next(iter(wrong))}="):
        PortfolioVectorEnv(market_of(PANEL, spec_of()), spec_of(), **wrong)


def test_environments_that_are_over_stand_still_beside_those_that_go_on():
    spec = spec_of(**{**WILD, "episode_bars": None})
    market = market_of(PANEL, spec)
    batch = PortfolioVectorEnv(market, spec, num_envs=64, segments=[(0, 25), (30, 60)], autoreset_mode="Disabled")
    singles = [PortfolioEnv(market, spec, segments=[(0, 25), (30, 60)]) for _ in range(64)]
    seen, _ = batch.reset(seed=4)
    last = [single.reset(seed=4 + i)[0] for i, single in enumerate(singles)]
    equity = np.full(64, spec.initial_cash)
    over = np.zeros(64, dtype=bool)
    mixed = 0
    rng = np.random.default_rng(2)
    for _ in range(32):
        actions = rng.uniform(-3, 3, (64, 3)).astype(np.float32)
        seen, _, terminated, truncated, infos = batch.step(actions)
        mixed += bool(over.any() and not over.all())
        for i in np.flatnonzero(~over):
            last[i], _, dead, ended, info = singles[i].step(actions[i])
            assert (dead, ended) == (terminated[i], truncated[i])
            equity[i] = info["equity"]
            over[i] = dead or ended
        assert (seen == np.array(last)).all()
        assert (infos["equity"] == equity).all()
    assert mixed > 2


@pytest.mark.parametrize(
    ("action", "word"),
    [
        (np.array([0.1, np.nan, 0.1], dtype=np.float32), "not finite"),
        (np.array([0.1, np.inf, 0.1], dtype=np.float32), "not finite"),
        (np.array([0.1, 1e300, 0.1]), "not finite"),
        (np.zeros(2, dtype=np.float32), "shape"),
        (np.zeros((1, 3), dtype=np.float32), "shape"),
        (np.zeros(3, dtype=np.int64), "dtype"),
        (np.array(["a", "b", "c"]), "dtype"),
        (None, "dtype"),
        ([[1.0], [2.0, 3.0]], "no array"),
    ],
)
@pytest.mark.parametrize("kind", ["weights", "tilt"])
def test_a_hostile_action_raises_and_changes_nothing(kind, action, word):
    spec = spec_of(action=kind, **WILD)
    env, twin = (PortfolioEnv(market_of(PANEL, spec), spec) for _ in range(2))
    batch = PortfolioVectorEnv(market_of(PANEL, spec), spec, num_envs=1)
    for face in (env, twin, batch):
        face.reset(seed=1)
    good = np.array([0.3, -0.2, 0.1], dtype=np.float32)
    env.step(good), twin.step(good), batch.step(good[None])
    with pytest.raises(MarketError, match=word):
        env.step(action)
    with pytest.raises(MarketError, match=word):
        batch.step(action[None] if isinstance(action, np.ndarray) else action)
    expected = twin.step(good)
    assert (env.step(good)[0] == expected[0]).all()
    assert (batch.step(good[None])[0][0] == expected[0]).all()


@pytest.mark.parametrize("value", [1e30, -1e30, 3.4e38])
def test_huge_weights_are_projected(value):
    spec = spec_of(**WILD)
    env = PortfolioEnv(market_of(PANEL, spec), spec)
    env.reset(seed=1)
    obs, reward, *_ = env.step(np.array([value, 0, 0], dtype=np.float32))
    assert np.isfinite(obs).all()
    assert np.isfinite(reward)


def test_the_fast_face_takes_weights_that_are_not_finite_as_zero_and_counts_them():
    spec = spec_of()
    env, twin = (PortfolioVectorEnv(market_of(PANEL, spec), spec, num_envs=2) for _ in range(2))
    arrays = []
    for face, bad in ((env, np.nan), (twin, 0.0)):
        obs = np.zeros((2, face.layout.size), dtype=np.float32)
        reward, ended = np.zeros(2, dtype=np.float32), np.zeros((2, 2), dtype=bool)
        face.reset_into(obs, seed=0)
        actions = np.array([[0.2, bad, 0.1], [bad, np.inf if bad else 0.0, -0.5]], dtype=np.float32)
        actions = np.where(np.isinf(actions), np.float32(np.nan), actions)
        face.step_into(actions, obs=obs, reward=reward, terminated=ended[0], truncated=ended[1])
        arrays.append((obs, reward))
    assert env.rejected.tolist() == [1, 2]
    assert (arrays[0][0] == arrays[1][0]).all()
    assert (arrays[0][1] == arrays[1][1]).all()


def test_allocations_out_of_range_are_refused_and_legal_ones_mean_cash_long_short():
    spec = spec_of(action="allocation")
    env = PortfolioEnv(market_of(PANEL, spec), spec)
    assert env.action_space == gym.spaces.Discrete(7)
    held = []
    for action in (0, 2, 6):
        env.reset(seed=0)
        env.step(action)
        obs = env.step(np.int64(action))[0]
        held.append(np.sign(np.round(obs[env.layout.weights], 2)).tolist())
    assert held == [[0, 0, 0], [0, 1, 0], [0, 0, -1]]
    for bad in (7, -1, 1.0, [[1], [2, 3]]):
        with pytest.raises(MarketError, match="allocation"):
            env.step(bad)
    long_only = spec_of(action="allocation", limits={"long_only": True})
    assert PortfolioEnv(market_of(PANEL, long_only), long_only).action_space == gym.spaces.Discrete(4)


@pytest.mark.parametrize("action", ["weights", "tilt", "allocation"])
def test_an_observation_that_is_changed_in_place_changes_nothing_that_is_traded(action):
    """As a wrapper that normalises in place does it."""
    spec = spec_of(action=action, episode_bars=5, costs=EVERY_COST)
    given = {"panel": PANEL, "spec": spec, "features": features_of(PANEL)}

    def batch(mode):
        return PortfolioVectorEnv(market_of(PANEL, spec), spec, num_envs=2, autoreset_mode=mode)

    makers = [lambda: gym.make("wealtharena/Portfolio-v0", **given), lambda: PortfolioEnv(market_of(PANEL, spec), spec)]
    makers += [functools.partial(batch, mode) for mode in AutoresetMode if mode != AutoresetMode.DISABLED]
    for make in makers:
        found = []
        for changed in (False, True):
            env = make()
            env.action_space.seed(0)
            obs, _ = env.reset(seed=1)
            found.append([])
            for _ in range(12):
                found[-1].append(obs.copy())
                if changed:
                    obs -= obs.mean()
                obs, reward, terminated, truncated, infos = env.step(env.action_space.sample())
                found[-1].append([np.copy(part) for part in (reward, infos["traded"], infos["equity"])])
                if changed and "final_obs" in infos:
                    infos["final_obs"] += 1.0
                if np.ndim(truncated) == 0 and (terminated or truncated):
                    obs, _ = env.reset()
        for plain, other in zip(*found, strict=True):
            np.testing.assert_array_equal(plain, other)


def test_stepping_a_finished_or_unbegun_episode_raises():
    spec = spec_of(episode_bars=2)
    env = PortfolioEnv(market_of(PANEL, spec), spec)
    with pytest.raises(MarketError, match="reset"):
        env.step(np.zeros(3, dtype=np.float32))
    env.reset(seed=0)
    env.step(np.zeros(3, dtype=np.float32))
    env.step(np.zeros(3, dtype=np.float32))
    with pytest.raises(MarketError, match="reset"):
        env.step(np.zeros(3, dtype=np.float32))


def test_gymnasium_makes_both_faces_by_name():
    spec = spec_of()
    features = features_of(PANEL)
    env = gym.make("wealtharena/Portfolio-v0", panel=PANEL, spec=spec, features=features)
    obs, _ = env.reset(seed=0)
    assert obs.shape == env.observation_space.shape
    names = env.unwrapped.describe_observation(obs)
    assert list(names)[:2] == ["f0[S0]", "f1[S0]"]
    assert list(names)[-4:] == ["weight[S2]", "cash", "drawdown", "leverage"]
    assert names["cash"] == 1.0
    envs = gym.make_vec(
        "wealtharena/Portfolio-v0",
        num_envs=4,
        vectorization_mode="vector_entry_point",
        panel=PANEL,
        spec=spec,
        features=features,
    )
    obs, _ = envs.reset(seed=0)
    assert obs.shape == (4, 3 * 2 + 3 + 3)
    assert envs.step(envs.action_space.sample())[1].shape == (4,)


def test_the_scaler_must_know_the_features_and_the_spec_the_window():
    spec = spec_of()
    market = market_of(PANEL, spec)
    with pytest.raises(MarketError, match="window"):
        PortfolioEnv(market, spec_of(window=2))
    with pytest.raises(MarketError, match="spec="):
        PortfolioEnv(market)


def test_memory_does_not_grow_with_steps():
    import tracemalloc

    spec = spec_of()
    env = PortfolioVectorEnv(market_of(PANEL, spec), spec, num_envs=16)
    obs = np.zeros((16, env.layout.size), dtype=np.float32)
    reward, ended = np.zeros(16, dtype=np.float32), np.zeros((2, 16), dtype=bool)
    actions = np.zeros((16, 3), dtype=np.float32)
    env.reset_into(obs, seed=0)
    for _ in range(10):
        env.step_into(actions, obs=obs, reward=reward, terminated=ended[0], truncated=ended[1])
    tracemalloc.start()
    for _ in range(2000):
        env.step_into(actions, obs=obs, reward=reward, terminated=ended[0], truncated=ended[1])
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10_000
