"""What a command prints where it is a question and no job: help, a version, the composed configuration."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr

from wealtharena.config.composition import defaults_for
from wealtharena.config.suggest import nearest
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.files import let_go

_QUESTIONS = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc")
_NOT_FOUND = re.compile(r"package '(.*)' not found in config")


@contextmanager
def answering() -> Iterator[None]:
    """Let an answer be printed: to nobody where its reader has gone; WealthArenaError where it cannot be written."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno is None:  # Hydra's for a choice that is not there is of this kind
            raise
        let_go(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise WealthArenaError(
                f"standard output cannot be written: {error.strerror}", hint="send it to another place"
            ) from error


@contextmanager
def answering_by_hydra(argv: Sequence[str]) -> Iterator[None]:
    """Let Hydra answer what `argv` asks, if it asks for anything; ConfigError for a part that is not there."""
    if not any(word.partition("=")[0] in _QUESTIONS for word in argv):
        yield
        return
    said = io.StringIO()
    try:
        with answering(), redirect_stderr(said):
            yield
    except SystemExit as stop:
        missing = _NOT_FOUND.match(said.getvalue())
        if not stop.code or missing is None:
            raise
        said = io.StringIO()
        _without(missing[1], argv)
    finally:
        sys.stderr.write(said.getvalue())


def _without(part: str, argv: Sequence[str]) -> None:
    """Print the null that Hydra does not find, or raise ConfigError."""
    known = defaults_for(argv)
    if part not in known:
        near = nearest(part, known)
        hint = f"did you mean {' or '.join(near)}?" if near else "look at all of it with --cfg job"
        raise ConfigError(f"--package {part}: there is no such part", hint=hint)
    with answering():
        print("null")  # noqa: T201  # an answer
