"""task=serve: the REST service, and the keys that open it."""

from __future__ import annotations

from pathlib import Path

from wealtharena.config.launch import forget_run
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.deployment import keys
from wealtharena.errors import ConfigError
from wealtharena.tasks.console import screen


def run(spec: ExperimentSpec) -> int:
    """Serve until stopped, or create, list or revoke an API key."""
    serve, path = spec.serve, Path(spec.serve.keys_file)
    if serve.action == "run":
        from wealtharena.deployment import server

        server.serve(serve, spec.paths, say=_print, accounts=spec.paper.root)
        return 0
    forget_run()  # keys are kept in a file of their own
    if serve.action == "list_keys":
        for key in keys.read_keys(path).keys:
            _print(f"{key.name}  {key.id}  {key.created_at}")
        return 0
    if serve.key_name is None:
        raise ConfigError(f"serve.action={serve.action} needs a name", hint="try serve.key_name=alice")
    if serve.action == "revoke_key":
        keys.revoke_key(path, serve.key_name)
        _print(f"revoked the key of {serve.key_name}; a running server takes it up within {serve.poll_seconds:g} s")
        return 0
    secret = keys.create_key(path, serve.key_name)
    _print(
        f"{secret}\nThis is the key of {serve.key_name}. It is shown once: only its hash is kept, in {serve.keys_file}."
    )
    return 0


def _print(text: str) -> None:
    screen(answer=True).print(text)
