"""Dates with words in them (a day of the week, a month in another language, the clock before the year) brought to one spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import pandas as pd

from wealtharena.data.reading.centuries import ABBREVIATED, MONTHS
from wealtharena.errors import DataError

_TEXT: Final = (  # a language -> its months, and other words and abbreviations for them behind a slash
    ("German", "januar/jan/jän/jänner februar/feb märz/mär/mrz april/apr mai juni/jun juli/jul august/aug september/sep/sept oktober/okt "
     "november/nov dezember/dez"),
    ("French", "janvier/janv/jan février/févr/fév mars/mar avril/avr mai juin/jun juillet/juil/jul août/aoû septembre/sept/sep "
     "octobre/oct novembre/nov décembre/déc"),
    ("Spanish", "enero/ene febrero/feb marzo/mar abril/abr mayo/may junio/jun julio/jul agosto/ago septiembre/setiembre/sep/sept/set "
     "octubre/oct noviembre/nov diciembre/dic"),
    ("Italian", "gennaio/gen febbraio/feb marzo/mar aprile/apr maggio/mag giugno/giu luglio/lug agosto/ago settembre/set ottobre/ott "
     "novembre/nov dicembre/dic"),
    ("Portuguese", "janeiro/jan fevereiro/fev março/mar abril/abr maio/mai junho/jun julho/jul agosto/ago setembro/set outubro/out "
     "novembro/nov dezembro/dez"),
    ("Dutch", "januari/jan februari/feb maart/mrt april/apr mei juni/jun juli/jul augustus/aug september/sep/sept oktober/okt "
     "november/nov december/dec"),
    ("Swedish", "januari/jan februari/feb mars/mar april/apr maj juni/jun juli/jul augusti/aug september/sep/sept oktober/okt "
     "november/nov december/dec"),
    ("Danish", "januar/jan februar/feb marts/mar april/apr maj juni/jun juli/jul august/aug september/sep/sept oktober/okt "
     "november/nov december/dec"),
    ("Norwegian", "januar/jan februar/feb mars/mar april/apr mai juni/jun juli/jul august/aug september/sep/sept oktober/okt "
     "november/nov desember/des"),
    ("Finnish", "tammikuu/tammikuuta/tammi helmikuu/helmikuuta/helmi maaliskuu/maaliskuuta/maalis huhtikuu/huhtikuuta/huhti "
     "toukokuu/toukokuuta/touko kesäkuu/kesäkuuta/kesä heinäkuu/heinäkuuta/heinä elokuu/elokuuta/elo syyskuu/syyskuuta/syys "
     "lokakuu/lokakuuta/loka marraskuu/marraskuuta/marras joulukuu/joulukuuta/joulu"),
    ("Polish", "styczeń/stycznia/sty luty/lutego/lut marzec/marca/mar kwiecień/kwietnia/kwi maj/maja czerwiec/czerwca/cze "
     "lipiec/lipca/lip sierpień/sierpnia/sie wrzesień/września/wrz październik/października/paź listopad/listopada/lis "
     "grudzień/grudnia/gru"),
    ("Czech", "leden/ledna/led únor/února/úno březen/března/bře duben/dubna/dub květen/května/kvě červen/června/čvn "
     "červenec/července/čvc srpen/srpna/srp září/zář říjen/října/říj listopad/listopadu/lis prosinec/prosince/pro"),
    ("Croatian", "siječanj/siječnja/sij veljača/veljače/velj ožujak/ožujka/ožu travanj/travnja/tra svibanj/svibnja/svi lipanj/lipnja/lip "
     "srpanj/srpnja/srp kolovoz/kolovoza/kol rujan/rujna/ruj listopad/listopada/lis studeni/studenoga/stu prosinac/prosinca/pro"),
    ("Hungarian", "január/jan február/feb/febr március/márc/már április/ápr május/máj június/jún július/júl augusztus/aug "
     "szeptember/szept/szep október/okt november/nov december/dec"),
    ("Romanian", "ianuarie/ian februarie/feb/febr martie/mar aprilie/apr mai iunie/iun iulie/iul august/aug septembrie/sept/sep "
     "octombrie/oct noiembrie/nov/noi decembrie/dec"),
    ("Turkish", "ocak/oca şubat/şub mart/mar nisan/nis mayıs/may haziran/haz temmuz/tem ağustos/ağu eylül/eyl ekim/eki kasım/kas aralık/ara"),
    ("Russian", "январь/января/янв февраль/февраля/фев/февр март/марта/мар апрель/апреля/апр май/мая июнь/июня/июн июль/июля/июл "
     "август/августа/авг сентябрь/сентября/сен/сент октябрь/октября/окт ноябрь/ноября/ноя/нояб декабрь/декабря/дек"),
    ("Greek", "ιανουάριος/ιανουαρίου/ιαν φεβρουάριος/φεβρουαρίου/φεβ μάρτιος/μαρτίου/μαρ απρίλιος/απριλίου/απρ μάιος/μαΐου/μαι "
     "ιούνιος/ιουνίου/ιουν ιούλιος/ιουλίου/ιουλ αύγουστος/αυγούστου/αυγ σεπτέμβριος/σεπτεμβρίου/σεπ οκτώβριος/οκτωβρίου/οκτ "
     "νοέμβριος/νοεμβρίου/νοε δεκέμβριος/δεκεμβρίου/δεκ"),
    ("Indonesian", "januari/jan februari/feb maret/mar april/apr mei juni/jun juli/jul agustus/agu/agt september/sep oktober/okt "
     "november/nov desember/des"),
)  # fmt: skip
_WEEKDAY: Final = re.compile(
    r"^(?:(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?|mo|di|mi|do|fr|sa|so)\b\.?,? *",
    re.IGNORECASE,
)
_REMARK: Final = re.compile(r"(?<=[0-9A-Z]) *\([^()]*\)$")  # JavaScript's `GMT-0400 (EDT)`
_CLOCK_FIRST: Final = re.compile(  # of ctime and Java: Oct 2 09:30:00 2023
    r"^([^\W\d_]{3,}) +([0-9]{1,2}) +([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)((?: +[A-Z]+)?(?:[+-][0-9:]+)?) +([0-9]{4})$"
)
_ORDINAL: Final = re.compile(r"^([0-9]{1,2})(?:\.|er|st|nd|rd|th|º|ª)? *(?=[^\W\d_]{2})")
_OF: Final = re.compile(r"(?<= )de +")
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_UNIT: Final = re.compile(r"[\s.*]*[(\[]?%?[)\]]?$")  # behind a month's name above a column
_INITIALS: Final = "jfmamjjasond"


def _bare(word: str) -> str:
    """Return a word in small letters without accents."""
    marks = unicodedata.normalize("NFKD", word.casefold().replace("ı", "i"))
    return "".join(mark for mark in marks if not unicodedata.combining(mark))


_LANGUAGES: Final = tuple(
    (language, {_bare(word): month for month, names in enumerate(text.split(), 1) for word in names.split("/")})
    for language, text in _TEXT
)
_NUMBERED: Final = {_bare(form.format(month)): month for form in ("{}", "{:02d}", "M{}", "M{:02d}", "{}月", "{}월")
                    for month in range(1, 13)}  # fmt: skip


def months_of(names: Sequence[str]) -> dict[int, int]:
    """Return which month each of twelve names is, by its place, where all twelve stand once among others: words, numbers or initials.

    Words are of one language. Nothing where a month is lacking.
    """
    if len(names) < 12:
        return {}
    words = [_bare(_UNIT.sub("", name.strip())) for name in names]
    for known in (MONTHS, _NUMBERED, *(months for _, months in _LANGUAGES)):
        found = {place: known[word] for place, word in enumerate(words) if word in known}
        if sorted(found.values()) == list(range(1, 13)):
            return found
    letters = "".join(word if len(word) == 1 else " " for word in words)
    at = letters.find(_INITIALS)
    return {at + month: month + 1 for month in range(12)} if at >= 0 else {}


def has_words(text: pd.Series) -> bool:
    """Return whether times are written with words, as their first one shows."""
    return len(text) > 0 and re.search(r"(?!UTC|GMT)[^\W\d_]{3,}|^[A-Z][a-z]\b", str(text.iloc[0])) is not None


def in_english(text: pd.Series, where: str) -> pd.Series:
    """Return times without days of the week and remarks in brackets, their months as English abbreviations.

    A month is taken where one language has all of a column's words, and all such languages mean the same by them; other
    words stay as they are.

    Raises:
        DataError: they are months of several languages that mean different ones.
    """
    cells = [_in_one_order(str(cell)) for cell in text]
    found = {word for cell in cells if (word := _word(cell))}
    if not found or all(_bare(word) in MONTHS for word in found):
        return pd.Series(cells, dtype="string")
    readings = {
        language: {word: months[_bare(word)] for word in found}
        for language, months in _LANGUAGES
        if all(_bare(word) in months for word in found)
    }
    if not readings:
        return pd.Series(cells, dtype="string")
    first = next(iter(readings.values()))
    other = next((language for language, reading in readings.items() if reading != first), None)
    if other is not None:
        word = next(word for word in sorted(found) if readings[other][word] != first[word])
        raise DataError(
            f"{where}: the month {word!r} is another one in {next(iter(readings))} than in {other}",
            hint="write dates like 2024-01-31",
        )
    return pd.Series([_WORD.sub(lambda seen: _month(seen[0], first), cell, count=1) for cell in cells], dtype="string")


def _month(word: str, months: dict[str, int]) -> str:
    return ABBREVIATED[months[word] - 1] if word in months else word


def _word(cell: str) -> str:
    found = _WORD.search(cell)
    return found[0] if found else ""


def _in_one_order(cell: str) -> str:
    cell = _REMARK.sub("", _WEEKDAY.sub("", cell))
    if turned := _CLOCK_FIRST.match(cell):
        name, day, clock, zone, year = turned.groups()
        return f"{name} {day} {year} {clock}{zone}"
    return _OF.sub("", _ORDINAL.sub(r"\1 ", cell))
