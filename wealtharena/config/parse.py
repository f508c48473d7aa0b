"""From the composed configuration to frozen specs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, cast

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from wealtharena.config import plugins
from wealtharena.config.choices import check_choices
from wealtharena.config.composition import check_search_path, compose_raw, job_overrides
from wealtharena.config.homes import SHARED
from wealtharena.config.paths import conf_dir
from wealtharena.config.problems import UNREADABLE, Problem, composition_error, describe, problems_error
from wealtharena.config.specs.agent import AlgoSpec
from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import expanded, with_quoted_paths
from wealtharena.errors import ConfigError

_BROKERS = "trading.brokers"
_MARKETS = {
    "24/7": ("crypto",),
    "weekday24": ("forex",),
    "CMES": ("commodities",),
}  # calendar of a universe of ours -> classes
_TAKEN = ("anchor", "action")  # of the asset: env.anchor and env.action have taken them


def compose(overrides: Sequence[str] = ()) -> ExperimentSpec:
    """Return the spec of `python run.py <overrides>`; works in any process and also inside a Hydra job.

    Raises:
        ConfigError: an override names something unknown or out of range, or `overrides` is no list of texts.
    """
    _require_texts(overrides)
    overrides = with_quoted_paths(overrides, grid=False)
    check_choices(overrides)
    check_search_path(overrides)
    try:
        cfg = compose_raw(overrides)
    except (HydraException, OmegaConfBaseException, *UNREADABLE) as error:
        raise composition_error(error, overrides) from error
    return parse(cfg, overrides=overrides)


def _require_texts(overrides: object) -> None:
    hint = 'pass a list of them, such as compose(["asset=crypto", "seed=1"])'
    if isinstance(overrides, str) or not isinstance(overrides, Sequence):
        raise ConfigError(f"{overrides!r} is no list of overrides", hint=hint)
    if wrong := [one for one in overrides if not isinstance(one, str)]:
        raise ConfigError(f"{wrong[0]!r} is no override", hint=hint)


def parse(cfg: DictConfig, *, overrides: Sequence[str] | None = None) -> ExperimentSpec:
    """Return the typed, complete and frozen form of a composed configuration.

    `env` receives the asset's costs, limits and contract facts and the reward, `asset` its universe. `overrides` are
    those that the configuration was composed with (default: the running Hydra job's); errors quote conf's values for
    the same choices.

    Raises:
        ConfigError: all problems at once, each with key, value and a way out.
    """
    given = job_overrides() if overrides is None else tuple(overrides)
    _whole(cfg)
    tree = _container(cfg)
    algo_class = _algorithm(tree)
    found: list[Problem] = []
    parts: dict[str, Any] = {}
    for name, part in (("algo", algo_class), ("broker", _broker(tree))):
        try:
            parts[name] = part.model_validate(tree[name])
        except ValidationError as error:
            found += describe(error, part, prefix=f"{name}.")
    try:
        spec = ExperimentSpec.model_validate(
            {**_assembled(tree), "algo": parts.get("algo"), "broker": parts.get("broker")}
        )
        if not found:
            _check_universe(spec)
            _check_tradable(spec)
            _check_trainable(spec)
            return spec
    except ValidationError as error:
        found += describe(error, ExperimentSpec, skip=[name for name in ("algo", "broker") if name not in parts])
    raise problems_error(found, given)


def _container(cfg: DictConfig) -> dict[str, Any]:
    try:
        tree = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{error.full_key or 'the configuration'} cannot be resolved: {str(error).splitlines()[0]}",
            hint="look at it with --cfg job",
        ) from error
    return {str(key): expanded(value) for key, value in cast("dict[Any, Any]", tree).items() if key != "hydra"}


def _whole(tree: Container[Any]) -> None:
    expected = [*ExperimentSpec.model_fields, "universe", "reward"]
    if missing := [name for name in expected if name not in tree]:
        raise ConfigError(f"{', '.join(missing)} is missing", hint="every part is needed: leave it at its default")


def _algorithm(tree: dict[str, Any]) -> type[AlgoSpec]:
    algo = tree["algo"]
    if not isinstance(algo, dict) or not isinstance(algo.get("name"), str):
        raise ConfigError(f"algo={algo} names no algorithm", hint="choose one, such as algo=ppo")
    return plugins.subclass("agents.algorithms", algo["name"], "AlgorithmSpec", AlgoSpec)


def _broker(tree: dict[str, Any]) -> type[BrokerSpec]:
    broker = tree["broker"]
    if not isinstance(broker, dict) or not isinstance(broker.get("name"), str):
        raise ConfigError(f"broker={broker} names no broker", hint="choose one, such as broker=paper")
    return plugins.subclass(_BROKERS, broker["name"], "Settings", BrokerSpec)


def _check_universe(spec: ExperimentSpec) -> None:
    """Raise ConfigError where a universe of ours is of another class: its symbols would be traded by the wrong rules.

    Files of a person's own, and a calendar that was set, say what they mean.
    """
    universe, market = spec.asset.universe, spec.asset.market
    markets = _MARKETS.get(universe.calendar, ("stocks", "etf"))
    file = conf_dir() / "universe" / f"{universe.name}.yaml"
    if (
        market in markets
        or not file.is_file()
        or OmegaConf.select(OmegaConf.load(file), "calendar") != universe.calendar
    ):
        return
    raise ConfigError(
        f"universe={universe.name} is none of {market}, and asset={spec.asset.name} would trade it by the rules of {market}",
        hint=f"choose {' or '.join(f'asset={name}' for name in markets)}, or a universe of {market}",
    )


def _check_tradable(spec: ExperimentSpec) -> None:
    """Raise ConfigError where the broker does not trade what is asked for, with those that do.

    Where `paper.agents` names who trades, each is asked for with its own.
    """
    if spec.paper.agents:
        return
    cause: object = plugins.load(_BROKERS, spec.broker.name).why_not(spec)
    if cause is None:
        return
    if not isinstance(cause, str):
        told = f"why_not answered with a {type(cause).__name__}, neither a text nor None"
        raise plugins.misused(_BROKERS, spec.broker.name, told)
    others = [name for name in plugins.available(_BROKERS) if _trades(name, spec)]
    hint = f"these do: {', '.join(f'broker={name}' for name in others)}"
    raise ConfigError(f"broker={spec.broker.name} {cause}", hint=hint)


def _trades(name: str, spec: ExperimentSpec) -> bool:
    """Return whether a broker that was not chosen trades what is asked for; one that fails is not the mistake to tell of."""
    try:
        return plugins.load(_BROKERS, name).why_not(spec) is None
    except Exception:  # noqa: BLE001 - of a broker that this run does not use; choosing it tells of it
        return False


def _check_trainable(spec: ExperimentSpec) -> None:
    """Raise ConfigError where the algorithm cannot train what is asked for; the trials of a search are asked one by one."""
    if spec.task == "train" and spec.sweep.name == "none":
        plugins.load("agents", "engine").check_trainable(spec)


def _assembled(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the tree with the universe in the asset, and the reward and the asset's rules in the environment."""
    tree = dict(tree)
    universe, reward = tree.pop("universe"), tree.pop("reward")
    if isinstance(tree["asset"], dict) and isinstance(tree["env"], dict):
        shared = {name: tree["asset"][name] for name in SHARED if name in tree["asset"]}
        tree["env"] = _merged(tree["env"], "env", {"reward": reward, **shared})
        if tree["env"].get("action") == "auto" and _tilts(tree):
            tree["env"]["action"] = "tilt"
        own = {name: value for name, value in tree["asset"].items() if name not in _TAKEN}
        tree["asset"] = _merged(own, "asset", {"universe": universe})
    return tree


def _tilts(tree: Mapping[str, Any]) -> bool:
    """Return whether the class prefers actions that its algorithm can use: tilts of an anchor."""
    preferred = tree["asset"].get("action", "auto")
    if preferred not in ("auto", "tilt"):
        raise ConfigError(f"asset.action={preferred} is neither auto nor tilt", hint="choose env.action for one run")
    usable: tuple[str, ...] = plugins.load("agents.algorithms", tree["algo"]["name"]).ACTIONS
    return preferred == "tilt" and preferred in usable


def _merged(node: dict[str, Any], where: str, more: dict[str, Any]) -> dict[str, Any]:
    for name in sorted(node.keys() & more.keys()):
        home = name if name in ("universe", "reward") else f"asset.{name}"
        raise ConfigError(f"unknown key {where}.{name}", hint=f"did you mean {home}?")
    return {**node, **more}
