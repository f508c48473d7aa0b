"""What happens when the last job of a multirun has ended: its leaderboard is written."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from wealtharena.config import speech
from wealtharena.config.ending import WHY
from wealtharena.config.folders import Refused
from wealtharena.errors import WealthArenaError
from wealtharena.files import named_in, relative

log = logging.getLogger(__name__)


class Leaderboard(Callback):
    """Hydra's callback that ranks the jobs of a multirun of trainings; failed jobs show as failed rows."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write leaderboard.json and leaderboard.html into the multirun folder."""
        folder = Path(config.hydra.sweep.dir)
        if not trained(folder):
            return
        from wealtharena.config import compose
        from wealtharena.evaluation import records
        from wealtharena.tasks import compare
        from wealtharena.tasks.shared import shared_overrides

        try:
            runs = [run for run in records.find([folder]) if run.content.get("task", "train") == "train"]
            if runs:
                compare.write(folder, runs, spec=compose(["task=compare", *shared_overrides(runs[0].folder)]))
        except WealthArenaError as error:
            log.warning("no leaderboard: %s", error)
        except OSError as error:
            raise Refused(
                WealthArenaError(
                    f"no leaderboard: {relative(Path(named_in(error, str(folder))))}: {os.strerror(error.errno or 0)}",
                    hint=f"make room; the jobs stand, and their leaderboard is made by: {speech.COMMAND} task=compare compare.runs=[{relative(folder)}]",
                )
            ) from error


def trained(folder: Path) -> bool:
    """Return whether any job of the multirun was a training that was not refused: of the others nobody misses a leaderboard."""
    begun = (path for path in folder.rglob("run.json") if not (path.parent / WHY).exists())
    return any(_task(path) == "train" for path in begun)


def _task(path: Path) -> str:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "train"  # what cannot be read is for the leaderboard to name
    return str(content.get("task", "train")) if isinstance(content, dict) else "train"
