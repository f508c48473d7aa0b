"""`experiment=<file>.yaml`: presets that lie anywhere, as choices of the group `experiment`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from wealtharena.config.foreign import check_preset
from wealtharena.errors import ConfigError


def with_preset_files(overrides: Sequence[str]) -> list[str]:
    """Return the overrides with `experiment=<file>.yaml` made a choice of the group `experiment`; of several files, choices.

    A file is a preset like those of conf/experiment, such as the best.yaml that a search leaves.

    Raises:
        ConfigError: there is no such file.
    """
    return [_presets(item) if item.startswith("experiment=") and ".yaml" in item else item for item in overrides]


def _presets(override: str) -> str:
    named = [_preset(value) if value.endswith(".yaml") else value for value in _values_of(override)]
    return f"experiment={','.join(named)}"


def _values_of(override: str) -> list[str]:
    """Return the values of `experiment=...`: several in a grid, unless a file of the whole name is there."""
    value = override.partition("=")[2].strip("'\"")
    return [value] if _file_at(value) else [one.strip(" '\"") for one in value.split(",")]


def _preset(value: str) -> str:
    path = _file_at(value)
    if path is None:
        raise no_preset(value)
    group, name = path.parent.as_posix().strip("/"), path.stem
    place = f"experiment/{group}" if group not in ("", ".") else "experiment"
    node = _loaded(path, value)
    check_preset(OmegaConf.to_container(node, resolve=False), where=str(path))
    ConfigStore.instance().store(group=place, name=name, node=node, package="_global_", provider="preset")
    return f"{group}/{name}.yaml" if group not in ("", ".") else f"{name}.yaml"


def _loaded(path: Path, value: str) -> DictConfig:
    """Return the keys and values of a preset's file; yaml.YAMLError with its place where it is no YAML."""
    try:
        node = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8 of keys and values"
        raise ConfigError(
            f"experiment={value} cannot be read: {why}", hint="give a YAML file of lines key: value"
        ) from error
    if not isinstance(node, DictConfig):
        raise ConfigError(f"experiment={value} holds a list, no keys", hint="give a YAML file of lines key: value")
    return node


def no_preset(value: str) -> ConfigError:
    """Return what to say of an experiment that is named by a path where no YAML file is."""
    return ConfigError(
        f"experiment={value}: there is no such file", hint="give a preset's name, or the path of its YAML file"
    )


def preset_files(override: str) -> list[Path]:
    """Return the files that `experiment=...` names, as they were typed or as Hydra is told of them, without their first slash."""
    return [found for value in _values_of(override) if (found := _file_at(value)) is not None]


def _file_at(value: str) -> Path | None:
    return next((found for found in (Path(value), Path("/", value)) if found.is_file()), None)
