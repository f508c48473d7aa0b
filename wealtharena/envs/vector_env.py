"""Many portfolios in one market, stepped in one call: the vector face of the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.actions import actions_of, array_of
from wealtharena.envs.batch import AccountBatch, Segments, market_of
from wealtharena.envs.kernel.rows import ACCOUNT, ACCOUNT_CLIP, CLOCK, DISABLED, NEXT_STEP, SAME_STEP
from wealtharena.envs.market import Market
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import MarketError
from wealtharena.features.panel import FeaturePanel, Scaler

MODES = {
    AutoresetMode.DISABLED: DISABLED,
    AutoresetMode.NEXT_STEP: NEXT_STEP,
    AutoresetMode.SAME_STEP: SAME_STEP,
}


class PortfolioVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """N independent accounts in one market; equal, bit for bit, to N single environments.

    Two faces. `reset` and `step` are Gymnasium's: they check actions and return fresh arrays. `reset_into` and
    `step_into` are for rollouts: they write straight into the caller's arrays, check nothing, and allocate nothing.

    Environment i of a batch seeded with s plays what a single environment seeded with s + i plays, resets included.
    `metadata["autoreset_mode"]` says what happens at the end of an episode; by default the next episode begins within
    the same step (SAME_STEP) and the last observation of the old one is handed over separately.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012  # Gymnasium declares it so, on the instance

    def __init__(
        self,
        market: Market | None = None,
        spec: EnvSpec | None = None,
        *,
        num_envs: int = 1,
        panel: Panel | None = None,
        features: FeaturePanel | None = None,
        scaler: Scaler | None = None,
        segments: Segments | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: None = None,
    ) -> None:
        mode = _mode(autoreset_mode)
        self.market, self.env_spec = market_of(market, spec, panel, features, scaler)
        self.batch = AccountBatch(self.market, self.env_spec, num_envs=num_envs, segments=segments, mode=MODES[mode])
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.render_mode = render_mode
        self.num_envs = num_envs
        self.layout: ObservationLayout = self.market.layout
        self.actions = actions_of(self.env_spec.action, len(self.market.symbols), self.env_spec.limits, self.layout)
        self.single_observation_space, self.single_action_space = observation_space(self.market), self.actions.space()
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._weights = np.zeros((num_envs, len(self.market.symbols)), dtype=np.float32)
        self._seeded = False

    # The fast face.

    def reset_into(self, obs: npt.NDArray[np.float32], *, seed: int | Sequence[int] | None = None) -> None:
        """Restart every environment and write the first observations into `obs`, float32 [N, D], C-contiguous."""
        self._seed(seed)
        self.batch.reset(obs)
        self._seen = obs

    def step_into(
        self,
        actions: npt.NDArray[np.float32] | npt.NDArray[np.int64],
        *,
        obs: npt.NDArray[np.float32],
        reward: npt.NDArray[np.float32],
        terminated: npt.NDArray[np.bool_],
        truncated: npt.NDArray[np.bool_],
        final_obs: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Step every environment and write into the caller's arrays; nothing is checked and nothing allocated.

        `actions`: float32 [N, A] target weights (any numbers: they are projected as `kernel.project` says, and one
        that is not finite counts as 0 and is counted in `rejected`), or int64 [N] allocations (clipped into range). Written: `obs` float32 [N, D], the observation to act on next; `reward` float32 [N];
        `terminated` (liquidated) and `truncated` (end of the episode or window) bool [N]; and, under SAME_STEP, rows of
        `final_obs` float32 [N, D] for those environments that ended in this step: the observation to bootstrap from.
        Other rows of it are left alone. All arrays are C-contiguous. `obs` is read again by the next call, as what its
        actions answer, and is to be left alone until then.
        """
        weights = self.actions.weights(actions, self._seen, self._weights)
        self.batch.step(weights, obs, reward, terminated, truncated, final_obs)
        self._seen = obs

    @property
    def bars(self) -> npt.NDArray[np.int64]:
        """Return the bar of the market that each environment stands at, [N] (a view)."""
        return self.batch.clock[CLOCK.bar, : self.num_envs]

    @property
    def equity(self) -> npt.NDArray[np.float64]:
        """Return equity at the end of the last step, [N], before any restart (a view)."""
        return self.batch.state[ACCOUNT.closing, : self.num_envs]

    @property
    def rejected(self) -> npt.NDArray[np.float64]:
        """Return how many weights of the last action were not finite, [N] (a view)."""
        return self.batch.state[ACCOUNT.rejected, : self.num_envs]

    # Gymnasium's face.

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Restart all environments, or those of `options["reset_mask"]`, bool [N]; return observations [N, D] and infos."""
        given = known_options(options, "reset_mask").get("reset_mask")
        mask = None if given is None else self._mask(given)
        self._seed(seed)
        obs = np.zeros((self.num_envs, self.layout.size), dtype=np.float32)
        if mask is not None:
            obs[:] = self._last
        self.batch.reset(obs, mask)
        self._last = obs
        return obs.copy(), self._infos()

    def step(
        self, actions: Any
    ) -> tuple[
        npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]
    ]:
        """Step all environments; raise MarketError, with nothing changed, on an action that is not finite or misshapen.

        Infos carry, as arrays [N]: equity, traded, costs, financing, income (money, of this step), reward_core and
        reward_penalty (their difference is the reward), rejected (weights that were not finite); and under SAME_STEP `final_obs` with its mask `_final_obs`.
        """
        if self._last is None:
            raise MarketError("step() before reset()", hint="call reset() first")
        weights = self.actions.weights(self.actions.checked(actions, (self.num_envs,)), self._last, self._weights)
        obs = self._last.copy()
        reward = np.zeros(self.num_envs, dtype=np.float32)
        ended = np.zeros((2, self.num_envs), dtype=np.bool_)
        same = self.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
        final = np.zeros_like(obs) if same else None
        bad = self.batch.step(weights, obs, reward, ended[0], ended[1], final, strict=True)
        if bad >= 0:
            raise MarketError(f"the action of environment {bad} is not finite", hint="check the policy for NaN")
        self._last = obs
        infos = self._infos()
        over = ended[0] | ended[1]
        if same and over.any():
            infos |= {"final_obs": final, "_final_obs": over}
        return obs.copy(), reward.astype(np.float64), ended[0].copy(), ended[1].copy(), infos

    _last: npt.NDArray[np.float32] | None = None  # of Gymnasium's face
    _seen: npt.NDArray[np.float32] | None = None  # of the fast one, the caller's own array

    def _mask(self, given: Any) -> npt.NDArray[np.bool_]:
        """Return which environments are restarted; a mask of another length would be read beyond its end."""
        if self._last is None:
            raise MarketError("reset_mask before the first reset", hint="call reset() once for all environments")
        mask = array_of(given, "the reset_mask")
        if mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise MarketError(
                f"reset_mask has shape {mask.shape} and dtype {mask.dtype}, expected ({self.num_envs},) and bool",
                hint="pass True or False an environment, such as terminated | truncated",
            )
        return np.ascontiguousarray(mask)

    def _seed(self, seed: int | Sequence[int] | None) -> None:
        if seed is None:
            if self._seeded:
                return
            seed = [int(s) for s in self.np_random.integers(0, 2**63, size=self.num_envs)]
        elif isinstance(seed, int | np.integer):
            self._np_random, self._np_random_seed = gym.utils.seeding.np_random(int(seed))
            seed = [int(seed) + i for i in range(self.num_envs)]
        elif not isinstance(seed, Sequence | np.ndarray):
            raise MarketError(f"the seed is {seed!r}", hint="pass a whole number, or one an environment")
        self.batch.seed(seed)
        self._seeded = True

    def _infos(self) -> dict[str, Any]:
        state = self.batch.state
        return {name: state[ACCOUNT.traded + n, : self.num_envs].copy() for n, name in enumerate(INFO)}


def known_options(options: Any, *known: str) -> Mapping[str, Any]:
    """Return the options of a reset; MarketError for one that is not `known`, which would say nothing."""
    given = {} if options is None else options
    if not isinstance(given, Mapping):
        raise MarketError(f"options are a {type(given).__name__}", hint="pass a dictionary, or leave them out")
    if unknown := [name for name in given if name not in known]:
        ways = f"known: {', '.join(known)}; " if known else ""
        raise MarketError(
            f"options hold {unknown[0]!r}, which a reset does not read",
            hint=f"{ways}segments= and the spec's random_start and episode_bars say where episodes begin and end",
        )
    return given


def _mode(name: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(name)
    except ValueError as error:
        known = ", ".join(repr(mode.value) for mode in AutoresetMode)
        raise MarketError(f"autoreset_mode={name!r} is not known", hint=f"take {known}") from error


# Names of the columns of the kernel's state from TRADED on, in their order.
INFO = ("traded", "costs", "financing", "income", "reward_core", "reward_penalty", "equity", "rejected")


def observation_space(market: Market) -> gym.spaces.Box:
    """Return the space of one environment's observations."""
    layout = market.layout
    bound = np.full(layout.size, ACCOUNT_CLIP, dtype=np.float32)
    bound[layout.features] = market.clip
    low, high = -bound, bound.copy()
    high[layout.drawdown] = 0.0
    low[layout.leverage] = 0.0
    return gym.spaces.Box(low, high, dtype=np.float32)
