"""The ECB's reference rates of dates after the end of those in this installation: asked of the ECB, kept beside the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from wealtharena import files
from wealtharena.config.specs.data import DataSpec
from wealtharena.data import currency
from wealtharena.errors import ProviderError

logger = logging.getLogger(__name__)
URL: Final = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.zip"
_NAME: Final = "ECB"
_PAUSE_SECONDS: Final = 3600.0
_next: Final = [float("-inf")]  # the moment of the monotonic clock from which this process may ask again
_COMPARED: Final = 60  # of the installation's last fixings, with those of the same dates in what was sent
_ALIKE: Final = 0.9  # of them, at least


def path_of(root: str) -> Path:
    """Return where a store keeps later rates."""
    return Path(root) / "cache" / "ecb-rates.csv"


def take_kept(root: str) -> None:
    """Take later rates that a store keeps into use; nothing where it has none, or has them damaged: they can be asked for anew."""
    try:
        rates = pd.read_csv(path_of(root), index_col="Date", dtype=np.float64, parse_dates=["Date"])
        rates.index = pd.DatetimeIndex(rates.index).tz_localize("UTC").as_unit("ns")
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError) as error:
        logger.warning("data: %s cannot be read (%s): its rates are not used", path_of(root), type(error).__name__)
        return
    currency.take_later(rates)


def behind(moment: datetime) -> bool:
    """Return whether a weekday's rates must have been fixed by a moment that are not in use; the ECB's holidays are none to it."""
    fixed = (pd.Timestamp(moment) - pd.Timedelta(hours=currency.FIXING_HOUR_UTC)).floor("D")
    fixed -= pd.Timedelta(days=max(fixed.weekday() - 4, 0))
    return bool(fixed > currency.ecb_rates().index[-1])


def abroad(quotes: Iterable[str], account: str, symbols: Collection[str]) -> set[str]:
    """Return the currencies that only the ECB converts to the account's: of which no pair is among the symbols."""
    return {one for one in quotes if one != account and not {one + account, account + one} & set(symbols)}


def reach(
    quotes: Iterable[str], account: str, until: datetime, data: DataSpec, *, symbols: Collection[str] = ()
) -> None:
    """Have the rates that convert quotes to an account's money reach up to a moment, by asking the ECB where those in use do not.

    Where that is not possible a warning says why. What did not come, as on the ECB's holidays, is asked for again an hour
    later; whether bars can be converted without is seen by `currency.from_ecb`.
    """
    if abroad(quotes, account, symbols) and behind(until) and time.monotonic() >= _next[0]:
        _next[0] = time.monotonic() + _PAUSE_SECONDS
        if words := renew(data):
            logger.warning("data: %s", words)


def renew(data: DataSpec) -> str:
    """Ask the ECB for its rates, take them into use and keep them; return in words why that was not possible, else nothing."""
    from wealtharena.data.manners import Manners

    manners = Manners(_NAME, data.rates, where="data.rates")
    url = data.rates.base_url or URL
    try:
        response = manners.call(lambda: manners.get("reference rates", url, params={}))
        if response.status_code != 200:
            return f"the ECB answered HTTP {response.status_code} to {url}"
        rates = currency.read_rates(response.content)
        if not _continues(rates):
            return f"what {url} sent is not the ECB's rates as this installation knows them"
    except ProviderError as error:
        return f"the ECB's rates cannot be had: {error.cause}; those at hand end on {currency.ecb_rates().index[-1]:%Y-%m-%d}"
    except ValueError as error:
        return f"what {url} sent is no file of the ECB's rates: {manners.clean(str(error))}"
    currency.take_later(rates)
    _keep(path_of(data.root))
    return ""


def _continues(rates: pd.DataFrame) -> bool:
    """Return whether rates are those of this installation on the last dates of these."""
    own = currency.installed_rates().iloc[-_COMPARED:]
    there = rates.reindex(index=own.index, columns=own.columns)
    known = own.notna()
    return bool(np.isclose(there, own, rtol=1e-6)[known.to_numpy()].mean() >= _ALIKE)


def _keep(path: Path) -> None:
    later = currency.ecb_rates().iloc[len(currency.installed_rates()) :]
    if not len(later):
        return
    later = later.set_axis([f"{day:%Y-%m-%d}" for day in later.index], axis=0).rename_axis("Date")
    try:
        files.write_text(path, later.to_csv())
    except OSError as error:
        logger.info("the ECB's later rates are not kept in %s (%s)", path.parent.name, type(error).__name__)
