"""Pages that MkDocs writes at build time: every key of the configuration from its spec, every command from its own help.

Texts, types and ranges come from `wealtharena/config/specs`, defaults from `conf/`, readers from the source: nothing
stands here a second time.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs runs from anywhere

from pydantic.fields import FieldInfo  # noqa: E402  # after the path

from tests import quicker, reading  # noqa: E402  # after the path; it knows who reads which key
from wealtharena.config import plugins  # noqa: E402  # after the path
from wealtharena.config.composition import defaults_for, groups, literal  # noqa: E402  # after the path
from wealtharena.config.help import MEANING, help_text  # noqa: E402  # after the path
from wealtharena.config.homes import MOVED, SHARED  # noqa: E402  # after the path
from wealtharena.config.specs.base import Spec  # noqa: E402  # after the path
from wealtharena.config.specs.experiment import ExperimentSpec  # noqa: E402  # after the path

NAMED = {  # units of numbers whose name does not say one; by the whole key where a name has two meanings
    "seed": "a seed", "port": "a port", "client_number": "a number", "parameter": "the reward's own",
    "impact_coefficient": "the bar's volatility", "maintenance_margin": "share", "delisting_haircut": "share",
    "lot_sizes": "units", "multipliers": "account currency", "max_symbols": "symbols", "requests_per_run": "requests",
    "attempts": "times", "leak_floor": "correlation", "leak_ceiling": "correlation", "predictability": "R2",
    "correlation": "correlation", "garch_alpha": "share", "garch_beta": "share", "tail_dof": "degrees of freedom",
    "regime_persistence": "probability a bar", "regime_volatility_ratio": "ratio", "volume": "account currency or units",
    "volume_elasticity": "exponent", "features.clip": "standard deviations", "algo.clip": "share", "tilt_scale": "log share",
    "trade_rate": "share", "cost_low": "factor", "cost_high": "factor", "scale": "factor", "eta": "share a bar",
    "turnover_penalty": "reward a unit of turnover", "risk_aversion": "factor", "drawdown_penalty": "factor",
    "hidden": "units", "heads": "heads", "initial_log_std": "log of weight", "tilt_log_std": "log of weight",
    "runners": "processes", "learners": "processes", "workers": "processes", "cscv_blocks": "blocks",
    "min_trades": "orders", "max_orders": "orders a day", "max_openings": "openings", "max_unfilled": "share",
    "min_invested": "share", "implausible": "Sharpe ratio", "cost_factors": "factor", "trials": "trials",
    "concurrency": "trials", "cpus_per_trial": "processors", "gpus_per_trial": "GPUs", "grace_evaluations": "evaluations",
    "reduction_factor": "factor", "seeds_per_trial": "seeds", "finalists": "configurations", "evaluations": "evaluations",
    "checkpoints": "checkpoints", "patience": "evaluations", "give_up_after": "symbols", "keep": "versions",
    "connections_per_address": "connections", "bar_patience": "seconds", "bar_poll": "seconds", "speed": "factor",
    "resize": "share", "coin_fee": "share", "learning_rate": "a step", "final_learning_rate": "a step",
    "max_batch": "observations", "least_coin_order": "dollars", "least_share_order": "dollars",
    "alpha_learning_rate": "a step", "dropout": "share", "gae_lambda": "share", "value_coefficient": "factor",
    "value_clip": "squared reward", "entropy_coefficient": "reward a nat", "max_grad_norm": "norm", "target_kl": "nats",
    "common_starts": "environments", "passes": "passes", "noise": "weight", "updates": "updates", "tau": "share",
    "initial_alpha": "reward a nat", "target_entropy": "nats a symbol", "conservatism": "factor", "samples": "actions",
    "updates_per_step": "updates", "learning_starts": "environment steps", "epsilon_start": "probability",
    "epsilon_end": "probability", "expectile": "share", "beta": "factor", "quantiles": "quantiles", "dropped": "quantiles",
    "members": "networks", "windows": "windows", "temperature": "Sharpe ratio a bar", "weight_decay": "a step",
    "averaging": "share", "zoo.score": "Sharpe ratio", "zoo.default": "Sharpe ratio",
}  # fmt: skip
UNITS = (  # of a name's last words, the longest first
    ("_bps_per_year", "basis points a year"), ("_per_year", "a year"), ("_bps", "basis points"), ("_seconds", "seconds"),
    ("_bars", "bars"), ("_days", "days"), ("_years", "years"), ("_steps", "environment steps"), ("_share", "share"), ("_bytes", "bytes"),
    ("_per_minute", "a minute"), ("_per_second", "a second"), ("_sigmas", "standard deviations"), ("_weight", "share of equity"),
    ("_gross", "share of equity"), ("_net", "share of equity"), ("_drawdown", "share"), ("_loss", "share"), ("_move", "share"),
    ("_volatility", "a year, share"), ("_drift", "a year, share"), ("_cash", "account currency"), ("_price", "quote currency"),
    ("_cpus", "processors"), ("_threads", "threads"), ("_dsr", "probability"), ("_pbo", "probability"), ("_size", "units"),
    ("_probability", "probability"), ("_correlation", "correlation"), ("_draws", "draws"), ("_seeds", "seeds"),
    ("_trials", "trials"), ("bars", "bars"), ("participation", "share"),
    ("confidence", "probability"), ("gamma", "a bar"), ("epochs", "passes"), ("batch", "steps"), ("minibatch", "steps"),
    ("buffer", "steps"), ("window", "bars"), ("folds", "folds"), ("envs", "environments"), ("band", "share"),
)  # fmt: skip
PLUGGED = {  # groups whose spec depends on the choice: where its module is, and what the spec is called there
    "algo": ("agents.algorithms", "AlgorithmSpec"),
    "broker": ("trading.brokers", "Settings"),
}


class Key(NamedTuple):
    """One key, as a row of the page."""

    name: str
    kind: str
    unit: str
    allowed: str
    default: str
    others: str
    text: str
    readers: tuple[str, ...]


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    quicker.prepare()  # each of some seventy compositions would read conf/ anew
    for name, content in (("reference/keys.md", keys_page()), ("reference/commands.md", commands_page())):
        files.append(File.generated(config, name, content=content))
    return files


def keys_page() -> str:
    """Return the page of every key."""
    parts = [
        "# Every key\n\nMade from the specs and `conf/` when these pages are built. A key is typed as `name=value`; defaults are of "
        "`asset=crypto algo=ppo`, and other choices that set another value stand under it. *Read in* names modules of `wealtharena`.\n"
    ]
    for group, rows in sections():
        parts.append(f"## {group}\n\n{_introduction(group)}\n")
        parts.append("| key | type | unit | range | default | what it is | read in |\n|---|---|---|---|---|---|---|")
        parts += [_row(key) for key in rows]
        parts.append("")
    return "\n".join(parts)


def commands_page() -> str:
    """Return the page of commands: `--help` as it is, then the targets of make."""
    listed = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    rows = "\n".join(f"| `make {name}` | {text} |" for name, text in listed)
    said = help_text("run.py").rstrip()
    return (
        "# Every command\n\nWhat `python run.py --help` says, with every group and choice that there is:\n\n"
        f"```text\n{said}\n```\n\n## Make targets\n\n| target | does |\n|---|---|\n{rows}\n"
    )


@cache
def sections() -> tuple[tuple[str, tuple[Key, ...]], ...]:
    """Return the keys by their first word, in the order of the specs; one section an algorithm."""
    found: dict[str, list[Key]] = {"job": []}
    for key in _keys(ExperimentSpec, "", defaults_for(()), "job"):
        first = key.name.partition(".")[0] if "." in key.name else "job"
        found.setdefault(first, []).append(key)
    for group in PLUGGED:
        found.pop(group, None)
        for choice in groups()[group]:
            section = f"{group}={choice}"
            found[section] = list(_keys(_plugged(group, choice), f"{group}.", defaults_for((section,)), section))
    return tuple((name, tuple(rows)) for name, rows in found.items() if rows)


def _keys(spec: type[Spec], prefix: str, defaults: dict[str, Any], section: str) -> Iterator[Key]:
    for name, field in spec.model_fields.items():
        path = f"{prefix}{name}"
        if path in [f"env.{name}" for name in SHARED]:
            continue
        inner = next(iter(reading.specs_in(field.annotation)), None)
        if inner is not None and not _mapping(field.annotation):
            if path not in PLUGGED:
                yield from _keys(inner, f"{MOVED.get(path, path)}.", defaults, section)
            continue
        default = defaults.get(path, _where_on().get(path, ""))
        yield Key(
            path,
            _kind(field.annotation),
            _unit(path, field.annotation),
            _allowed(field),
            _short(default),
            "" if "=" in section else _others(path, default),
            described(spec, name),
            readers().get(f"{spec.__name__}.{name}") or (spec.__module__.removeprefix("wealtharena."),),
        )


def described(spec: type[Spec], name: str) -> str:
    """Return what a key is, in the words of its spec or of the first base that has any."""
    fields = (base.model_fields.get(name) for base in spec.mro() if issubclass(base, Spec))
    return next((field.description for field in fields if field is not None and field.description), "")


def _plugged(group: str, choice: str) -> type[Spec]:
    where, name = PLUGGED[group]
    spec: type[Spec] = getattr(plugins.load(where, choice), name)
    return spec


@cache
def readers() -> dict[str, tuple[str, ...]]:
    """Return, for `Spec.field`, the modules that read it; a plugin's own fields are those of its file."""
    return reading.readers()


@cache
def _choices() -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return (group, choice, defaults) of every choice that changes values of the groups people choose first."""
    wanted = ("asset", "reward", "features", "split", "model", "compute", "tracking", "task", "risk", "data")
    return tuple(
        (group, choice, defaults_for((f"{group}={choice}",))) for group in wanted for choice in groups().get(group, ())
    )


@cache
def _where_on() -> dict[str, Any]:
    """Return the defaults of what is null unless it is chosen."""
    return defaults_for(("risk=default",))


def _others(path: str, default: Any) -> str:
    """Return what other choices of the key's own group give it."""
    group = {"universe": "asset", "limits": "asset"}.get(path.partition(".")[0], path.partition(".")[0])
    found: dict[str, list[str]] = {}
    for name, choice, values in _choices():
        if name == group and path in values and values[path] != default:
            found.setdefault(_short(values[path]), []).append(choice)
    return "; ".join(f"{', '.join(choices)}: {value}" for value, choices in found.items())


def _introduction(group: str) -> str:
    name, _, choice = group.partition("=")
    if choice:
        return _plugged(name, choice).__doc__ or ""
    choices = groups().get(group, ())
    said = MEANING.get(group, "")
    listed = f" Choices: {', '.join(f'`{group}={choice}`' for choice in choices)}." if choices else ""
    return f"{said[:1].upper()}{said[1:]}.{listed}" if said else listed.strip()


def _row(key: Key) -> str:
    default = f"`{key.default}`" + (f"<br>{key.others}" if key.others else "")
    where = ", ".join(f"`{module}`" for module in key.readers[:3]) + (" ..." if len(key.readers) > 3 else "")
    cells = (f"`{key.name}`", key.kind, key.unit, key.allowed, default, key.text, where)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _mapping(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (dict, Mapping)


def _kind(annotation: Any) -> str:
    """Return a type as a person says it."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " / ".join(f"`{value}`" for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " / ".join("`null`" if part is type(None) else _kind(part) for part in inner)
    if origin is typing.Annotated:
        return _kind(inner[0])
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if _mapping(annotation):
        return f"{_kind(inner[0])} to {_kind(inner[1])}"
    names = {"str": "text", "int": "integer", "float": "number", "bool": "true / false", "date": "date", "Any": "any"}
    return names.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation)))


def _unit(path: str, annotation: Any) -> str:
    """Return the unit of a number by its key; what is no number has none."""
    if not _counts(annotation):
        return "-"
    name = path.rpartition(".")[2]
    known = NAMED.get(path) or NAMED.get(name)
    return known or next((unit for ending, unit in UNITS if name.endswith(ending)), "-")


def _counts(annotation: Any) -> bool:
    """Return whether a value of the type is a number, or holds numbers."""
    inner = typing.get_args(annotation)
    return annotation in (int, float) or (
        typing.get_origin(annotation) is not Literal and any(_counts(part) for part in inner)
    )


def _allowed(field: FieldInfo) -> str:
    """Return the range of a field from its own constraints."""
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "length at least"}
    parts = []
    for rule in field.metadata:
        parts += [
            f"{word} {getattr(rule, sign)}" for sign, word in signs.items() if getattr(rule, sign, None) is not None
        ]
        if getattr(rule, "pattern", None):
            parts.append(f"like `{rule.pattern}`")
    return ", ".join(parts) or ("any" if _counts(field.annotation) else "-")


def _short(value: Any) -> str:
    text = literal(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def on_page_content(html: str, **_: object) -> str:
    """Let a head of a table without words be a cell: a heading that says nothing is none (axe: empty-table-header)."""
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", html)
