"""API keys: made by a command, shown once, kept as hashes, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wealtharena.errors import ConfigError
from wealtharena.files import NO_ROOM, held, read_regular, write_json
from wealtharena.registry.history import now
from wealtharena.shown import without_home

logger = logging.getLogger("wealtharena.deployment")
_PREFIX = "wa"
_ANOTHER = "name another file: serve.keys_file=serve_keys.json; serve.action=create_key makes it"
_MAX_BYTES = 4 * 1024 * 1024
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


class ApiKey(BaseModel):
    """One key as it is kept: `sha256` of the whole key. A key has 256 random bits, so a fast hash gives nothing away."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{1,64}$", description="names its bucket of requests, a file")
    name: str = Field(max_length=64)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: str = Field(max_length=64)


class KeyFile(BaseModel):
    """serve_keys.json."""

    schema_version: Literal[1]
    keys: tuple[ApiKey, ...]


@dataclass(frozen=True)
class KeyRing:
    """The keys that open the service; without `keyed` none is needed, which only a loopback server may allow."""

    keys: tuple[ApiKey, ...] = ()
    keyed: bool = True

    def __len__(self) -> int:
        return len(self.keys)

    def owner(self, secret: str | None) -> ApiKey | None:
        """Return the key that `secret` is, None for any other; takes the same time whichever it is."""
        given = hashlib.sha256((secret or "").encode("utf-8", "surrogatepass")).hexdigest()
        found: ApiKey | None = None
        for key in self.keys:
            if hmac.compare_digest(key.sha256, given):
                found = key
        if not self.keys:
            hmac.compare_digest(_NOBODY, given)
        return found


OPEN = KeyRing(keyed=False)
SHUT = KeyRing()


def _said(path: Path) -> str:
    return f"serve.keys_file={without_home(str(path))}"


def read_keys(path: Path) -> KeyRing:
    """Return the keys of a file; where it does not exist no key is needed. ConfigError for a file that is not one.

    A file without a key is not the same as no file: it says that all keys were revoked, and opens to nobody.
    """
    try:
        content = KeyFile.model_validate_json(read_regular(path, limit=_MAX_BYTES))
    except FileNotFoundError:
        return OPEN
    except OSError as error:
        raise ConfigError(f"{_said(path)} {error}", hint=_ANOTHER) from error
    except ValidationError as error:
        raise ConfigError(f"{_said(path)} is not a file of keys", hint=_ANOTHER) from error
    return KeyRing(content.keys)


@dataclass
class Keys:
    """The key ring of a worker, read again whenever its file changes.

    That keys are needed is a property of the service and not of a worker: it holds from the first key that any worker
    saw until the server ends. A file that is gone or cannot be read then opens to nobody.
    """

    path: Path
    keyed: bool
    seen: Path  # exists from the first key on; shared by the workers
    ring: KeyRing = SHUT
    _mark: tuple[int, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether nobody is answered because the file is gone or cannot be read; all keys revoked is another ring."""
        return self.ring is SHUT

    def refresh(self) -> None:
        """Take up created and revoked keys; never opens what was shut."""
        mark = self._look()
        if mark == self._mark:
            return
        try:
            ring = read_keys(self.path)
        except ConfigError as error:
            logger.error("nobody is answered: %s", error)
            ring = SHUT
        if ring.keyed and not self.keyed:
            self.seen.touch(mode=0o600)
            self.keyed = True
        if self.keyed and not ring.keyed:
            logger.error("nobody is answered: %s is gone; restore it, or create a key", _said(self.path))
            ring = SHUT
        self.ring = ring
        self._mark = mark

    def _look(self) -> tuple[int, ...]:
        """Return what changes with the file, and with another worker's having seen a key."""
        self.keyed = self.keyed or self.seen.exists()
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return (self.keyed,)
        except OSError as error:
            return (self.keyed, error.errno or -1)
        return (self.keyed, status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode)


def create_key(path: Path, name: str) -> str:
    """Add a key and return it; it is stored nowhere, so this is the only time that it can be read.

    ConfigError where the name is taken, or where the file is none of keys or cannot be written.
    """
    read_keys(path)  # what is no file of keys gets no lock beside it
    identity = secrets.token_hex(4)
    secret = f"{_PREFIX}_{identity}_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = ApiKey(id=identity, name=name, sha256=digest, created_at=now())
    with _alone(path):
        ring = read_keys(path)
        if any(other.name == name for other in ring.keys):
            raise ConfigError(f"serve.key_name={name} has a key already", hint="revoke it first, or take another name")
        _write(path, (*ring.keys, key))
    return secret


def revoke_key(path: Path, name: str) -> None:
    """Remove a key by its name; ConfigError where there is none."""
    if all(key.name != name for key in read_keys(path).keys):
        raise ConfigError(f"serve.key_name={name} is not a key", hint="serve.action=list_keys shows them")
    with _alone(path):
        _write(path, (key for key in read_keys(path).keys if key.name != name))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others from changing the file: what they read before, they would write back, a revoked key too."""
    try:
        with held(path.with_name(f".{path.name}.lock")):
            yield
    except TimeoutError as error:
        raise ConfigError(f"{_said(path)}: {error.strerror}", hint="end it, or try again") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise ConfigError(f"{_said(path)} cannot be written: {error.strerror}", hint=_ANOTHER) from error


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    write_json(path, {"schema_version": 1, "keys": [key.model_dump() for key in keys]})
    path.chmod(0o600)


def secret_of(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the key in a request's headers: `Authorization: Bearer`, `X-API-Key`, or a browser's Basic password."""
    direct = headers.get(b"x-api-key")
    if direct is not None:
        return direct.decode("latin-1")
    scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
