from __future__ import annotations

import pytest

from wealtharena.config.composition import groups
from wealtharena.config.help import help_text


@pytest.mark.slow
def test_help_with_a_task_has_the_keys_of_that_task_with_defaults_and_choices() -> None:
    assert "deploy.keep" not in help_text("run.py")
    text = help_text("run.py", ["task=deploy", "--help"])
    assert "keys of task=deploy (key=value)\n  deploy.agents=[] " in text
    assert "deploy.action=promote     what is done to the registry [promote, rollback, " in text
    assert "returns_unit=auto" in help_text("run.py", ["task=report"])
    for task in groups()["task"]:
        assert help_text("run.py", [f"task={task}"]).startswith("WealthArena")
    for other in ("asset", "seed", "papr", ""):  # no tasks
        assert help_text("run.py", [f"task={other}"]) == help_text("run.py")
