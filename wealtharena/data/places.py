"""How files of the store are named, and which of them a writer that died has left."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from wealtharena import shown
from wealtharena.errors import DataError

_TEMPORARY: Final = re.compile(r"\..+\.(parquet|csv|json)\.\d+-[0-9a-f]+\.tmp")


def safe(name: str) -> str:
    """Return a folder's name for a symbol, a class or a provider.

    Raises:
        DataError: there is none.
    """
    if name in ("", ".", ".."):
        raise DataError(f"{name!r} is no name for a symbol, a class or a provider")
    return quote(name, safe="=^-_.")


def file_name(symbol: str, interval: str) -> str:
    """Return the name of a file of a symbol's bars."""
    return f"{safe(symbol)}.parquet" if interval == "1d" else f"{safe(symbol)}.{safe(interval)}.parquet"


def label(path: Path) -> str:
    """Return what messages call a file of the store."""
    return f"{path.parent.name}/{path.name}"


def unusable(root: Path | str, error: OSError) -> DataError:
    """Return the error that names `data.root` where it is no folder that can be used."""
    told = f"data.root={shown.without_home(str(root))} is no folder that can be used ({error.strerror})"
    return DataError(told, hint="name another one: data.root=data")


def content(path: Path) -> bytes:
    """Return the content of a file of the store, FileNotFoundError or NotADirectoryError where there is none.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise DataError(
            f"{label(path)} of the store cannot be read ({error.strerror})",
            hint="see whose it is and who may read it, or move it away: the next task=collect makes or fetches it again",
        ) from None


def left_over(root: Path) -> Iterator[Path]:
    """Yield the temporary files of the store's own folders, and no others; the caller holds the writers' lock."""
    own = (root.glob(".catalog.json.*"), (root / "raw").rglob(".*"), root.glob("processed/*/.*"))
    for path in itertools.chain(*own):
        if _TEMPORARY.fullmatch(path.name):
            yield path
