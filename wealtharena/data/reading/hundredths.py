"""Dividends and turnover in cents or pence beside prices in whole money: the unit counts, or it is asked about."""

from __future__ import annotations

from functools import reduce
from typing import Final

import pandas as pd

from wealtharena.data import currency
from wealtharena.data.reading.columns import PRICES, parts_of
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.words import HUNDREDTHS, SMALL, Meaning, agreed, money_of, shown
from wealtharena.errors import DataError

_HINT: Final = "name the money of the prices too, as in Close (USD), or Close (cents) where they count these"
UNLIKE: Final = 0.0  # the factor between moneys of which neither is the other's hundredth


def in_money_of_prices(numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Bring dividends that their name counts in cents or pence to the money of the prices, in place, and say so.

    Raises:
        DataError: nothing says whether prices count hundredths too, or they are in another money; prices are cents of a
            money whose cents have no code; or a volume is in hundredths of money and nothing shows that prices are.
    """
    _check_prices(found, ledger)
    told = _of_prices(found, ledger)
    money = told[0] if len(told) == 1 else ""
    if "dividend" in numbers:
        _bring_dividends(numbers, found, told, money, ledger)
    if "quote_volume" in numbers and not {"volume", "base_volume"} & set(numbers):  # else their product shows it
        name = found["quote_volume"][0][0]
        paid = parts_of(name)[1].currency
        if _is_small(paid) and factor_between(paid, money) != 1.0:
            raise DataError(f"{ledger.name}: {name} counts hundredths, and prices do not say that they do", hint=_HINT)


def _bring_dividends(
    numbers: pd.DataFrame, found: dict[str, list[tuple[str, pd.Series]]], told: list[str], money: str, ledger: Ledger
) -> None:
    """Bring dividends to the `money` of the prices, "" where these have none or several, which `told` has."""
    name = found["dividend"][0][0]
    said = parts_of(name)[1]
    cash, wholes = said.currency, _wholes(said)
    if cash and len(told) > 1:
        raise DataError(
            f"{ledger.name}: {name} is in one money, and prices are in {' and in '.join(map(shown, told[:3]))}",
            hint="write dividends in the money of the prices, in a column that names none",
        )
    if _is_small(cash) and not money:
        raise DataError(f"{ledger.name}: {name} counts hundredths, and prices do not say whether they do", hint=_HINT)
    factor = factor_between(cash, money) if cash else 1.0
    if (factor == UNLIKE and money) or any(not agreed(code, money) for code in wholes):
        raise DataError(
            f"{ledger.name}: {name} is in other money than {shown(money)}, that of the prices",
            hint="write dividends in the money of the prices",
        )
    if strange := [word for word in said.unknown if word not in wholes]:
        ledger.note(f"of {name}, {' '.join(strange)!r} is not understood and changes nothing")
    for code in (cash, *wholes):
        if "|" in money and agreed(code, money):
            ledger.state_currency(code, f"the column {name}")
    if factor == UNLIKE:
        ledger.note(f"{name} names {shown(cash)}, and prices do not; its dividends count in the money of the prices")
    elif factor != 1.0:
        numbers["dividend"] = numbers["dividend"] * factor
        done = "divided by 100" if factor < 1.0 else "multiplied by 100"
        ledger.note(f"{name} names {shown(cash)}, and prices are in {shown(money)}: its dividends are {done}")


def _check_prices(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    for name in (found[role][0][0] for role in PRICES if role in found):
        if codes := _wholes(parts_of(name)[1]):
            raise DataError(
                f"{ledger.name}: {name} counts cents of {codes[0]}",
                hint=f"divide prices by 100, and call them as in Close ({codes[0]})",
            )


def _wholes(said: Meaning) -> list[str]:
    """Return the codes of the money of which words say hundredths, where these have no code of their own: AUD of `AUD cents`."""
    return [word for word in said.unknown if word in currency.codes()] if said.currency == HUNDREDTHS else []


def _of_prices(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> list[str]:
    """Return the moneys of the prices by the names of their columns or by a column of currencies; none where none is told."""
    if ledger.currency or "currency" not in found:
        return [ledger.currency] if ledger.currency else []
    told = sorted({money_of(str(word)) for word in found["currency"][0][1].dropna().unique()} - {""})
    common = reduce(agreed, told) if told else ""
    return [common] if common else told


def _is_small(money: str) -> bool:
    return money == HUNDREDTHS or money in SMALL


def factor_between(one: str, other: str) -> float:
    """Return what a unit of one money is in the other: 1, 100, 0.01, or `UNLIKE`."""
    if agreed(one, other):
        return 1.0
    if _is_small(one) and _is_small(other):
        return 1.0 if HUNDREDTHS in (one, other) else UNLIKE
    small, whole = (one, other) if _is_small(one) else (other, one)
    if not _is_small(small) or not whole or not (small == HUNDREDTHS or agreed(SMALL[small], whole)):
        return UNLIKE
    return 0.01 if small == one else 100.0
