"""Ctrl-C and SIGTERM, wherever they come."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # processes of their own

REPOSITORY = Path(__file__).parents[2]

LOSING = """
import os, signal, sys, threading, time, weakref
from wealtharena.config.signals import ctrl_c_heard, sigterm_as_ctrl_c

class Deleted:
    def __del__(self):
        os.kill(os.getpid(), signal.{number})
        time.sleep(0.01)

def called(_):
    os.kill(os.getpid(), signal.{number})
    time.sleep(0.01)

def slowly(self, start=threading.Thread.start):
    start(self)
    time.sleep({busy})

threading.Thread.start = slowly
with sigterm_as_ctrl_c() as stop, ctrl_c_heard():
    thing = Deleted() if {deleting} else type("Thing", (), {{}})()
    pointer = weakref.ref(thing, None if {deleting} else called)
    try:
        del thing
        sys.stdout.write("it was lost\\n")  # at once: print could be interrupted before its newline
        time.sleep(40)
    except KeyboardInterrupt:
        print("it came again", stop.told)
"""


@pytest.mark.parametrize(
    ("number", "deleting", "busy"),
    [("SIGINT", True, 0), ("SIGINT", False, 0), ("SIGTERM", True, 0), ("SIGTERM", False, 0), ("SIGINT", True, 0.3)],
)
def test_a_signal_that_comes_while_an_object_is_deleted_comes_again(number: str, deleting: bool, busy: float) -> None:
    """`busy` is how long, in seconds, the machine keeps what hears of it from going on."""
    program = LOSING.format(number=number, deleting=deleting, busy=busy)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["it was lost", f"it came again {number == 'SIGTERM'}"], done.stderr
    assert not done.stderr


def test_what_else_is_raised_there_is_said_as_before() -> None:
    program = (
        "from wealtharena.config.signals import ctrl_c_heard\n"
        "class Deleted:\n"
        "    def __del__(self):\n"
        "        raise ValueError('odd')\n"
        "with ctrl_c_heard():\n"
        "    Deleted()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "ValueError: odd" in done.stderr


def test_what_is_stopped_at_once_names_the_command_that_goes_on_with_what_was_saved(tmp_path: Path) -> None:
    """The first Ctrl-C ends the iteration and says it; who pressed it twice was told `interrupted`."""
    program = """
import sys
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from wealtharena.config.launch import launch

def job(cfg):
    saved = Path(HydraConfig.get().runtime.output_dir, "trainer", "state.pt")
    saved.parent.mkdir()
    saved.touch()
    raise KeyboardInterrupt

sys.exit(launch(job)())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "hydra.run.dir=my run"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 130
    said, _, command = done.stderr.partition("; go on with: ")
    assert (said, shlex.split(command)[2:]) == ("error: interrupted", ["resume='my run'"])


@pytest.mark.parametrize("entry", ["run.py", "-m", "script"])
def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_traceback(tmp_path: Path, entry: str) -> None:
    """A second or more passes before there is anything that could hear it, and longer on a busy machine."""
    script = tmp_path / "bin" / "wealtharena"
    script.parent.mkdir()
    script.write_text("import sys\nfrom wealtharena.cli import main\nsys.exit(main())\n")
    words = {"run.py": [str(REPOSITORY / "run.py")], "-m": ["-m", "wealtharena"], "script": [str(script)]}[entry]
    (tmp_path / "numpy.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")  # stands before ours
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    done = subprocess.run(
        [sys.executable, *words, "--version"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_program_that_imports_the_package_keeps_its_ctrl_c() -> None:
    program = "import signal, wealtharena\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"


def test_the_command_hears_ctrl_c_once_it_is_imported(tmp_path: Path) -> None:
    program = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
from wealtharena.config.launch import launch

def job(cfg):
    signal.raise_signal(signal.SIGINT)
    return 0

sys.exit(launch(job)())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")


def test_a_further_ctrl_c_while_libraries_end_says_nothing(tmp_path: Path) -> None:
    """Ray imports at its end; who pressed it three times was shown where in Ray that was, behind the one line."""
    program = """
import atexit, signal, sys
from wealtharena.config.launch import launch

def slow_end():
    signal.raise_signal(signal.SIGINT)

def job(cfg):
    atexit.register(slow_end)
    sys.stdout.write("told")
    raise KeyboardInterrupt

sys.exit(launch(job)())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "told", "error: interrupted\n")
