"""What every test relies on: one numerical thread, nothing of the person who runs them, no tracking online, no proxy."""

import gc
import logging
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests import screens

OWN = ("WANDB_", "HYDRA_", "WEALTHARENA_", "APCA_")  # how a person's own variables begin
LONG = 200  # letters of a value that names a test
NAMES = {
    "FRED_API_KEY",
    "ALPHAVANTAGE_API_KEY",
    "RAY_ADDRESS",
    "PROMETHEUS_MULTIPROC_DIR",
    "PYTEST_ADDOPTS",
    "PYTHONDONTWRITEBYTECODE",  # each of some hundred processes would compile the package anew
    "NETRC",
    "COLUMNS",
    "LINES",
    "FORCE_COLOR",
    "NO_COLOR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
}
for name in [name for name in os.environ if name.startswith(OWN) or name.upper() in NAMES]:
    del os.environ[name]
sys.dont_write_bytecode = False  # that name was read before; each worker would rewrite the assertions of all tests anew
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - as Ray spells it; at its 15 a busy machine keeps workers waiting for ever
os.environ["RAY_prestart_worker_first_driver"] = "0"  # noqa: SIM112 - nor are workers started that nothing has been given to do
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun by `nohup` or with `&`: processes would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Begin, and run the loops that are compiled otherwise in Python where that is asked for."""
    from hypothesis import HealthCheck, settings

    from tests import quicker  # what it imports reads the environment

    # how long an example takes on a busy machine decides nothing, nor does luck: `make hunt` draws others
    settings.register_profile("hunt", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
    settings.register_profile("any machine", settings.get_profile("hunt"), derandomize=True)
    settings.load_profile(config.getoption("hypothesis_profile") or "any machine")
    workers_follow = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if workers_follow:
        shared = tempfile.TemporaryDirectory(prefix="composed-")
        os.environ[quicker.TOGETHER] = shared.name
        config.add_cleanup(shared.cleanup)
    if not hasattr(config, "workerinput"):
        quicker.write_to_memory(config)
    quicker.prepare()
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        from tests import interpreted

        interpreted.install(config)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long values by their argument: all workers have to collect one list, and an archive may tell when it was made."""
    return argname if isinstance(val, (str, bytes)) and len(val) > LONG else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold most slow tests: workers take whole files, and a long one at the end keeps the others waiting."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Know whether what the tests wrote is to be looked at."""
    from tests import quicker

    session.config.stash[quicker.FAILED] = exitstatus == pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """Collect no garbage during a test that nests as deep as Python lets it: there, no finalizer of what others left has room to run."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def alerts_of_others() -> Iterator[None]:
    """Let nobody hear of alerts that an earlier test's thread is still trying to send."""
    others = {one.ident for one in threading.enumerate() if one.name.startswith("alerts ")}
    if not others:
        yield
        return

    def of_this_test(record: logging.LogRecord) -> bool:
        return record.thread not in others

    logger = logging.getLogger("wealtharena.trading.alerts")
    logger.addFilter(of_this_test)
    yield
    logger.removeFilter(of_this_test)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield a headless Chromium for all tests of a worker; they are skipped where it is not installed."""
    pytest.importorskip("selenium.webdriver", reason="comes with the extra `dev`: pip install -e '.[dev]'")
    if not (screens.CHROMIUM and screens.DRIVER):
        pytest.skip(screens.MISSING)
    with screens.opened(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def pytest_collection_finish() -> None:
    """Prepare what the collected tests have imported."""
    from tests import quicker

    quicker.prepare_collected()
