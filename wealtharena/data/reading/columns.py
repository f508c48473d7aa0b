"""Which column is what: names as exporters write them, and no role given twice in silence."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from functools import lru_cache
from typing import Final

import pandas as pd

from wealtharena.data.reading import words
from wealtharena.data.reading.aliases import ALIASES, TICKERS_TOO
from wealtharena.data.reading.settled import LACKS, Ledger
from wealtharena.data.reading.words import HOW_TO_NAME, Meaning
from wealtharena.data.reading.zones import without_word
from wealtharena.errors import DataError

_INDICATORS: Final = frozenset({"MA", "SMA", "EMA", "WMA", "AVG", "AVERAGE", "MEAN", "CHANGE", "CHG", "PCT", "PERCENT", "RATIO",
                               "ZSCORE", "STD", "DELTA", "DIFF", "RSI", "OBV", "MFI", "TREND", "SIGNAL", "PROFILE", "OSC",
                               "FLAG", "RANK", "LOG"})  # fmt: skip
PRICES: Final = ("open", "high", "low", "close", "adjclose")
_NAMED: Final = re.compile(r"[^\W\d_]")  # a letter
_LARGE: Final = re.compile(r"[^\W\d_]{3}|000|[\u4e00-\u9fff]")  # of a scale that a price may be counted in
_PAYOUTS: Final = re.compile("^div|div$|divid|distribut|payout|ausschutt")
_FEW: Final = 0.1  # of bars: a payout a month on daily ones is 0.05
_STATED: Final = (*PRICES, "currency", "dividend", "split")  # where several columns differ, which one counts is said
_VOLUMES: Final = ("volume", "quote_volume", "base_volume")
_VAGUE: Final = frozenset({"code", "asset", "instrument", "security", "stock", "pair", "sid"})  # may name other things
_CLASSES: Final = frozenset(("equity", "equities", "stock", "stocks", "share", "shares", "etf", "etfs", "fund", "funds", "crypto",
                             "cryptocurrency", "forex", "fx", "currency", "index", "future", "futures", "commodity", "commodities",
                             "bond", "bonds", "option", "options", "adr", "common stock"))  # fmt: skip
_PLAINER: Final = str.maketrans("ıł", "il")  # letters that no accent makes


def _letters(text: str) -> str:
    """Return letters and digits alone, without case and accents: cloture of Clôture."""
    if not text.isascii():
        text = "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
        text = unicodedata.normalize("NFC", text)
    return "".join(filter(str.isalnum, text.lower().translate(_PLAINER)))


_ROLES: Final = {_letters(name): role for role, names in ALIASES.items() for name in names.split()}
_RANK: Final = {_letters(name): place for names in ALIASES.values() for place, name in enumerate(names.split())}


def plain(name: object) -> str:
    """Return a column's name without case, accents, spaces, signs and what stands in brackets behind it."""
    return _letters(words.without_bracket(name))


def is_nameless(name: object) -> bool:
    """Return whether a column has no name of its own, as an index that pandas wrote."""
    return plain(name) in ("", "index") or plain(name).startswith("unnamed")


def parts_of(name: object) -> tuple[str, Meaning]:
    """Return a column's name without the words behind it, and what these say: `Close (EUR)`, `close_eur`, `volume in lots`.

    Words that no bracket holds count where all of them are known and say something about a price or a volume.
    """
    text = str(name)
    return _parts(text) if _NAMED.search(text) else (text, Meaning())


@lru_cache(maxsize=4096)
def _parts(name: str) -> tuple[str, Meaning]:
    if said := words.bracket(name):
        base = words.without_bracket(name)
        meaning = words.of_payout(said) if _ROLES.get(plain(base)) == "dividend" else words.meaning_of(said)
        if meaning.scale != 1.0 and _ROLES.get(plain(base)) in (*PRICES, "dividend") and not _LARGE.search(said):
            meaning = replace(meaning, scale=1.0, unknown=(*meaning.unknown, said))  # none is counted in M or K
        return base, meaning
    text = name.strip()
    if plain(text) in _ROLES and not any(unicodedata.category(letter) == "Sc" for letter in text[1:]):
        return text, Meaning()
    pieces = [piece for piece in re.split(r"[\s_,./-]+|(?<=[a-z])(?=[A-Z])", text) if piece]
    for cut in range(len(pieces) - 1, 0, -1):
        base, rest = " ".join(pieces[:cut]), pieces[cut:]
        role = _ROLES.get(plain(base))
        if role == "dividend" and (meaning := words.of_payout(" ".join(rest))).telling and meaning.currency:
            return base, meaning
        if role not in (*PRICES, "volume", "turnover") or any(
            len(word) < 3 and word.isascii() and word.isalpha() and word.lower() != "in" for word in rest
        ):
            continue
        meaning = words.meaning_of(" ".join(rest))
        if meaning.telling and not (meaning.count if role in PRICES else meaning.side):
            return base, meaning
    return text, Meaning()


def role_of(name: object) -> str | None:
    """Return the role of a column of that name; None where it says nothing."""
    text = str(name)
    return _role(text) if _NAMED.search(text) else None  # a number, as most cells are near a header


@lru_cache(maxsize=4096)
def _role(name: str) -> str | None:
    if re.search(r"(?i)%|(?<![^\W\d_])(per[ _-]?cent|pct|prozent)(?![^\W\d_])", name):
        return None  # a share of something: no price, volume or cash
    base, said = parts_of(name)
    role = _ROLES.get(plain(base))
    if role == "volume" and (said.currency or said.count == "money"):
        return "quote_volume"
    if role == "turnover" and said.count == "units":  # Forgalom (db), Umsatz (Stück)
        return "volume"
    if role == "close" and said.basis == "all":
        return "adjclose"
    known = role or ("base_volume" if _word_of_volume(name) else None)
    return known or ("timestamp" if _ROLES.get(plain(without_word(name))) == "timestamp" else None)


def is_adjusted(name: object) -> bool:
    """Return whether a column's name says that its prices are adjusted: adjOpen, `Adj. Close`, `Open (adjusted)`."""
    return plain(name).startswith("adj") or parts_of(name)[1].basis == "all" or role_of(name) == "adjclose"


def _word_of_volume(name: object) -> str:
    """Return BTC of `Volume BTC`; "" for any other name."""
    pieces = [piece for piece in re.split(r"[^A-Za-z0-9]+", str(name)) if piece]
    if len(pieces) != 2 or pieces[0].lower() not in ("volume", "vol"):
        return ""
    return pieces[1].upper() if pieces[1].isalnum() and 2 <= len(pieces[1]) <= 10 else ""


def _says_whether(name: object, values: pd.Series) -> bool:
    """Return whether a column named `adjusted` says whether prices are, in words or by 0 and 1, and holds none."""
    return plain(name) == "adjusted" and bool(
        values.dropna().astype("str").str.strip().str.fullmatch(r"[^0-9]*|[01](\.0*)?").all()
    )


def scale_of(name: object) -> tuple[float, str]:
    """Return what a cell of a column named `Volume (000s)`, `Vol [M]` or `volume (hands)` counts, and why in words; 1 where none is told."""
    said = parts_of(name)[1]
    if said.count == "hands":
        return 100.0 * said.scale, "as its name says: a hand is a hundred"
    return said.scale, "as its name says"


def columns_by_role(frame: pd.DataFrame, ledger: Ledger) -> dict[str, list[tuple[str, pd.Series]]]:
    """Return the columns of each role as (name, values), the likeliest first; others are listed as passed over.

    Raises:
        DataError: two columns of one name and role differ, or the table lacks a time or a close.
    """
    found: dict[str, list[tuple[str, pd.Series]]] = {}
    passed: list[str] = []
    blank: dict[str, str] = {}
    strange = strangers(frame, ledger.name)
    for position, column in enumerate(frame.columns):
        label, values = str(column), frame.iloc[:, position]
        role = role_of(column) if label not in strange else None
        if role is None and position == 0 and (plain(column).startswith("unnamed") or not plain(column)):
            role = "timestamp"
        if role is None or _says_whether(column, values):
            passed.append(label or f"column {position + 1}")
        elif role == "symbol" and _holds_classes(label, values):
            ledger.note(f"{label} holds the class of what is traded ({values.iloc[0]}) and no symbol")
        elif role == "period" or not _is_blank(values):
            found.setdefault(role, []).append((label, values))
        else:
            blank[role] = label
    for role, columns in found.items():
        columns.sort(key=lambda item: (is_adjusted(item[0]), _RANK.get(plain(item[0]), 99)))
        if role not in ("timestamp", "period", "name"):
            passed += _one_column(role, columns, ledger)
    passed += [name for role in ("turnover", "quantity") for name, _ in found.get(role, ())]
    if "name" in found:
        passed += _by_name(found, ledger)
    if "close" not in found and "adjclose" in found:
        _take_adjusted(found, ledger)
    _check_constant(found, ledger)
    missing = [name for name in ("timestamp", "close") if name not in found]
    if empty := [blank[name] for name in missing if name in blank]:
        raise DataError(f"{ledger.name}: {' and '.join(empty)} holds nothing in any row", hint="download it again")
    if missing:
        raise DataError(
            f"{ledger.name} has no column for {' and '.join(missing)}; it has {', '.join(map(str, frame.columns))}",
            hint=HOW_TO_NAME,
        )
    volumes = set(_VOLUMES) & set(found)
    lacking = [role for role in ("open", "high", "low") if role not in found] + ([] if volumes else ["volume"])
    if lacking:
        ledger.note(f"{LACKS} {', '.join(lacking)}")
    _state(found, ledger)
    _say_unpaid(frame, passed if "dividend" in found or "adjclose" not in found else [], found.get("dividend"), ledger)
    if passed:
        ledger.settle("passed over", ", ".join(passed))
    return found


def _say_unpaid(
    frame: pd.DataFrame, passed: list[str], dividends: list[tuple[str, pd.Series]] | None, ledger: Ledger
) -> None:
    """Say so where a column that is passed over is called like payouts and has figures on few bars, as these have.

    Beside `dividends` it is said where these have none: special ones. So it is where one contains payouts: Compustat's
    total return factor, CRSP's return beside the one without them.
    """
    places = {plain(column): place for place, column in enumerate(frame.columns)}
    names = {name: frame.iloc[:, places[name]].astype("string") for name in ("trfd", "ret", "retx") if name in places}
    paying = "trfd" in names and names["trfd"].nunique() > 1
    paying |= {"ret", "retx"} <= set(names) and bool((names["ret"] != names["retx"]).fillna(value=False).any())
    paid = pd.to_numeric(dividends[0][1].astype("string"), errors="coerce").fillna(0).to_numpy() if dividends else 0.0
    if passed and paying and not dividends:
        ledger.note(f"{next(iter(names))} contains payouts that no column names: none of them is paid")
    for place, column in enumerate(frame.columns):
        if str(column) not in passed or not _PAYOUTS.search(plain(column)):
            continue
        cells = pd.to_numeric(frame.iloc[:, place].astype("string"), errors="coerce").fillna(0)
        if 0 < (cells > 0).mean() <= _FEW and ((cells > 0) & (paid == 0)).any():
            ledger.note(f"{column} may hold payouts and is passed over; call it dividend if they are cash a share")


def strangers(frame: pd.DataFrame, where: str) -> set[str]:
    """Return the columns that their table shows not to be what their name may mean.

    `C` is a close, and a ticker beside other tickers in a table of closes; `Volume BTC` counts coins where the table is of
    BTC, has that volume in money too, or has no other volume. `Volume MA` and `vol_20` are made of prices or volumes.
    """
    labels = [str(column) for column in frame.columns]
    letters = {plain(label) for label in labels} & set("ohlc")
    unknown = any(label and role_of(label) is None for label in labels[1:])
    lone = "close" not in {role_of(label) for label in labels if len(plain(label)) > 1}  # no column called close
    crowd = unknown or {label.strip() for label in labels if len(label.strip()) == 1} == {"C", "V"}
    lonely = {label for label in labels if lone and crowd and len(letters) < 3 and plain(label) in set("ohlcv")}
    if len(letters) < 4 or any(role_of(label) == "timestamp" for label in labels if plain(label) != "t"):
        lonely |= {label for label in labels if plain(label) == "t"}  # a ticker, where it is no column of letters alone
    if any(plain(label) == "candledatetimeutc" for label in labels):
        lonely |= {label for label in labels if plain(label) == "timestamp"}  # Upbit's, of the last trade in a bar
    if len({role_of(label) for label in labels} & {"open", "high", "low", "close"}) < (4 if unknown else 3):
        lonely |= {label for label in labels if plain(label) in TICKERS_TOO}
    made = _beside_plain(labels)
    named = {label: word for label in labels if (word := _word_of_volume(label)) and role_of(label) == "base_volume"}
    made |= {label for label, word in named.items() if word in _INDICATORS or word[:1].isdigit()}
    coins = {label: word for label, word in named.items() if label not in made}
    if not any(role_of(label) == "quote_volume" for label in labels):
        made |= {
            label for label in labels if plain(label) == "volccy"
        }  # OKX's, of coins or money: the third column tells
    others = any(role_of(label) in ("volume", "quote_volume") for label in labels if label not in named)
    if (not others and len(coins) == 1) or any(role_of(label) == "quote_volume" for label in labels):
        return lonely | made
    told = [where, *(str(name) for label in labels if role_of(label) == "symbol" for name in frame[label].iloc[:1])]
    strange = {label for label, word in coins.items() if not _is_told(word, told)}
    return lonely | made | strange


def _is_told(word: str, names: list[str]) -> bool:
    """Return whether one of the names of a file and its symbols begins with the word, or a part of it does."""
    return len(word) > 1 and any(re.search(rf"(?i)(^|[^a-z]){re.escape(word)}", name) for name in names)


def _beside_plain(labels: list[str]) -> set[str]:
    """Return the columns whose role the words behind their name tell, where another has it by name alone: close_usd beside close."""
    told = {label for label in labels if not words.bracket(label) and parts_of(label)[0] != label.strip()}
    bare = {role_of(label) for label in labels if label not in told}
    return {label for label in told if role_of(label) in bare & {*PRICES, "volume", "turnover", "dividend"}}


def _state(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Write down what the words behind the names of prices and volumes say, and say which of them are not understood.

    Raises:
        DataError: prices are in two currencies or of two sides of the market, or a volume's money is not that of the prices.
    """
    used = {role: found[role][0][0] for role in (*PRICES, *_VOLUMES) if role in found}
    said = {role: parts_of(name)[1] for role, name in used.items()}
    for price in (price for price in PRICES if price in used):
        ledger.state_currency(said[price].currency, f"the column {used[price]}")
    money = said["quote_volume"].currency if "quote_volume" in said else ""
    if money and ledger.currency and not words.agreed(money, ledger.currency):
        raise DataError(
            f"{ledger.name}: {used['quote_volume']} is in {words.shown(money)}, and prices are in {words.shown(ledger.currency)}",
            hint="write it in the money of the prices, or remove it",
        )
    names = (
        [ledger.name, *(str(name) for name in found["symbol"][0][1].iloc[:1])] if "symbol" in found else [ledger.name]
    )
    if money and not ledger.currency and "|" not in money and not any(money in name.upper() for name in names):
        ledger.note(f"{used['quote_volume']} names {money}, and prices do not; it counts in the money of the prices")
    sides = {role: meaning.side for role, meaning in said.items() if meaning.side}
    if len(set(sides.values())) > 1:
        shown = " and ".join(used[role] for role in sides)
        raise DataError(
            f"{ledger.name}: {shown} are of different sides of the market",
            hint="keep the columns of one side, such as mid",
        )
    if sides:
        ledger.note(
            f"prices are those of one side of the market ({', '.join(used[role] for role in sides)}); costs come on top"
        )
    if "volume" in said and said["volume"].count == "lots":
        ledger.note(
            f"{used['volume']} counts lots, each taken as one unit; multiply it by a lot's size if that is not 1"
        )
    for role, meaning in said.items():
        by_word = role == "base_volume" and plain(used[role]) not in _ROLES  # by its first word alone
        unknown = meaning.unknown or tuple(filter(None, [_word_of_volume(used[role])] if by_word else ()))
        strange = [word for word in unknown if not _is_told(word, names)]
        if strange:
            ledger.note(f"of {used[role]}, {' '.join(strange)!r} is not understood and changes nothing")


def _by_name(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> list[str]:
    """Let a column that names securities stand for symbols where the table has none; return the names of the others.

    Raises:
        DataError: it holds several names, one after the other: a security that was renamed, or several of them.
    """
    columns = found.pop("name")
    several = [item for item in columns if item[1].astype("str").str.strip().nunique() > 1]
    rics = [item for item in columns if plain(item[0]) == "ric"]
    if "symbol" not in found and not several and rics:
        found["symbol"] = rics[:1]  # one security's file: its RIC is its symbol, and tells its venue
        ledger.note(f"the file has no column of symbols; {rics[0][0]} is taken for its symbol")
        return [name for name, _ in columns if name != rics[0][0]]
    if "symbol" in found or not several or "timestamp" not in found:
        return [name for name, _ in columns]
    name, values = several[0]
    rows = pd.DataFrame({place: stamps.astype("str") for place, (_, stamps) in enumerate(found["timestamp"])})
    once = rows.assign(name=values.astype("str")).drop_duplicates()
    if not once.duplicated(subset=list(rows)).any():
        raise DataError(
            f"{ledger.name} has no column of symbols, and {name} holds {values.nunique()} names, one after the other",
            hint="call that column symbol if they are several securities, or remove it if one was renamed",
        )
    found["symbol"] = [several[0]]
    ledger.note(f"the file has no column of symbols; {name} tells its securities apart")
    return [other for other, _ in columns if other != name]


def _holds_classes(name: str, values: pd.Series) -> bool:
    """Return whether a column that may name securities names asset classes alone: equity, etf, crypto."""
    words_there = values.astype("string").str.strip().str.lower().dropna().unique() if plain(name) in _VAGUE else ()
    return len(words_there) > 0 and set(words_there) <= _CLASSES


def _check_constant(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Say so where a column such as `code` holds one word in every row, and the file is named like another symbol."""
    if "symbol" not in found or plain(found["symbol"][0][0]) not in _VAGUE:
        return
    name, values = found["symbol"][0]
    held = values.astype("string").str.strip().dropna().unique()
    stem = re.split(r"[\s._-]", ledger.name)[0]
    if len(held) == 1 and re.fullmatch(r"[A-Z0-9]*[A-Z][A-Z0-9]*", stem) and stem not in held[0].upper():
        ledger.note(
            f"its symbol is {held[0]}, which {name} holds in every row; rename that column if the file is of {stem}"
        )


def _one_column(role: str, columns: list[tuple[str, pd.Series]], ledger: Ledger) -> list[str]:
    """Leave one column of a role, the likeliest by name, and write down which prices or cash are not taken; return the others.

    Raises:
        DataError: two columns of one name differ.
    """
    first, others = columns[0], list[str]()
    for name, values in columns[1:]:
        same_name = plain(name) == plain(first[0]) or _RANK.get(plain(name), 99) == _RANK.get(plain(first[0]), 99)
        if is_adjusted(name) != is_adjusted(first[0]):
            continue
        if (values.astype("str").to_numpy() == first[1].astype("str").to_numpy()).all():
            continue
        if same_name or role == "symbol":
            raise DataError(
                f"{ledger.name}: {first[0]} and {name} both stand for {role}, and differ",
                hint="rename or remove one of them",
            )
        others.append(name)
    if others and role in _STATED:
        ledger.settle(role, f"{first[0]} (not {', '.join(others)})")
    rest = [name for name, _ in columns[1:]]
    del columns[1:]
    return rest


def _take_adjusted(found: dict[str, list[tuple[str, pd.Series]]], ledger: Ledger) -> None:
    """Let adjusted closes stand as the close; opens, highs and lows that do not say so may not belong to them."""
    found["close"] = found.pop("adjclose")
    raw = [role for role in ("open", "high", "low") if role in found and not is_adjusted(found[role][0][0])]
    for role in raw:
        del found[role]
    beside = f"; {', '.join(raw)} do not say that they are adjusted as well, and are left out" if raw else ""
    ledger.note(f"the only close is {found['close'][0][0]}{beside}")
    ledger.settle("adjustment", f"by its only close, {found['close'][0][0]}")


def _is_blank(values: pd.Series) -> bool:
    """Return whether a column holds nothing at all."""
    if pd.api.types.is_string_dtype(values) or values.dtype == object:
        texts = (part.astype("string").str.strip().fillna("") for part in (values.iloc[:64], values.iloc[64:]))
        return bool(len(values)) and all((text == "").all() for text in texts)  # the first cells tell of nearly all
    return bool(len(values)) and bool(values.isna().all())
