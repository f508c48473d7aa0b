"""Files that are packed: gzip, bzip2, xz, and a zip archive that holds one file, each known by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final

from wealtharena.data.reading.kinds import check_members, require_text
from wealtharena.errors import DataError

_PACKERS: Final = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ\x00": lzma.decompress}
_ZIPS: Final = (b"PK\x03\x04", b"PK\x05\x06")  # the second of one that is empty
_BROKEN: Final = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error,
                  NotImplementedError, RuntimeError)  # fmt: skip


class BrokenError(DataError):
    """A packed file is cut off or damaged."""


def unpacked(path: Path) -> bytes:
    """Return the bytes of a file, unpacked where they are packed.

    Raises:
        BrokenError: they are cut off or damaged.
        DataError: an archive holds other than one file, or it is of a kind that is no text.
    """
    content = _plain(path, path.read_bytes())
    require_text(path, content)
    return content


def _plain(path: Path, content: bytes) -> bytes:
    try:
        if content.startswith(_ZIPS):
            return _only_file(path, content)
        for begins, unpack in _PACKERS.items():
            if content.startswith(begins):
                return unpack(content)
    except _BROKEN as error:
        raise BrokenError(f"{path.name} cannot be unpacked: {error}", hint="download it again") from error
    return content


def _only_file(path: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [item.filename for item in archive.infolist() if not item.is_dir()]
        check_members(path, names)
        names = [name for name in names if not name.startswith("__MACOSX/")]
        if len(names) != 1:
            raise DataError(f"{path.name} holds {len(names)} files", hint="unpack it, and name what it holds")
        return archive.read(names[0])
