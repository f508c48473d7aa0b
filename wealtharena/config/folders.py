"""A run directory belongs to one run: a folder that holds one is never begun again without being asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from wealtharena.errors import ConfigError


class Refused(BaseException):
    """Carries an error out of a Hydra callback: Hydra turns every `Exception` of a callback into a warning."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__(str(error))
        self.error = error


class UsedFolders(Callback):
    """Refuses, before Hydra writes a file, a folder in which another run or grid stands."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a used run directory, unless the run in it is to go on."""
        folder = Path(str(config.hydra.run.dir))
        if config.resume is None and (folder / "run.json").exists():
            raise Refused(
                ConfigError(
                    f"hydra.run.dir={folder} already holds a run",
                    hint=f"go on with it by resume={folder}, or choose another folder",
                )
            )

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse the folder of a grid in which jobs stand."""
        folder = Path(str(config.hydra.sweep.dir))
        held = sorted(path.parent.name for path in folder.glob("*/run.json"))
        if held:
            raise Refused(
                ConfigError(
                    f"hydra.sweep.dir={folder} already holds {len(held)} jobs of a grid",
                    hint=f"go on with one by resume={folder / held[0]}, or choose another folder",
                )
            )
