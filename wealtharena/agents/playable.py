"""What is given to be played: refused in a sentence before a window is opened for it, or as it reads what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Policy, Trained
from wealtharena.config import plugins
from wealtharena.config.specs.tilt import TiltSpec
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import CheckpointError, ConfigError


def require_policies(policies: Sequence[Policy], *, layout: Callable[[], ObservationLayout]) -> None:
    """Raise ConfigError for what cannot be played, and CheckpointError for a trained policy of another `layout`'s observations."""
    for policy in policies:
        if isinstance(policy, type):
            raise ConfigError(f"the class {policy.__name__} is no policy", hint=f"pass {policy.__name__}()")
        if not (
            callable(getattr(policy, "act", None))
            and callable(getattr(policy, "reset", None))
            and hasattr(policy, "name")
        ):
            raise ConfigError(
                f"a {type(policy).__name__} is no policy",
                hint="pass what train() returned, or an object with name, reset(batch=1) and act(observation)",
            )
        if not (plugins.takes(policy.reset, []) and plugins.takes(policy.act, ["observation"])):
            asked = f"a {type(policy).__name__} is asked by reset() and act(observation)"
            raise ConfigError(asked, hint="give what else they take a default")
        if not isinstance(policy.name, str) or not policy.name:
            raise ConfigError(f"a policy's name is {policy.name!r}", hint='give it one in text, such as "mine"')
        if isinstance(policy, Trained):
            reader_of(policy, layout())


def reader_of(policy: Trained, layout: ObservationLayout) -> Trained:
    """Return the policy as it reads observations that are laid out so: itself, or over these symbols where it was trained on others.

    CheckpointError where it would take such an observation for another one. Symbols may be others, or in another order,
    where the model treats them alike; an ensemble's `spreads` stay one list.
    """
    own, hint = policy.layout, "give it the settings and symbols that it was trained with"
    if own.window != layout.window:
        raise CheckpointError(f"the policy was trained with env.window={own.window}, not {layout.window}", hint=hint)
    if own.feature_names != layout.feature_names:
        raise CheckpointError(f"the policy was trained on other features: {', '.join(own.feature_names)}", hint=hint)
    if own.tilt != layout.tilt:
        parts = [
            name for name in TiltSpec.model_fields if getattr(own.tilt, name, None) != getattr(layout.tilt, name, None)
        ]
        raise CheckpointError(f"the policy was trained with another {', '.join(parts)} of its tilts", hint=hint)
    if own.symbols == layout.symbols:
        return policy
    if isinstance(policy, NetworkPolicy):
        return policy.for_symbols(layout.symbols)
    made = EnsemblePolicy([member.for_symbols(layout.symbols) for member in policy.members], name=policy.name)
    made.spreads = policy.spreads
    return made
