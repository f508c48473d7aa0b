"""What a file is by its bytes: Parquet and Arrow are read, whatever they are called; other kinds are named with a way out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from wealtharena.errors import DataError

PARQUET: Final = (".parquet", ".pq")
ARROW: Final = (".feather", ".arrow", ".ipc")
STREAM: Final = b"\xff\xff\xff\xff"  # how one of Arrow begins
_WORKBOOK: Final = "a workbook"
_WAYS: Final = {  # kind -> the reader of pandas that opens it
    _WORKBOOK: "read_excel('{name}')",
    "a pickle": "read_pickle('{name}')",
    "an HDF5 file": "read_hdf('{name}')",
    "an ORC file": "read_orc('{name}')",
    "a Stata file": "read_stata('{name}')",
    "a SAS file": "read_sas('{name}')",
    "an SPSS file": "read_spss('{name}')",
    "an archive of NumPy arrays": "DataFrame(dict(numpy.load('{name}')))",
    "a NumPy array": "DataFrame(numpy.load('{name}'))",
}
_BEGINNINGS: Final = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": _WORKBOOK,
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"SQLite format 3\x00": "an SQLite database",
    b"ORC": "an ORC file",
    b"<stata_dta>": "a Stata file",
    b"MATLAB 5.0": "a MATLAB file",
    b"RDX": "data of R",
    b"X\n\x00": "data of R",
    b"Obj\x01": "an Avro file",
    b"%PDF": "a PDF document",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
}
_ENDINGS: Final = {
    ".dta": "a Stata file",
    ".sas7bdat": "a SAS file",
    ".sav": "an SPSS file",
    ".rds": "data of R",
    ".rda": "data of R",
    ".rdata": "data of R",
    ".mat": "a MATLAB file",
    ".xls": _WORKBOOK,
    ".xlsx": _WORKBOOK,
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".pkl": "a pickle",
    ".pickle": "a pickle",
}
_COLUMNAR: Final = {"Parquet": (b"PAR1", b"PARE"), "Arrow": (b"ARROW1", b"FEA1", STREAM)}
_TAR: Final = slice(257, 262)  # where a tar archive says that it is one


def columnar(path: Path) -> str:
    """Return Parquet or Arrow where a file is one of these by its bytes, whatever its name ends in; "" of any other.

    Raises:
        DataError: its end is missing.
    """
    with path.open("rb") as file:
        beginning = file.read(6)
        file.seek(max(path.stat().st_size - len(beginning), 0))
        ending = file.read()
    kind = _columnar(beginning)
    if kind and not beginning.startswith(STREAM) and not ending.endswith((beginning[:4], beginning)):
        raise DataError(f"{path.name} begins as {kind} does, and lacks its end", hint="download or write it again")
    return kind


def _columnar(beginning: bytes) -> str:
    return next((kind for kind, begins in _COLUMNAR.items() if beginning.startswith(begins)), "")


def require_text(path: Path, content: bytes) -> None:
    """Raise DataError where the bytes of a file, unpacked, are of a kind that is no text, naming it and a way out."""
    if content and not content.strip(b"\x00"):
        raise DataError(f"{path.name} holds zeros alone, as a download does that failed", hint="download it again")
    if packed := _columnar(content):
        raise is_a(path, f"a packed {packed} file")
    kind = next((kind for begins, kind in _BEGINNINGS.items() if content.startswith(begins)), None)
    if kind is None and content[_TAR] == b"ustar":
        kind = "a tar archive"
    if kind is None and b"\x00" in content[:2000] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16
        kind = _ENDINGS.get(path.suffix.lower())
    if kind is not None:
        raise is_a(path, kind)


def check_members(path: Path, members: list[str]) -> None:
    """Raise DataError where a zip archive is what a program writes as one file: a workbook, NumPy arrays."""
    if "[Content_Types].xml" in members or path.suffix.lower() == ".ods":
        raise is_a(path, _WORKBOOK)
    if members and all(name.endswith(".npy") for name in members):
        raise is_a(path, "an archive of NumPy arrays")


def is_a(path: Path, kind: str) -> DataError:
    """Return the refusal of a file of some kind."""
    if kind in _WAYS:
        read = f"pandas.{_WAYS[kind].format(name=path.name)}.to_parquet('{path.stem}.parquet')"
        trust = ", if you trust who wrote it" if kind == "a pickle" else ""
        return DataError(f"{path.name} is {kind}", hint=f"make Parquet of it with {read}{trust}")
    packed = "archive" in kind or "packed" in kind
    return DataError(
        f"{path.name} is {kind}",
        hint="unpack it, and name what it holds" if packed else "write its rows as Parquet or CSV",
    )
