"""What the name of a column in somebody's file says: returns, a level, or nothing that is known."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from wealtharena.data.reading.columns import parts_of, role_of
from wealtharena.data.reading.columns import plain as letters_of

RETURNS: Final = frozenset((
    "return", "returns", "ret", "rets", "strategy",
    *(f"{of}_return{many}" for of in ("daily", "weekly", "monthly", "quarterly", "net", "gross", "portfolio", "strategy", "fund",
                                      "simple", "period") for many in ("", "s")),
))  # fmt: skip
LEVELS: Final = frozenset(("equity", "value", "nav", "balance", "close", "price", "adj_close", "net_asset_value", "portfolio_value",
                           "total"))  # fmt: skip
_NUMBERED: Final = r"portfolio_\d{1,2}_return"  # Portfolio Visualizer's
_LIKELY: Final = frozenset((  # levels, beside whatever is a close of bars, where nothing is called by a sure name
    "navps", "netassetvaluepershare", "unitprice", "unitvalue", "indexvalue", "indexlevel", "totalreturnindex", "totreturnindexgrossdvds",
    "totreturnindexnetdvds", "growthof10k", "growthof10000", "anteilswert", "anteilpreis", "anteilspreis", "rucknahmepreis",
))  # fmt: skip
_GAINS: Final = "ret|pnl|pl$|profit|gewinn|rendi|renta|perf|gain"
PER_CENT: Final = r"[\s_]*[(\[]?\s*(?:%|in\s*%|percent|per\s*cent)\s*[)\]]?\s*$"  # behind a column's name


_PCT: Final = r"^(?:pct|percent|perc)_|_(?:pct|perc|percentage)$"  # as programs write it, of shares now and then


def plain(name: str) -> str:
    """Return a column's name without a per cent sign behind it, in small letters: daily_return of `Daily Return (%)`."""
    text = re.sub(PER_CENT, "", name, flags=re.IGNORECASE).strip().strip("<>")
    return text.lower().replace(" ", "_").replace("-", "_")


@lru_cache(maxsize=4096)  # most cells near a header are asked about, and in turn
def is_return(name: str) -> bool:
    """Return whether a column's name says that it holds returns."""
    return re.sub(_PCT, "", plain(name)) in RETURNS or re.fullmatch(_NUMBERED, plain(name)) is not None


def says_pct(name: str) -> bool:
    """Return whether the name of returns says `pct`: per cents, but of those who call shares so."""
    return re.search(_PCT, plain(name)) is not None


def is_sure(name: str) -> bool:
    """Return whether a column is called by a usual name of returns or of a level, in money or not: `NAV (EUR)`."""
    return is_return(name) or plain(_without_money(name)) in LEVELS


@lru_cache(maxsize=4096)
def is_level(name: str) -> bool:
    """Return whether a column's name says that it holds a level, as that of a close does in any language."""
    if is_return(name):
        return False
    return is_sure(name) or role_of(name) in ("close", "adjclose") or letters_of(name) in _LIKELY


def is_named(name: str) -> bool:
    """Return whether a column's name says that it holds returns or a level."""
    return is_return(name) or is_level(name)


def speaks_of_gains(name: str) -> bool:
    """Return whether a name speaks of gains in some way, beside which a likely level may be the price of what was traded."""
    return not is_level(name) and re.search(_GAINS, letters_of(name)) is not None


def _without_money(name: str) -> str:
    """Return NAV of `NAV (EUR)` and Close of `Close USD`; any other name as it is."""
    base, said = parts_of(name)
    return base if said.currency and not said.unknown else name
