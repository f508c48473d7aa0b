"""Start the REST service: bind, share a runtime folder between workers, serve until told to stop."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from wealtharena.config import speech
from wealtharena.config.signals import sigterm_as_ctrl_c
from wealtharena.config.specs.runs import PathsSpec, ServeSpec
from wealtharena.deployment.guard import is_loopback
from wealtharena.deployment.keys import KeyRing, read_keys
from wealtharena.deployment.settings import VARIABLE, Settings
from wealtharena.errors import ConfigError
from wealtharena.files import temporary_folder

APPLICATION = "wealtharena.deployment.app:create"


def check_host(spec: ServeSpec, ring: KeyRing) -> str:
    """Return what to tell the operator about who may come in; ConfigError for an open door."""
    if len(ring):
        return f"{len(ring)} API key{'s' if len(ring) > 1 else ''} in force, binding {spec.host}"
    if ring.keyed:
        return f"all keys of {spec.keys_file} are revoked, so nobody is answered: create one, or delete the file"
    if not is_loopback(spec.host):
        raise ConfigError(
            f"serve.host={spec.host} would answer anyone who can reach it, since there are no API keys",
            hint=f"create one: {speech.COMMAND} task=serve serve.action=create_key serve.key_name=<who>; or keep serve.host=127.0.0.1",
        )
    return f"no API keys, so only this machine is answered: binding {spec.host}"


def taking_port(spec: ServeSpec) -> ServeSpec:
    """Return the settings with the port that is listened on: a free one for 0; ConfigError where none can be had.

    It is let go again, since uvicorn takes it in a way of its own for one worker and for several.
    """
    port, had = spec.port, False
    absent: OSError | None = None
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            spec.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                port, had = _tried(family, (address[0], port, *address[2:])), True
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    raise
                absent = error  # a name may have an address of a kind that this machine has not
        if absent is not None and not had:
            raise absent
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"serve.host={spec.host} serve.port={spec.port} cannot be listened on: {getattr(error, 'strerror', error)}",
            hint="choose another serve.port, 0 takes a free one, or an address of this machine",
        ) from error
    return spec.model_copy(update={"port": port})


def _tried(family: int, address: tuple[Any, ...]) -> int:
    """Return the port of an address that nobody listens on; OSError otherwise."""
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tried.bind(address)
        return int(tried.getsockname()[1])


def url(spec: ServeSpec) -> str:
    """Return where the service is."""
    return f"http://{f'[{spec.host}]' if ':' in spec.host else spec.host}:{spec.port}/"


@contextmanager
def prepared(spec: ServeSpec, paths: PathsSpec, *, keyed: bool, accounts: str | None = None) -> Iterator[Settings]:
    """Yield the settings of the workers, with a runtime folder that lives as long; put them into the environment."""
    with temporary_folder("serve") as runtime:
        settings = _settings(spec, paths, runtime=runtime, keyed=keyed, accounts=accounts)
        metrics = runtime / "metrics"
        metrics.mkdir()
        with _environment({VARIABLE: settings.model_dump_json(), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}):
            yield settings


def _settings(spec: ServeSpec, paths: PathsSpec, *, runtime: Path, keyed: bool, accounts: str | None) -> Settings:
    return Settings(
        checkpoints=Path(paths.checkpoints).absolute(),
        keys_file=Path(spec.keys_file).absolute(),
        keyed=keyed,
        runtime=runtime,
        rate_per_minute=spec.rate_per_minute,
        connections_per_address=spec.connections_per_address,
        max_body_bytes=spec.max_body_bytes,
        max_batch=spec.max_batch,
        max_stale_bars=spec.max_stale_bars,
        poll_seconds=spec.poll_seconds,
        audit_file=Path(spec.audit_file).absolute() if spec.audit_file else None,
        paper=Path(accounts).absolute() if accounts else None,
    )


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def nothing_to_import_again() -> Iterator[None]:
    """Keep workers from importing the program that started them: each would spend half a second on the composition.

    A spawned process imports its parent's `__main__` again, where that has a file; the application needs nothing of it.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


@contextmanager
def deaf_until_they_serve() -> Iterator[None]:
    """Let workers begin deaf to Ctrl-C, which reaches every process of a terminal: those that imported told where they were.

    A worker that serves has its own way to end, and the process that started it ends it in any case.
    """
    from uvicorn.supervisors.multiprocess import Process

    start = Process.start

    def deaf(worker: Process) -> None:
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a process that is begun inherits
        try:
            start(worker)
        finally:
            signal.signal(signal.SIGINT, heard)

    Process.start = deaf  # type: ignore[assignment, method-assign]  # uvicorn has no hook before a worker's process
    try:
        yield
    finally:
        Process.start = start  # type: ignore[method-assign]  # as it was


def serve(spec: ServeSpec, paths: PathsSpec, *, say: Callable[[str], None], accounts: str | None = None) -> None:
    """Serve until SIGINT or SIGTERM; requests under way then get `shutdown_seconds` to finish.

    `say` receives what an operator should read; `accounts` is the folder of those that trade. ConfigError where the host
    is open to others and there are no keys, or where the port or the file of audit lines cannot be had.
    """
    import uvicorn

    from wealtharena.deployment.guard import check_audit
    from wealtharena.deployment.protocol import BoundedProtocol

    ring = read_keys(Path(spec.keys_file))
    told = check_host(spec, ring)
    spec = taking_port(spec)
    if spec.audit_file:
        check_audit(Path(spec.audit_file))
    say(f"{url(spec)} ({told})")
    # uvicorn raises the signal again
    with (
        sigterm_as_ctrl_c(),
        prepared(spec, paths, keyed=ring.keyed, accounts=accounts),
        nothing_to_import_again(),
        deaf_until_they_serve(),
    ):
        uvicorn.run(
            APPLICATION,
            factory=True,
            host=spec.host,
            port=spec.port,
            workers=spec.workers,
            loop="auto",
            http=BoundedProtocol,
            ws="none",
            log_config=None,  # the workers have their own, which never waits
            access_log=False,  # the audit line says more, and never a key
            server_header=False,
            date_header=True,
            proxy_headers=False,
            log_level="warning",
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(spec.shutdown_seconds),
        )
