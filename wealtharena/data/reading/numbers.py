"""Text that stands for numbers: one decimal mark a file, settled by what is written, never by the machine's locale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.data.reading.columns import PRICES
from wealtharena.data.reading.eras import plainer
from wealtharena.data.reading.events import ratios
from wealtharena.data.reading.settled import Ledger
from wealtharena.data.reading.signs import told
from wealtharena.data.reading.words import ABSENT, meaning_of, money_of
from wealtharena.errors import DataError

FloatArray = npt.NDArray[np.float64]
_PLAIN: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_GROUPED: Final = r"[+-]?[1-9]\d{0,2}\.\d{3}"  # 12.345: a decimal, or thousands
_THIRTY_SECONDS: Final = r"\d{2,3}'(?:[0-2]\d|3[01])[0-9+]?"  # 110'165: 110 and 16.5 of 32
_POWER: Final = r"(?<=[\d.])\s?([^\W\d_]+\.?)$"
BEFORE: Final = r"^([+-]?)\s*([^\d\s.,+'-]{1,4}\.?)\s*(?=[\d.,])"  # a sign or code of a currency
_BEHIND: Final = r"(?<=[\d.])\s*([^\d\s.,+'%-]{1,4}\.?)$"
_NO_NUMBER: Final = r"[^\d\s.,+'-]"
_BETWEEN: Final = "'\u2019 \u00a0\u2007\u2009\u202f"  # thousands, beside the mark: apostrophes and blanks of any width
_INDIAN: Final = r"[+-]?\d{1,2}(?:,\d{2})*,\d{3}"  # 15,26,308


def to_numbers(columns: Mapping[str, pd.Series], ledger: Ledger) -> dict[str, pd.Series]:
    """Return the columns as float64, NaN where a cell says that there is nothing.

    Raises:
        DataError: a cell is no number, or infinite, or the file does not show which mark is the decimal one.
    """
    _require_real(columns, ledger.name)
    made = _made(columns, ledger)
    for name, values in made.items():
        if (endless := np.isinf(values.to_numpy())).any():
            row = int(endless.argmax())
            raise DataError(
                f"{ledger.name}: {name} in row {row + 1} is {values.iloc[row]}, not a number", hint="correct the file"
            )
    return made


def _made(columns: Mapping[str, pd.Series], ledger: Ledger) -> dict[str, pd.Series]:
    if "split" in columns:
        columns = {**columns, "split": ratios(columns["split"], ledger.name)}
    written = {name: values for name, values in columns.items() if not _is_number(values)}
    quick = {name: _quick(values) for name, values in written.items()}
    if quick and all(numbers is not None for numbers in quick.values()):
        if ledger.facts.get("separator") == "semicolon":
            _require_decimals(written, ledger.name)
        ledger.settle("decimal mark", "point")
        return {
            name: pd.Series(quick[name] if name in quick else values.to_numpy(dtype=np.float64, na_value=np.nan))
            for name, values in columns.items()
        }
    texts = {name: _text(values, name, ledger) for name, values in written.items()}
    if ledger.facts.get("separator") == "semicolon" and not any(
        values.str.contains(",", regex=False).any() for values in texts.values()
    ):
        _require_decimals(texts, ledger.name)
    powers = {name: _powers(values) for name, values in texts.items() if name.endswith("volume")}
    texts |= {
        name: texts[name].where(power == 0, texts[name].str.replace(_POWER, "", regex=True))
        for name, power in powers.items()
        if power is not None
    }
    mark = _decimal_mark(texts, ledger.name) if texts else "."
    if texts:
        ledger.settle("decimal mark", "comma" if mark == "," else "point")
    made: dict[str, pd.Series] = {}
    for name, values in columns.items():
        if name in texts:
            numbers = _parse(texts[name], mark, name, ledger.name, powers.get(name))
        else:
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        made[name] = pd.Series(numbers, index=values.index)
    return made


def _require_real(columns: Mapping[str, pd.Series], where: str) -> None:
    """Raise DataError where a cast would make numbers of a column that holds none."""
    for name, values in columns.items():
        for kind, words in (
            (pd.api.types.is_bool_dtype, "true and false, not"),
            (pd.api.types.is_complex_dtype, "complex, not real"),
        ):
            if kind(values):
                raise DataError(f"{where}: {name} holds {words} numbers", hint="correct the file")


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values))


def _quick(values: pd.Series) -> FloatArray | None:
    """Return the numbers of a column that is nothing but plain ones and empty cells; None for any other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(values.dtype, pd.StringDtype):
        return None
    cells = pa.array(values.array, type=pa.large_string())
    if not pc.all(pc.match_substring_regex(cells, f"^$|{_PLAIN}")).as_py():
        return None
    numbers = pc.cast(pc.if_else(pc.equal(cells, ""), None, cells), pa.float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _text(values: pd.Series, name: str, ledger: Ledger) -> pd.Series:
    """Return cells without the sign or code of a currency before them, of prices also behind: it states what they are quoted in."""
    text: pd.Series = told(plainer(values.astype("string").fillna("").str.strip()), name, ledger)
    for behind in (False, True):
        if behind and name not in PRICES:
            continue
        text, money = without_money(text, behind=behind)
        for sign, code in money.items() if name in PRICES else ():
            ledger.state_currency(code, f"the sign {sign} in its cells")
    return text


def without_money(text: pd.Series, *, behind: bool) -> tuple[pd.Series, dict[str, str]]:
    """Return cells without the signs or codes of currencies before or behind their numbers, and which code each was of."""
    if not text.str.contains(_NO_NUMBER, regex=True).any():
        return text, {}
    pattern, group = (_BEHIND, 0) if behind else (BEFORE, 1)
    signs = text.str.extract(pattern)[group]
    money = {str(sign): code for sign in signs.dropna().unique() if (code := money_of(str(sign)))}
    if not money:
        return text, money
    bare = text.str.replace(pattern, "" if behind else r"\1", regex=True)
    return text.where(~signs.isin(list(money)), bare), money


def _powers(text: pd.Series) -> pd.Series | None:
    """Return the power of ten that stands behind each number as a letter or word (1.5K, 12,3 Mio.); None where none does.

    A word that is no scale has none, and its cell is no number.
    """
    words = text.str.extract(_POWER)[0]
    sizes = {word: round(math.log10(meaning_of(str(word)).scale)) for word in words.dropna().unique()}
    powers = words.map({word: size for word, size in sizes.items() if size > 0})
    return powers.fillna(0).astype("int64") if powers.notna().any() else None


def _numeric(values: pd.Series) -> pd.Series:
    """Return the cells that are digits and marks alone: a point in `N.A.` is no decimal one."""
    found: pd.Series = values[values.str.contains(r"\d", regex=True) & ~values.str.contains(r"[^\W\d_eE]", regex=True)]
    return found


def _require_decimals(columns: Mapping[str, pd.Series], where: str) -> None:
    """Raise DataError where semicolons separate and every point may be one of thousands, as those write who have decimal commas."""
    shown = ""
    for values in map(_numeric, columns.values()):
        dotted = values[values.str.contains(".", regex=False)]
        if not dotted.str.fullmatch(_GROUPED).all():
            return
        shown = shown or (str(dotted.iloc[0]) if len(dotted) else "")
    if shown:
        raise DataError(
            f"{where}: {shown} may be {shown.replace('.', '')} or {shown.replace('.', ',')}",
            hint="write numbers with a decimal point and no thousands mark, and separate them by commas",
        )


def _decimal_mark(texts: Mapping[str, pd.Series], where: str) -> str:
    """Return the decimal mark that all cells together show.

    Raises:
        DataError: cells contradict each other, or `1,234` might be either number.
    """
    point, comma, unsure = False, False, ""
    for values in map(_numeric, texts.values()):
        marked = values[values.str.contains(",", regex=False)]
        if len(marked):
            both = marked.str.contains(".", regex=False)
            last_comma = marked.str.rfind(",") > marked.str.rfind(".")
            comma |= bool((both & last_comma).any())
            point |= bool((both & ~last_comma).any())
            alone = marked[~both]
            grouped = alone.str.fullmatch(r"[+-]?(?!0,)\d{1,3}(,\d{3})+")  # no thousands stand behind a lone 0
            point |= bool(alone.str.fullmatch(rf"[+-]?\d{{1,3}}(,\d{{3}}){{2,}}|(?=.*,.*,){_INDIAN}").any())
            comma |= bool((~grouped & (alone.str.count(",") == 1)).any())
            unsure = unsure or (str(alone[grouped].iloc[0]) if grouped.any() else "")
        dotted = values[values.str.contains(".", regex=False) & ~values.str.contains(",", regex=False)]
        if len(dotted):
            several = dotted.str.count(r"\.") > 1
            comma |= bool(several.any())
            point |= bool((~several & ~dotted.str.fullmatch(_GROUPED)).any())
    if point and comma:
        raise DataError(
            f"{where}: some numbers have a decimal point and others a decimal comma", hint="write all with a point"
        )
    if unsure and not point and not comma:
        raise DataError(
            f"{where}: {unsure} may be {unsure.replace(',', '')} or {unsure.replace(',', '.')}",
            hint="write numbers with a decimal point and no thousands mark",
        )
    return "," if comma else "."


def _parse(text: pd.Series, mark: str, name: str, where: str, powers: pd.Series | None) -> FloatArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    thousands = "." if mark == "," else ","
    if (
        name in PRICES
        and (quoted := text[text.str.contains("'", regex=False)]).str.fullmatch(_THIRTY_SECONDS).all()
        and len(quoted)
    ):
        raise DataError(
            f"{where}: {name} {quoted.iloc[0]} may be thousands, or {quoted.iloc[0].partition(chr(39))[0]} and thirty-seconds",
            hint="write decimal numbers without a thousands mark",
        )
    clean = text
    if clean.str.contains(rf"[{thousands}{_BETWEEN}]", regex=True).any():
        grouped = clean.str.fullmatch(rf"[+-]?\d{{1,3}}([{thousands}{_BETWEEN}]\d{{3}})+([{mark}]\d*)?")
        grouped |= (mark == ".") & clean.str.fullmatch(rf"{_INDIAN}(\.\d*)?")
        clean = clean.where(~grouped, clean.str.replace(rf"[{thousands}{_BETWEEN}]", "", regex=True))
    if mark == ",":
        clean = clean.where(clean.str.contains(".", regex=False), clean.str.replace(",", ".", regex=False))
    if powers is not None:
        clean = clean.where(powers == 0, clean + "e" + powers.astype("string"))  # exact, unlike a product
    cells = pa.array(clean.to_numpy(dtype=object), type=pa.string())
    good = pc.match_substring_regex(cells, _PLAIN)
    absent = pc.is_in(pc.utf8_lower(cells), value_set=pa.array(ABSENT))
    bad = pc.invert(pc.or_(good, absent)).to_numpy(zero_copy_only=False)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{where}: {name} in row {row + 1} is {text.iloc[row]!r}, not a number", hint="correct the file"
        )
    numbers = pc.cast(pc.if_else(good, cells, None), pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, dtype=np.float64)
