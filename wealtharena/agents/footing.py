"""What is taken off rewards so that they vary less and lead to the same policy: nothing of it depends on the action.

Most of a bar's reward is the market's move, which every account in it shares. What the anchor was paid for the same bar
is known beforehand; what the other accounts of a group were paid that stand at the same bar is known afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.market import Market
from wealtharena.envs.vector_env import PortfolioVectorEnv

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def anchor_rewards(market: Market, env: EnvSpec, segments: Sequence[tuple[int, int]]) -> Float32Array:
    """Return what the anchor is paid for the step from each bar on, [T]: one account a segment, at cost factor 1.

    It starts each segment in cash, as an episode there does; bars of no segment have 0.
    """
    once = env.randomisation.model_copy(update={"enabled": False})
    rules = env.model_copy(update={"random_start": False, "episode_bars": None, "randomisation": once})
    paid = np.zeros(market.length, np.float32)
    for segment in segments:
        account = PortfolioVectorEnv(market, rules, num_envs=1, segments=[segment])
        seen, reward = np.zeros((1, market.layout.size), np.float32), np.zeros(1, np.float32)
        ended, nothing = np.zeros((2, 1), np.bool_), account.actions.empty(1)
        account.reset_into(seen, seed=0)
        while not ended.any():
            bar = int(account.bars[0])
            account.step_into(nothing, obs=seen, reward=reward, terminated=ended[0], truncated=ended[1])
            paid[bar] = reward[0]
    return paid


def less_group(rewards: Float32Array, bars: IntArray, *, group: int) -> Float32Array:
    """Return rewards [T, N] less the mean of the others of the same group, `group` environments in a row.

    Leaving an account's own reward out of the mean keeps the policy gradient unbiased. Where a group's accounts do not
    stand at one bar (one was liquidated), its rewards stay as they are.
    """
    if group == 1:
        return rewards
    together = rewards.reshape(len(rewards), -1, group)
    places = bars.reshape(together.shape)
    others = (together.sum(axis=-1, keepdims=True) - together) / np.float32(group - 1)
    alike = (places == places[..., :1]).all(axis=-1, keepdims=True)
    return np.where(alike, together - others, together).reshape(rewards.shape)
