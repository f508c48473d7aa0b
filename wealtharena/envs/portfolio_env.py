"""One portfolio in one market: the Gymnasium face of the kernel."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.actions import actions_of
from wealtharena.envs.batch import AccountBatch, Segments, market_of
from wealtharena.envs.kernel.rows import ACCOUNT, CLOCK, DISABLED
from wealtharena.envs.market import Market
from wealtharena.envs.vector_env import INFO, known_options, observation_space
from wealtharena.errors import MarketError
from wealtharena.features.panel import FeaturePanel, Scaler


class PortfolioEnv(gym.Env[npt.NDArray[np.float32], Any]):
    """One account; `gym.make("wealtharena/Portfolio-v0", panel=panel, spec=spec)` makes it.

    Actions are target weights, Box [-1, 1]^A, or an allocation, Discrete: cash, long i, short i. An action that is
    not finite, misshapen or of the wrong kind raises MarketError and changes nothing; finite weights outside the
    limits are projected. `terminated` means liquidated, `truncated` the end of the episode or of the window.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # Gymnasium declares it so, on the instance

    def __init__(
        self,
        market: Market | None = None,
        spec: EnvSpec | None = None,
        *,
        panel: Panel | None = None,
        features: FeaturePanel | None = None,
        scaler: Scaler | None = None,
        segments: Segments | None = None,
        render_mode: None = None,
    ) -> None:
        self.market, self.env_spec = market_of(market, spec, panel, features, scaler)
        self.batch = AccountBatch(self.market, self.env_spec, num_envs=1, segments=segments, mode=DISABLED)
        self.layout = self.market.layout
        self.render_mode = render_mode
        self.actions = actions_of(self.env_spec.action, len(self.market.symbols), self.env_spec.limits, self.layout)
        self.observation_space, self.action_space = observation_space(self.market), self.actions.space()
        self._weights = np.zeros((1, len(self.market.symbols)), dtype=np.float32)
        self._reward = np.zeros(1, dtype=np.float32)
        self._ended = np.zeros((2, 1), dtype=np.bool_)
        self._terminated, self._truncated = self._ended[0], self._ended[1]
        self._seeded = False
        self._seen = np.zeros((1, self.layout.size), dtype=np.float32)  # kept: a copy of it may be changed in place

    def reset(
        self, *, seed: int | np.integer[Any] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; the same seed begins the same sequence of episodes."""
        known_options(options)
        if isinstance(seed, np.integer):
            seed = int(seed)  # Gymnasium takes Python's alone
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self.batch.seed([int(seed) if seed is not None else int(self.np_random.integers(0, 2**63))])
            self._seeded = True
        self.batch.reset(self._seen)
        return self._seen[0].copy(), self._info()

    def step(self, action: Any) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Trade toward the action's weights at the next bar and return what is seen at its close.

        The info carries equity, traded, costs, financing, income (money, of this step), reward_core and
        reward_penalty (their difference is the reward).
        """
        checked = self.actions.checked(action, ())
        if self.batch.clock.item(CLOCK.done, 0):
            raise MarketError("the episode is over or was never begun", hint="call reset() first")
        weights = self.actions.weights(checked[np.newaxis], self._seen, self._weights)
        bad = self.batch.step(weights, self._seen, self._reward, self._terminated, self._truncated, None, True)
        if bad >= 0:
            raise MarketError("the action is not finite", hint="check the policy for NaN")
        obs = self._seen[0].copy()
        return obs, self._reward.item(), self._terminated.item(), self._truncated.item(), self._info()

    def describe_observation(self, observation: npt.NDArray[np.float32]) -> dict[str, float]:
        """Return every number of an observation under its name; see ObservationLayout."""
        return self.layout.describe(observation)

    def _info(self) -> dict[str, Any]:
        return dict(zip(INFO, self.batch.state[ACCOUNT.traded :, 0].tolist(), strict=True))
