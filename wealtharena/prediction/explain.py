"""Why a policy holds what it holds: each signal put to its training average in turn, and what that changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wealtharena.registry.inference import OnnxPolicy

_MAX_PERTURBED = 4096


@dataclass(frozen=True)
class Signal:
    """One signal of one symbol at the last recorded bar."""

    feature: str
    value: float
    score: float  # in training standard deviations from the training mean
    effect: float  # weight of the symbol with the signal, less its weight with the signal at its training mean


@dataclass(frozen=True)
class Holding:
    """A symbol's weight at the last recorded bar and its signals, the most telling first."""

    symbol: str
    weight: float
    signals: tuple[Signal, ...]


@dataclass(frozen=True)
class Explanation:
    """The last recorded decision of a policy, by symbol."""

    recorded_at: str | None
    cash: float
    holdings: tuple[Holding, ...]


def explain(policy: OnnxPolicy) -> Explanation:
    """Return the decision on the policy's last recorded observation, and each signal's own share in it.

    Occlusion (Zeiler and Fergus 2014): a feature of one symbol, over its whole window, is set to the scaler's mean, and
    the change of that symbol's weight is the effect. Effects do not add up where signals work together.
    """
    meta, probe = policy.metadata, policy.probe
    features, portfolio = probe.features[-1:], probe.portfolio[-1:]
    states = {name: value[-1:] for name, value in probe.states.items()}
    mean, std = policy.scaling.mean, policy.scaling.std
    weights = policy.act(features, portfolio, states or None).weights[0]
    assets, _, count = policy.feature_shape
    effects = (
        _effects(policy, features, portfolio, states, mean.astype(np.float32))
        if assets * count <= _MAX_PERTURBED
        else None
    )
    now = features[0, :, -1, :].astype(np.float64)  # [A, F] at the last bar
    holdings = []
    for asset, symbol in enumerate(meta.symbols):
        signals = [
            Signal(
                name,
                float(now[asset, k]),
                float((now[asset, k] - mean[k]) / std[k]),
                float(weights[asset] - effects[asset, k]),
            )
            for k, name in enumerate(meta.feature_names)
            if effects is not None and np.isfinite(now[asset, k])
        ]
        signals.sort(key=lambda signal: abs(signal.effect), reverse=True)
        holdings.append(Holding(symbol, float(weights[asset]), tuple(signals)))
    return Explanation(meta.recorded_at, 1.0 - float(weights.sum()), tuple(holdings))


def _effects(
    policy: OnnxPolicy,
    features: npt.NDArray[np.float32],
    portfolio: npt.NDArray[np.float32],
    states: dict[str, npt.NDArray[np.float32]],
    mean: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Return [A, F]: the symbol's own weight with the feature set to its mean."""
    assets, _, count = policy.feature_shape
    changed = np.repeat(features, assets * count, axis=0)
    for asset in range(assets):
        for k in range(count):
            changed[asset * count + k, asset, :, k] = mean[k]
    rows = len(changed)
    held = np.repeat(portfolio, rows, axis=0)
    carried = {name: np.repeat(value, rows, axis=0) for name, value in states.items()}
    weights = policy.act(changed, held, carried or None).weights.reshape(assets, count, assets)
    return weights[np.arange(assets), :, np.arange(assets)]
