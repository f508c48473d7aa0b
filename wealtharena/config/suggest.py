"""Near misses: what a misspelt name probably meant."""

from __future__ import annotations

import calendar
import datetime as dt
import difflib
import re
from collections.abc import Iterable
from typing import Final

# what other libraries call it (RLlib, Stable-Baselines3, backtesters, providers): nearness of letters would not find it
_ELSEWHERE: Final = {
    "algo.clip": "clip_range clip_param",
    "algo.entropy_coefficient": "ent_coef entropy_coeff entropy_coef",
    "algo.epochs": "n_epochs num_epochs num_sgd_iter",
    "algo.gae_lambda": "lam lambda lambda_",
    "algo.gamma": "discount discount_factor",
    "algo.learning_rate": "lr",
    "algo.max_grad_norm": "grad_clip",
    "algo.minibatch": "batch_size minibatch_size sgd_minibatch_size",
    "algo.rollout_steps": "n_steps train_batch_size rollout_fragment_length",
    "algo.value_coefficient": "vf_coef vf_loss_coeff",
    "asset.costs.commission_bps": "commission commissions fee fees transaction_cost transaction_cost_pct trading_fees buy_cost_pct sell_cost_pct",
    "asset.costs.half_spread_bps": "slippage spread",
    "asset.limits.long_only": "allow_short allow_shorts shorting",
    "asset.limits.max_gross": "leverage max_leverage",
    "asset.risk_free_bps_per_year": "risk_free risk_free_rate",
    "compute.envs": "n_envs num_envs",
    "compute.runners": "num_workers num_env_runners n_workers",
    "compute=gpu": "gpu cuda device use_gpu use_cuda num_gpus",
    "data.end": "end end_date date_to",
    "data.interval": "timeframe frequency freq bar_size granularity resolution",
    "data.path": "csv file filename data_path csv_path",
    "data.start": "start start_date date_from",
    "data.symbols": "symbol symbols ticker tickers assets pairs instruments",
    "env.initial_cash": "initial_capital initial_balance initial_amount starting_cash capital balance",
    "env.window": "window_size lookback lookback_window lookback_window_size",
    "features.names": "indicators technical_indicators tech_indicator_list feature_list",
    "model.hidden": "net_arch layers hidden_size hidden_sizes hiddens fcnet_hiddens",
    "quiet": "verbose verbosity",
    "seed": "random_seed random_state",
    "split.test_share": "test_size test_ratio test_fraction",
    "split.validation_share": "val_size val_share validation_size validation_ratio validation_split",
    "sweep.trials": "n_trials num_samples",
    "tracking.wandb.mode": "use_wandb wandb_mode log_to_wandb",
    "train.env_steps": "timesteps total_timesteps max_timesteps steps num_steps episodes iterations num_iterations training_iterations",
}
_BY_WORD: Final = {word: key for key, words in _ELSEWHERE.items() for word in words.split()}


def by_another_name(key: str, names: Iterable[str]) -> str:
    """Return the key that other libraries call so, that of the same block first; empty where there is none here."""
    parent, _, leaf = key.rpartition(".")
    meant = _BY_WORD.get(leaf.lower(), "")
    if not meant or "=" in meant:
        return meant
    known = set(names)
    beside = f"{parent}.{meant.rpartition('.')[2]}"
    return beside if beside in known else meant if meant in known else ""


_DAY: Final = re.compile(r"(\d{4})(?:([-/.]?)(\d\d)(?:\2(\d\d))?)?|(\d{4})([-/.])(\d\d?)(?:\6(\d\d?))?")


def as_day(text: str, *, last: bool) -> str:
    """Return a day that begins with its year as 2024-12-31, of a month or a year the first, or the last; empty for anything else."""
    found = _DAY.fullmatch(text)
    if found is None:
        return ""
    year, month, day = (int(found[first] or found[second] or 0) for first, second in ((1, 5), (3, 7), (4, 8)))
    try:
        month = month or (12 if last else 1)
        return str(dt.date(year, month, day or (calendar.monthrange(year, month)[1] if last else 1)))
    except (ValueError, calendar.IllegalMonthError):
        return ""


def did_you_mean(word: str, names: Iterable[str], *, fallback: str = "") -> str:
    """Return `did you mean X?`, else the list of names where it is short, else `fallback`."""
    known = sorted(set(names))
    near = nearest(word, known)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if known and len(known) <= 20:
        return f"known: {', '.join(known)}"
    return fallback


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """Return at most two names that are close to `word`, the closest first."""
    known = list(names)
    by_lower = {name.lower(): name for name in known}
    matches = [by_lower[match] for match in difflib.get_close_matches(word.lower(), by_lower, n=2, cutoff=0.6)]
    return matches[:1] if matches and matches[0].lower() == word.lower() else matches
