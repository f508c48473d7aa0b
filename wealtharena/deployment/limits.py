"""Rate limits that hold over all workers of one server."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

_BUCKET = struct.Struct("dd")  # tokens left, when they were counted (system-wide monotonic clock)


@dataclass
class RateLimiter:
    """A token bucket a name, in a few shared bytes: `per_minute` requests, of which a minute's worth may come at once."""

    folder: Path
    per_minute: int
    _buckets: dict[str, tuple[int, mmap.mmap]] = field(default_factory=dict, init=False)

    def take(self, name: str) -> float:
        """Take one token of `name` and return 0, or the seconds until there is one."""
        descriptor, shared = self._buckets.get(name) or self._open(name)
        rate = self.per_minute / 60.0
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            now = time.monotonic()
            tokens, counted = _BUCKET.unpack_from(shared)
            if not 0.0 < counted <= now:  # a new bucket, or one of before a restart of the machine
                tokens, counted = float(self.per_minute), now
            tokens = min(float(self.per_minute), tokens + (now - counted) * rate)
            wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / rate
            _BUCKET.pack_into(shared, 0, tokens - 1.0 if wait == 0.0 else tokens, now)
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        return wait

    def _open(self, name: str) -> tuple[int, mmap.mmap]:
        descriptor = os.open(self.folder / f"rate-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(descriptor, _BUCKET.size)
        self._buckets[name] = descriptor, mmap.mmap(descriptor, _BUCKET.size)
        return self._buckets[name]

    def close(self) -> None:
        """Let go of the shared files."""
        for descriptor, shared in self._buckets.values():
            shared.close()
            os.close(descriptor)
        self._buckets.clear()
