"""Errors of the platform: one small tree, each with a message that says what to do next."""

from __future__ import annotations


class WealthArenaError(Exception):
    """Base of every expected error; `message` says what is wrong and `hint` the way out.

    `exit_code` is what the process returns when the error reaches the top.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class ConfigError(WealthArenaError):
    """The configuration names something unknown, out of range or impossible in combination."""

    exit_code = 2


class UsedFolderError(ConfigError):
    """A job was to begin in a folder that holds another run, which stays as it is."""


class DataError(WealthArenaError):
    """Market data is missing, malformed or fails a quality rule that refuses it."""


class ProviderError(DataError):
    """A provider refused or failed; the message names provider, symbol, cause and remedy."""

    def __init__(self, provider: str, symbol: str, cause: str, *, hint: str = "") -> None:
        super().__init__(f"{provider}: {symbol}: {cause}", hint=hint)
        self.provider = provider
        self.symbol = symbol
        self.cause = cause


class MarketError(WealthArenaError):
    """An environment was built or stepped with something that it cannot accept."""


class TrainingError(WealthArenaError):
    """Training cannot go on: a non-finite loss, an unusable checkpoint, an unsupported engine."""


class FirewallError(WealthArenaError):
    """Code tried to read rows of the test window outside the one function that opens it."""


class CheckpointError(WealthArenaError):
    """A checkpoint is missing, corrupted, incompatible or not what its manifest says."""


class PackageError(CheckpointError):
    """A checkpoint is whole, and the package of a plugin that it needs is not here, or is another than it was trained with."""


class UnknownCheckpointError(CheckpointError, ConfigError):
    """The command line names an agent, a version or a checkpoint folder that is not there."""


class UnknownFileError(DataError, ConfigError):
    """The command line names a file or a folder of market data that is not there."""


class UnusableFileError(DataError, ConfigError):
    """The command line names a file that is there and does not hold, or not clearly, what it is named for."""


class EmptyWindowError(DataError, ConfigError):
    """The command line asks for bars that begin after they end."""


class NoGpuError(TrainingError, ConfigError):
    """A GPU is asked for on a machine that has none."""


class PromotionError(WealthArenaError):
    """A checkpoint does not pass the promotion gate."""


class Interrupted(WealthArenaError):
    """The user stopped the run; what was finished is kept."""

    exit_code = 130


def require_kind(name: str, value: object, kind: type | tuple[type, ...], *, hint: str) -> None:
    """Raise ConfigError where an argument of a public function is of another kind; `hint` says what to pass."""
    if not isinstance(value, kind):
        raise ConfigError(f"{name} is a {type(value).__name__}", hint=hint)


def table_hint(value: object) -> str:
    """Return what to pass in place of what is no DataFrame of pandas: those of polars, Dask and pyarrow say how."""
    way = ""
    if isinstance(value, dict):
        way = ', such as pd.concat(bars, names=["symbol"]) of a table a symbol'
    elif hasattr(value, "to_pandas"):
        way = ", such as bars.to_pandas()"
    elif hasattr(value, "to_frame"):
        way = ', such as bars.to_frame("close")'
    return f"pass a pandas DataFrame{way}"


def kind_of(value: object) -> str:
    """Return what kind of thing a value is: a DataFrame of polars bears the name of pandas' own."""
    kind, package = type(value), type(value).__module__.partition(".")[0]
    return kind.__name__ if package == "builtins" else f"{kind.__name__} of {package}"
