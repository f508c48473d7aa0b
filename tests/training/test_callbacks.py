from pathlib import Path

import pytest

from wealtharena.errors import ConfigError, TrainingError
from wealtharena.training.callbacks import Callbacks

MODULE = """
import os
told = []

class Watch:
    def on_iteration(self, record):
        told.append(("iteration", record["env_step"]))
        record.clear()  # a copy: nobody else's figures go
    def on_validation(self, record):
        told.append(("validation", record["sharpe"]))
    def on_end(self, run):
        told.append(("end", run["status"]))

class Forger:
    def on_end(self, run):
        run["verdict"]["status"] = "promotable"
        run["metrics"]["test"].clear()

class Deaf:
    pass

class Broken:
    def on_iteration(self, record):
        raise ZeroDivisionError("by zero")

class Ends:
    def on_validation(self, record):
        raise SystemExit(0)

class Goes:
    def __init__(self):
        os.chdir("/")
    def on_iteration(self, record):
        os.chdir("/")

class Unmade:
    def __init__(self):
        raise SystemExit(0)

class Unsure:
    def __init__(self):
        raise ValueError("no file")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Write a user's module into the working folder and return its name, new for each test."""
    name = f"watching_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_callback_is_told_of_iterations_validations_and_the_end(module: str) -> None:
    import importlib

    callbacks, record = Callbacks.of([f"{module}:Watch"]), {"env_step": 8}
    callbacks.on_iteration(record)
    callbacks.on_evaluation({"env_step": 8, "sharpe": 0.5})
    callbacks.on_end({"status": "completed"})
    assert importlib.import_module(module).told == [("iteration", 8), ("validation", 0.5), ("end", "completed")]
    assert record == {"env_step": 8}


def test_what_a_callback_writes_into_a_record_is_in_nobody_elses(module: str) -> None:
    """The verdict that is printed after the end is the run's, at whatever depth it stands."""
    run = {"verdict": {"status": "rejected"}, "metrics": {"test": {"sharpe": -1.0}}}
    Callbacks.of([f"{module}:Forger"]).on_end(run)
    assert run == {"verdict": {"status": "rejected"}, "metrics": {"test": {"sharpe": -1.0}}}


@pytest.mark.parametrize(
    ("name", "said"),
    [("{}:Deaf", "has none of on_iteration"), ("{}:Gone", "cannot be made"), ("{}", "no `module:attribute`"),
     ("no_such_module:Watch", "cannot be made"), ("{}:Unmade", "cannot be made: SystemExit: 0"),
     ("{}:Unsure", "cannot be made: ValueError: no file")],
)  # fmt: skip
def test_what_is_no_callback_is_refused_before_training(module: str, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Callbacks.of([name.format(module)])


def test_a_callback_that_goes_elsewhere_takes_nobody_along(module: str) -> None:
    """A ledger by a relative path would begin anew there, with no trial in it."""
    here = Path.cwd()
    callbacks = Callbacks.of([f"{module}:Goes"])
    assert Path.cwd() == here
    callbacks.on_iteration({})
    assert Path.cwd() == here


def test_what_a_callback_raises_names_it(module: str) -> None:
    with pytest.raises(TrainingError, match=r"Broken\.on_iteration raised ZeroDivisionError: by zero; mend it"):
        Callbacks.of([f"{module}:Broken"]).on_iteration({})


def test_a_callback_that_ends_the_process_has_failed(module: str) -> None:
    with pytest.raises(TrainingError, match=r"Ends\.on_validation raised SystemExit: 0; mend it"):
        Callbacks.of([f"{module}:Ends"]).on_evaluation({})
