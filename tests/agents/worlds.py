"""Small markets to learn in: random walks with a feature that may know the next return."""

import numpy as np

from wealtharena.agents.engine import Workbench, check_action
from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.anchors import beside
from wealtharena.envs.market import Market
from wealtharena.features.panel import FeaturePanel, Scaler


def features(*, bars: int = 400, assets: int = 3, signal: float = 0.0, seed: int = 0) -> FeaturePanel:
    """Return bars whose first feature explains the share `signal` of the next return's variance; the second is noise."""
    rng = np.random.default_rng(seed)
    known = rng.standard_normal((bars, assets))
    noise = rng.standard_normal((bars, assets))
    returns = np.zeros((bars, assets))
    returns[1:] = 0.01 * (np.sqrt(signal) * known[:-1] + np.sqrt(1 - signal) * noise[1:])
    close = 100.0 * np.exp(np.cumsum(returns, axis=0))
    opened = np.vstack([close[:1], close[:-1]])  # opens where the last bar closed: the whole move can be earned
    symbols = tuple(f"S{i}" for i in range(assets))
    panel = Panel(
        timestamps=np.datetime64("2010-01-04", "ns") + np.arange(bars) * np.timedelta64(1, "D"),
        symbols=symbols,
        close=close,
        tradable=np.ones((bars, assets), bool),
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        volume=None,
        dividends=np.zeros((bars, assets)),
        to_account=np.ones((bars, assets)),
        multipliers=np.ones(assets),
        frequency="1d",
        asset="crypto",
        source="simulated",
        simulated=True,
    )
    values = np.stack([known, rng.standard_normal((bars, assets))], axis=-1).astype(np.float32)
    return FeaturePanel(panel=panel, values=values, names=("known", "noise"), warmup_bars=0)


SMALL = (
    "asset=forex",
    "asset.action=auto",  # weights: where a test is about tilts it says so
    "compute.torch_threads=1",
    "compute.envs=8",
    "env.episode_bars=32",
    "model.hidden=[16,16]",
    "model.recurrent_size=8",
    "model.sequence_bars=4",
    "model.heads=2",
    "asset.instrument.currencies={}",
    "asset.instrument.margin_futures=false",
)


def spec(*overrides: str) -> ExperimentSpec:
    """Return a small experiment."""
    return compose([*SMALL, *overrides])


def bench(job: ExperimentSpec, panel: FeaturePanel | None = None, *, env_steps: int = 4096) -> Workbench:
    """Return what an algorithm is built from, over the whole of a panel."""
    panel = panel or features()
    action = check_action(job)
    env = job.env.model_copy(update={"action": action})
    scaler = Scaler.fit(panel, clip=job.features.clip)
    if env.tilt is not None:
        scaler = beside(scaler)
    market = Market.build(panel, env, scaler)
    return Workbench(job, env, action, market, ((0, market.length),), scaler, panel.panel, env_steps)
