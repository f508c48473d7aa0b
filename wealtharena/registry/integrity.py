"""A checkpoint folder is what its manifest says, byte for byte, or it is refused by the name of the file.

Files are opened without following links and read once; what is hashed is what is used. Nothing is unpickled here:
`weights.pt` is only looked at, so that a pickle with a will of its own is found where it lies.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickletools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wealtharena.errors import CheckpointError
from wealtharena.files import NEWER, newer, read_regular, relative

MANIFEST = "manifest.json"
RESTORE = "restore the file, or roll back"
REQUIRED = ("config.yaml", "metadata.json", "policy.onnx", "probe.npz", "scaler.json", "weights.pt")
_MEBI = 1024 * 1024
MAX_BYTES = {  # what a checkpoint can hold, and how much of each
    "config.yaml": _MEBI,
    "metadata.json": 16 * _MEBI,
    "policy.json": 4 * _MEBI,
    "policy.onnx": 512 * _MEBI,
    "probe.npz": 64 * _MEBI,
    "scaler.json": 4 * _MEBI,
    "weights.pt": 512 * _MEBI,
}
MAX_PICKLE_BYTES = 16 * _MEBI
MAX_MANIFEST_BYTES = 64 * 1024
SCHEMA_VERSION = 1
_MAX_DIGITS = 20

# All that a file of plain tensors names (torch.save of a state dict); anything else is code.
_TENSOR_GLOBALS = frozenset(
    {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
)
_STORAGES = (
    "torch FloatStorage",
    "torch DoubleStorage",
    "torch LongStorage",
    "torch IntStorage",
    "torch BoolStorage",
    "torch HalfStorage",
    "torch BFloat16Storage",
)


@dataclass(frozen=True, eq=False)
class VerifiedFiles:
    """The content of a checkpoint folder, read once and equal to its manifest."""

    folder: Path
    content: Mapping[str, bytes]
    manifest_sha256: str

    def json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the folder as a dict; CheckpointError where it is not one."""
        return _parse_object(self.content[name], f"{self.folder.name}/{name}")


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` in hex."""
    return hashlib.sha256(content).hexdigest()


def listed(folder: Path, *, folders: bool = False) -> list[Path]:
    """Return what is in a folder of the registry, by name, or the `folders` in it; nothing where there is no folder.

    CheckpointError where the system does not say what is in it.
    """
    try:
        return [path for path in sorted(folder.iterdir()) if not folders or path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CheckpointError(
            f"{relative(folder)} cannot be read: {error.strerror}",
            hint="let whoever runs this read it and what is in it",
        ) from error


def write_manifest(folder: Path) -> None:
    """Write `manifest.json`: size and sha256 of every other file of `folder`."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name != MANIFEST:
            content = path.read_bytes()
            files[path.name] = {"sha256": sha256(content), "bytes": len(content)}
    text = json.dumps({"schema_version": SCHEMA_VERSION, "files": files}, indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_verified(folder: Path, *, manifest_sha256: str | None = None) -> VerifiedFiles:
    """Return every file of a checkpoint folder, checked against its manifest; never follows a link, unpickles nothing.

    `manifest_sha256` pins the manifest itself (the history records it). CheckpointError names the offending file.
    """
    where = folder.name
    if folder.is_symlink() or not folder.is_dir():
        raise CheckpointError(f"{where}: not a checkpoint folder", hint="a version is a real folder; links are refused")
    raw = _read(folder / MANIFEST, limit=MAX_MANIFEST_BYTES)
    found = sha256(raw)
    if manifest_sha256 is not None and found != manifest_sha256:
        raise CheckpointError(
            f"{where}/{MANIFEST}: is not the one that was saved", hint="restore the folder, or take another version"
        )
    entries = _manifest_entries(raw, where)
    _same_names(folder, entries)
    content: dict[str, bytes] = {}
    for name, (size, digest) in entries.items():
        data = _read(folder / name, limit=size)
        if len(data) != size or sha256(data) != digest:
            raise CheckpointError(f"{where}/{name}: content differs from the manifest", hint=RESTORE)
        content[name] = data
    _check_tensors(content["weights.pt"], where)
    return VerifiedFiles(folder=folder, content=content, manifest_sha256=found)


def read_described(folder: Path, *, recorded: str | None) -> dict[str, Any]:
    """Return metadata.json of a folder, checked against its manifest and that against the `recorded` hash, but no other file.

    `recorded` is None where nobody can say. CheckpointError names the file that differs.
    """
    name, where = "metadata.json", folder.name
    raw = _read(folder / MANIFEST, limit=MAX_MANIFEST_BYTES)
    if recorded is not None and sha256(raw) != recorded:
        cause = "is not the one that was saved" if recorded else "is in no line of the history"
        raise CheckpointError(f"{where}/{MANIFEST}: {cause}", hint="task=deploy deploy.action=verify tells more")
    size, digest = _manifest_entries(raw, where)[name]
    data = _read(folder / name, limit=size)
    if sha256(data) != digest:
        raise CheckpointError(f"{where}/{name}: content differs from the manifest", hint=RESTORE)
    return _parse_object(data, f"{where}/{name}")


def _manifest_entries(raw: bytes, where: str) -> dict[str, tuple[int, str]]:
    manifest = _parse_object(raw, f"{where}/{MANIFEST}")
    files = manifest.get("files")
    if wrong := newer(manifest, known=SCHEMA_VERSION):
        raise CheckpointError(f"{where}/{MANIFEST} {wrong}", hint=NEWER)
    if manifest.get("schema_version") != SCHEMA_VERSION or not isinstance(files, dict):
        raise CheckpointError(
            f"{where}/{MANIFEST}: not a manifest of version {SCHEMA_VERSION}", hint="save the checkpoint again"
        )
    entries: dict[str, tuple[int, str]] = {}
    for name, entry in files.items():
        size, digest = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not isinstance(size, int) or not isinstance(digest, str) or not 0 <= size <= MAX_BYTES.get(name, -1):
            raise CheckpointError(f"{where}/{MANIFEST}: bad entry {name[:64]!r}", hint="save the checkpoint again")
        entries[name] = (size, digest)
    for name in REQUIRED:
        if name not in entries:
            raise CheckpointError(f"{where}/{MANIFEST}: does not list {name}", hint="save the checkpoint again")
    return entries


def _same_names(folder: Path, entries: Mapping[str, object]) -> None:
    present = {path.name for path in listed(folder)} - {MANIFEST}
    for name in sorted(present - set(entries)):
        raise CheckpointError(f"{folder.name}/{name}: is not in the manifest", hint="remove it, or restore the folder")
    for name in sorted(set(entries) - present):
        raise CheckpointError(f"{folder.name}/{name}: is missing", hint=RESTORE)


def _read(path: Path, *, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; links, devices and larger ones are refused."""
    name = f"{path.parent.name}/{path.name}"
    try:
        return read_regular(path, limit=limit)
    except FileNotFoundError as error:
        raise CheckpointError(f"{name}: is missing", hint=RESTORE) from error
    except OSError as error:
        raise CheckpointError(f"{name}: {error}", hint=RESTORE) from error


def _parse_object(raw: bytes, name: str) -> dict[str, Any]:
    """Return a JSON object whose numbers are finite and whose texts can be written; CheckpointError for any other."""
    try:
        parsed = json.loads(raw, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
        json.dumps(parsed, ensure_ascii=False).encode()  # halves of surrogate pairs can't
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}: is not JSON", hint=RESTORE) from error
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{name}: is not a JSON object", hint=RESTORE)
    return parsed


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number of too many digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _check_tensors(raw: bytes, where: str) -> None:
    """Refuse a weights.pt that is anything but plain tensors, by reading its opcodes without running one."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
            named = [entry for entry in entries if entry.filename.endswith(".pkl")]
            if packed or sum(entry.file_size for entry in named) > MAX_PICKLE_BYTES:
                raise ValueError("packed, or with more to unpickle than tensors need")
            pickles = [archive.read(entry) for entry in named]
        names = {name for content in pickles for name in _globals(content)}
    except Exception as error:  # bytes from outside: zip and pickletools fail in more ways than they name
        raise CheckpointError(
            f"{where}/weights.pt: is not a file of tensors", hint="save the checkpoint again"
        ) from error
    foreign = sorted(names - _TENSOR_GLOBALS - set(_STORAGES))
    if not pickles or foreign:
        cause = f"names {foreign[0][:100]}" if foreign else "holds no tensors"
        raise CheckpointError(
            f"{where}/weights.pt: {cause}, so it is not plain tensors", hint="do not load it; find out who wrote it"
        )


def _globals(content: bytes) -> list[str]:
    """Return what a pickle would import, as `module name`; `computed at run time` where it can't be read off."""
    found = []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("GLOBAL", "INST"):
            found.append(str(argument))
        elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            found.append("something computed at run time")
    return found
