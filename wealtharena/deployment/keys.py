"""API keys: made by a command, shown once, kept as hashes, compared in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from wealtharena.errors import ConfigError
from wealtharena.files import write_json
from wealtharena.registry.history import now

_PREFIX = "wa"
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True)
class ApiKey:
    """One key as it is kept: `sha256` of the whole key. A key has 256 random bits, so a fast hash gives nothing away."""

    id: str
    name: str
    sha256: str
    created_at: str


@dataclass(frozen=True)
class KeyRing:
    """The keys that open the service; empty means that none is needed, which only a loopback server may allow."""

    keys: tuple[ApiKey, ...] = ()

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


def read_keys(path: Path) -> KeyRing:
    """Return the keys of a file, none where it does not exist; ConfigError for a file that is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return KeyRing()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"serve.keys_file={path.name} cannot be read as keys", hint="create a key with serve.action=create_key"
        ) from error
    try:
        return KeyRing(
            tuple(ApiKey(**{name: str(entry[name]) for name in ApiKey.__annotations__}) for entry in content["keys"])
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"serve.keys_file={path.name} is not a file of keys", hint="create a key with serve.action=create_key"
        ) from error


def create_key(path: Path, name: str) -> str:
    """Add a key and return it; it is stored nowhere, so this is the only time that it can be read.

    ConfigError where the name is taken.
    """
    ring = read_keys(path)
    if any(key.name == name for key in ring.keys):
        raise ConfigError(f"serve.key_name={name} has a key already", hint="revoke it first, or take another name")
    identity = secrets.token_hex(4)
    secret = f"{_PREFIX}_{identity}_{secrets.token_urlsafe(32)}"
    key = ApiKey(identity, name, hashlib.sha256(secret.encode()).hexdigest(), now())
    _write(path, (*ring.keys, key))
    return secret


def revoke_key(path: Path, name: str) -> None:
    """Remove a key by its name; ConfigError where there is none."""
    ring = read_keys(path)
    kept = tuple(key for key in ring.keys if key.name != name)
    if len(kept) == len(ring.keys):
        raise ConfigError(f"serve.key_name={name} is not a key", hint="serve.action=list_keys shows them")
    _write(path, kept)


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    write_json(path, {"schema_version": 1, "keys": [asdict(key) for key in keys]})
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
