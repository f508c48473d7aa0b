"""Pages and pictures of a job: a failure to draw one is told and written down, and never ends the job."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from wealtharena.files import relative
from wealtharena.tasks.console import screen

TROUBLE = "not-drawn.txt"


def drawn(folder: Path, what: str, draw: Callable[[], Sequence[Path]]) -> list[Path]:
    """Return the files that `draw` wrote into `folder`; none where it fails, which is said in one line.

    The figures that a page shows stand in run.json, sweep.json or leaderboard.json by then: a picture that cannot be
    drawn must not cost them. What went wrong is kept in not-drawn.txt, for a report of the fault.
    """
    try:
        return list(draw())
    except Exception as error:  # noqa: BLE001  # whatever a drawing stumbles over, the job's result is worth more
        note = folder / TROUBLE
        words = f"{what} could not be drawn: {type(error).__name__}: {error}"
        screen(answer=True).print(f"{words}; every figure is in the JSON beside it", style="yellow")
        try:
            note.write_text(f"{words}\n\n{traceback.format_exc()}")
        except OSError:
            screen(answer=True).print(f"{relative(note)} could not be written either", style="yellow")
        return []
