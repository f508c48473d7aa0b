"""Tables in other languages, encodings and short dates: the honest panel, or one line."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.reading.test_cases import shares
from tests.data.reading.test_exports import _load, _refused
from tests.data.specs import compose, with_data
from wealtharena.data import load
from wealtharena.data.reading.archives import unpacked
from wealtharena.data.reading.centuries import written_out
from wealtharena.data.reading.columns import role_of
from wealtharena.errors import DataError

pytestmark = pytest.mark.slow  # hundreds of files are written and read

NAMES = {  # date, open, high, low, close, volume
    "de": "Datum;Eröffnung;Hoch;Tief;Schluss;Volumen",
    "es": "Fecha;Apertura;Máximo;Mínimo;Cierre;Volumen",
    "fr": "Date;Ouverture;Plus Haut;Plus Bas;Clôture;Volume",
    "fr without accents": "DATE;OUVERTURE;PLUS HAUT;PLUS BAS;CLOTURE;VOLUME",
    "it": "Data;Apertura;Massimo;Minimo;Chiusura;Volume",
    "pt": "Data;Abertura;Máxima;Mínima;Último;Vol.",
    "nl": "Datum;Opening;Hoog;Laag;Slot;Volume",
    "pl": "Data;Otwarcie;Najwyzszy;Najnizszy;Zamkniecie;Wolumen",
    "pl with accents": "Data;Otwarcie;Najwyższy;Najniższy;Zamknięcie;Wolumen",
    "sv": "Datum;Öppen;Högst;Lägst;Stängning;Volym",
    "tr": "Tarih;Açılış;Yüksek;Düşük;Şimdi;Hac.",
    "ru": "Дата;Открытие;Макс.;Мин.;Закрытие;Объём",
    "ja": "日付;始値;高値;安値;終値;出来高",
    "ko": "일자;시가;고가;저가;종가;거래량",
    "zh": "日期;开盘价;最高价;最低价;收盘价;成交量",
    "nl, Investing.com": "Datum;Open;Hoog;Laag;Laatste;Vol.",
    "da": "Dato;Åbning;Højeste;Laveste;Lukkekurs;Mængde",
    "no": "Dato;Åpning;Høyeste;Laveste;Sluttkurs;Volum",
    "fi": "Päivämäärä;Avaus;Ylin;Alin;Päätös;Volyymi",
    "cs": "Datum;Otevření;Maximum;Minimum;Zavření;Objem",
    "hu": "Dátum;Nyitó;Maximum;Minimum;Záró;Forgalom (db)",
    "el": "Ημερομηνία;Άνοιγμα;Υψηλό;Χαμηλό;Κλείσιμο;Όγκος",
    "vi": "Ngày;Mở;Cao;Thấp;Đóng;KL",
    "vi, in words": "Ngày;Giá mở cửa;Giá cao nhất;Giá thấp nhất;Giá đóng cửa;Khối lượng",
    "ro": "Data;Deschidere;Maxim;Minim;Închidere;Volum",
    "uk": "Дата;Відкриття;Макс.;Мін.;Закриття;Обсяг",
    "id": "Tanggal;Pembukaan;Tertinggi;Terendah;Penutupan;Volume",
    "Refinitiv": "Date;OPEN_PRC;HIGH_1;LOW_1;TRDPRC_1;ACVOL_UNS",
    "zh, traditional": "日期;開盤價;最高價;最低價;收盤價;成交股數",
}
ENCODINGS = {
    "de": "cp1252", "ru": "cp1251", "ja": "shift_jis", "ko": "euc_kr", "zh": "gb18030", "zh, traditional": "big5",
    "pl with accents": "cp1250", "tr": "cp1254", "es": "mac_roman", "pt": "cp850", "sv": "utf-16", "fr": "cp1252",
}  # fmt: skip
ROLES = ["timestamp", "open", "high", "low", "close", "volume"]


def _bars() -> pd.DataFrame:
    return shares("AAA", bars=60).drop(columns="symbol").set_axis(ROLES, axis=1)


@pytest.mark.parametrize("language", NAMES)
def test_columns_are_known_by_their_names_in_other_languages(language: str) -> None:
    assert [role_of(name) for name in NAMES[language].split(";")] == ROLES
    assert [role_of(name.upper()) for name in NAMES[language].split(";")] == ROLES


@pytest.mark.parametrize("language", ENCODINGS)
def test_an_encoding_without_a_mark_is_told_by_the_names_that_it_gives(tmp_path: Path, language: str) -> None:
    bars = _bars()
    expected = _load(bars, tmp_path / "AAA.csv").fingerprint
    text = bars.set_axis(NAMES[language].split(";"), axis=1).to_csv(index=False, sep=";")
    path = tmp_path / "other" / "AAA.csv"
    path.parent.mkdir()
    found = _load_bytes(text.encode(ENCODINGS[language]), path)
    assert found == expected


def _load_bytes(content: bytes, path: Path, *, at: Path | None = None) -> str:
    path.write_bytes(content)
    spec = with_data(compose(["data=files", "asset=etf"]), path=str(at or path))
    return load(spec.asset, spec.data, seed=0).fingerprint


@pytest.mark.parametrize(
    "form", ["%m/%d/%y", "%d.%m.%y", "%d-%b-%y", "%y-%m-%d", "%d %b %y", "%Y年%m月%d日", "%Y년 %m월 %d일"]
)
@pytest.mark.parametrize("turned", [False, True])
def test_dates_without_their_century_or_with_signs_are_those_of_the_calendar(
    tmp_path: Path, form: str, turned: bool
) -> None:
    bars = _bars()
    expected = _load(bars, tmp_path / "AAA.csv").fingerprint
    bars["timestamp"] = pd.to_datetime(bars["timestamp"]).dt.strftime(form)
    path = tmp_path / "other" / "AAA.csv"
    path.parent.mkdir()
    assert _load(bars[::-1] if turned else bars, path).fingerprint == expected


@settings(max_examples=200)
@given(
    start=st.dates(dt.date(1970, 1, 1), dt.date(2018, 1, 1)),
    count=st.integers(1, 80),
    step=st.sampled_from([1, 7, 30]),
    form=st.sampled_from(["%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d.%m.%y", "%-d/%-m/%y", "%d-%b-%y", "%y-%m-%d"]),
    clock=st.sampled_from(["", " 09:30", " 16:00:00", "T15:00:00Z"]),
    turned=st.booleans(),
)
def test_a_short_date_is_itself_or_asked_about(start, count, step, form, clock, turned):
    days = [start + dt.timedelta(days=step * number) for number in range(count)]
    days = days[::-1] if turned else days
    text = pd.Series([day.strftime(form) + clock for day in days], dtype="string")
    try:
        read = written_out(text, "bars.csv")
    except DataError:  # several readings are possible, as of few rows
        return
    assert read is not None
    assert [cell[:10] for cell in read[0]] == [day.isoformat() for day in days]
    assert [cell[10:].lstrip() for cell in read[0]] == [clock.lstrip(" T")] * count
    assert str(min(days).year) in read[1]


def test_a_year_has_two_digits_at_the_least() -> None:
    read = written_out(pd.Series(["1/12/21", "2/1/21", "3/2/21"], dtype="string"), "bars.csv")
    assert read is not None
    assert list(read[0]) == ["2021-01-12", "2021-02-01", "2021-03-02"]


@pytest.mark.parametrize("clock", ["09.30.00", "12.30.15", "10.05.21", "16.00.00"])
def test_a_time_of_day_with_points_is_no_date(tmp_path: Path, clock: str) -> None:
    bars = _bars().rename(columns={"timestamp": "date"})
    expected = _load(bars, tmp_path / "AAA.csv").fingerprint
    assert _load(bars.assign(time=clock), tmp_path / "AAA.csv").fingerprint == expected


def test_a_short_date_that_may_be_two_is_asked_about(tmp_path: Path) -> None:
    bars = _bars().iloc[:5]
    bars["timestamp"] = ["01/02/03", "02/03/04", "03/04/05", "04/05/06", "05/06/07"]
    _refused(bars, tmp_path / "AAA.csv", "may be written day first or month first or year first")


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y-%m-%d", "%m/%d/%Y"])
def test_rows_that_begin_with_a_ticker_need_no_header(tmp_path: Path, form: str) -> None:
    bars = _bars()
    expected = _load(bars, tmp_path / "AAA.csv").fingerprint
    bars.insert(0, "symbol", "AAA")
    bars["timestamp"] = pd.to_datetime(bars["timestamp"]).dt.strftime(form)
    assert _load(bars.to_csv(index=False, header=False), tmp_path / "all.csv").fingerprint == expected


def test_json_and_days_of_a_spreadsheet_are_named(tmp_path: Path) -> None:
    bars = _bars()
    for lines in (True, False):
        _refused(bars.to_json(orient="records", lines=lines), tmp_path / "AAA.csv", "holds JSON")
    bars["timestamp"] = 44_351 + np.arange(len(bars))
    _refused(bars, tmp_path / "AAA.csv", "44351 in row 1 is no date and no epoch; a spreadsheet counts days so")


PACKED = {
    "csv.gz": gzip.compress,
    "csv.bz2": bz2.compress,
    "csv.xz": lzma.compress,
    "csv.zip": lambda content: _zipped({"AAA.csv": content}),
    "zip": lambda content: _zipped({"some-name.csv": content, "__MACOSX/._some-name.csv": b"x"}),
}


def _zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("folder", [False, True])
def test_a_packed_file_is_the_file_in_it(tmp_path: Path, ending: str, folder: bool) -> None:
    content = _bars().to_csv(index=False).encode()
    expected = _load_bytes(content, tmp_path / "AAA.csv")
    path = tmp_path / "packed" / f"AAA.{ending}"
    path.parent.mkdir()
    packed = PACKED[ending](content)
    assert _load_bytes(packed, path, at=path.parent if folder else path) == expected
    for cut in (len(packed) // 2, len(packed) - 9):
        with pytest.raises(DataError, match="cannot be unpacked") as refused:
            _load_bytes(packed[:cut], path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ending", PACKED)
def test_a_packed_file_with_a_flipped_byte_is_what_it_was_or_refused(tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(3)
    content = _bars().to_csv(index=False).encode()
    packed = PACKED[ending](content)
    path = tmp_path / f"AAA.{ending}"
    for place in rng.integers(8, len(packed), 300):
        harmed = bytearray(packed)
        harmed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(harmed)
        try:
            found = unpacked(path)
        except DataError:
            continue
        assert found == content


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"a.csv": b"x", "b.csv": b"y"}, "holds 2 files"),
        ({}, "holds 0 files"),
        ({"[Content_Types].xml": b"x", "xl/workbook.xml": b"y"}, "is a workbook"),
    ],
)
def test_an_archive_of_other_than_one_file_is_named(tmp_path: Path, members: dict[str, bytes], words: str) -> None:
    with pytest.raises(DataError, match=words):
        _load_bytes(_zipped(members), tmp_path / "AAA.zip")


def test_a_damaged_archive_of_a_folder_is_named_and_one_of_no_bars_passed_over(tmp_path: Path) -> None:
    content = _bars().to_csv(index=False).encode()
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "notes.zip").write_bytes(_zipped({"LICENSE": b"free"}))
    (folder / "book.zip").write_bytes(_zipped({"[Content_Types].xml": b"x", "xl/workbook.xml": b"y"}))
    expected = _load_bytes(content, tmp_path / "AAA.csv")
    assert _load_bytes(content, folder / "AAA.csv", at=folder) == expected
    (folder / "AAA-2024-02.zip").write_bytes(_zipped({"AAA-2024-02.csv": content})[:-40])
    with pytest.raises(DataError, match=r"AAA-2024-02\.zip cannot be unpacked"):
        _load_bytes(content, folder / "AAA.csv", at=folder)


def test_a_web_page_is_named(tmp_path: Path) -> None:
    _refused("<!DOCTYPE html>\n<html><body>Date,Close</body></html>", tmp_path / "AAA.csv", "holds a web page")
