from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from wealtharena.agents import cluster
from wealtharena.config import compose
from wealtharena.errors import TrainingError
from wealtharena.tasks.demo import free_port

pytestmark = pytest.mark.slow

CONNECT = """
import sys
from wealtharena.agents import cluster
from wealtharena.config import compose
from wealtharena.errors import TrainingError
try:
    print("connected", cluster.connect(compose(["compute=cluster", f"compute.address={sys.argv[1]}"]).compute))
except TrainingError as error:
    print(error)
"""
DEEP = """
import os, sys
from wealtharena.agents import cluster
from wealtharena.config import compose
from wealtharena.errors import TrainingError
for name in ("TMPDIR", "RAY_TMPDIR"):
    os.environ[name] = sys.argv[1]
    try:
        cluster.connect(compose(["compute.num_cpus=1"]).compute)
    except TrainingError as error:
        print(error)
    del os.environ[name]
"""
BEGUN = """
import json, os, sys
import ray
from ray._private import worker
from ray.rllib.algorithms.ppo import PPOConfig
from wealtharena.agents import cluster
from wealtharena.config import compose
cluster.connect(compose(["compute.num_cpus=1"]).compute)
processes = worker._global_node.all_processes
started = [one.process.pid for kind in processes.values() for one in kind]
algo = cluster.build(PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0))
print(json.dumps({
    "python of a worker": ray.get(ray.remote(lambda: sys.executable).remote(), timeout=90),
    "processes": list(processes),
    "in its group": [pid for pid in started if os.getpgid(pid) == os.getpgid(0)],
    "token": os.environ.get("RAY_AUTH_TOKEN", ""),
    "algorithm": type(algo).__name__,
    "folder left": os.path.exists(algo.logdir),
}))
"""


def test_a_deep_temporary_folder_is_named_when_ray_cannot_start(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)  # which Python, unlike Ray, passes over: it is not there
    done = subprocess.run(
        [sys.executable, "-c", DEEP, str(deep)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, line in zip(("TMPDIR", "RAY_TMPDIR"), done.stdout.splitlines(), strict=True):
        assert f"the folder of temporary files is too deep for its sockets: {deep}; " in line
        assert f", such as {name}=/tmp" in line


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a process saw in which a Ray started: its Python's folder has a blank, and its user no home to write to."""
    folder = tmp_path_factory.mktemp("begun") / "my (own) folder"
    folder.symlink_to(sys.prefix)
    python = str(folder / "bin" / "python")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    if Path("/proc/self").is_dir():
        environment["HOME"] = "/proc"
    done = subprocess.run(
        [python, "-c", BEGUN], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "python": python}


def test_a_python_in_a_folder_whose_name_has_a_blank_has_workers(begun: dict[str, Any]) -> None:
    """Ray hands its path to a shell as it stands: no worker ever began, and a search waited for room without an end."""
    assert begun["python of a worker"] == begun["python"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write to")
def test_who_has_no_home_to_write_to_has_a_ray_and_its_algorithms(begun: dict[str, Any]) -> None:
    """As a container's user: Ray keeps its token at home, and RLlib makes an empty folder there; both ended a run."""
    assert begun["token"].isalnum()
    assert (begun["algorithm"], begun["folder left"]) == ("PPO", False)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing would end Ray with the process that began it")
def test_a_signal_to_the_group_of_a_run_does_not_reach_the_ray_that_it_started(begun: dict[str, Any]) -> None:
    """`timeout 1h python run.py compute=workers` ended Ray and runner at once: no candidate was kept, no word said."""
    assert len(begun["processes"]) > 1
    assert begun["in its group"] == []


def test_a_ray_that_starts_here_has_no_process_that_nobody_looks_at(begun: dict[str, Any]) -> None:
    """A start waited for the dashboard, whose page is switched off."""
    assert {"gcs_server", "raylet"} <= set(begun["processes"])
    assert not {"dashboard", "log_monitor"} & set(begun["processes"])


def test_a_machine_that_does_not_reach_itself_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray tried for minutes, and then said that its own store was not found."""

    def unreachable(*_: object, **__: object) -> None:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("it was begun"))
    monkeypatch.setattr(cluster.socket, "create_connection", unreachable)
    with pytest.raises(TrainingError, match=r"does not reach itself at 127\.0\.0\.1 \(Network is unreachable\)"):
        cluster.connect(compose([]).compute)


def test_a_token_that_is_at_home_or_named_or_not_asked_for_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    cluster._bring_token()
    assert "RAY_AUTH_TOKEN" not in os.environ
    monkeypatch.setenv("HOME", "/proc")
    for name, value in (("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))):
        with monkeypatch.context() as one:
            one.setenv(name, value)
            cluster._bring_token()
            assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_ray_that_starts_here_reports_to_nobody_unless_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._common.usage.usage_lib import usage_stats_enabled

    told: list[bool] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: told.append(usage_stats_enabled()))
    for own in (None, "1"):
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
        if own is not None:
            monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", own)
        cluster.connect(compose(["compute.num_cpus=1"]).compute)
    assert told == [False, True]


def test_what_ray_says_is_said_as_our_own_warnings_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """`log=json` promises lines of JSON on standard output, where Ray printed of a worker that had died."""
    from ray._private import worker

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(worker, "print_to_stdstream", worker.print_to_stdstream)
    for name in ("ray", "ray.rllib"):
        own = logging.getLogger(name)
        monkeypatch.setattr(own, "handlers", [logging.StreamHandler(sys.stdout)])
        monkeypatch.setattr(own, "propagate", False)
        monkeypatch.setattr(own, "level", logging.INFO)
    cluster.connect(compose(["compute.num_cpus=1"]).compute)
    worker.print_to_stdstream({"lines": ["a worker died"], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    logging.getLogger("ray").info("Started a local Ray instance.")
    logging.getLogger("ray.rllib.utils").error("an actor is unavailable")
    assert caplog.messages == ["Ray: a worker died", "an actor is unavailable"]
    assert capsys.readouterr().out == ""


def stopped(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("address", [None, "auto"])
def test_ray_leaves_the_answer_to_sigterm_as_it_was(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    def init(**_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))  # as Ray's own does

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    before = signal.signal(signal.SIGTERM, stopped)
    try:
        compute = compose(["compute.num_cpus=1"]).compute.model_copy(update={"address": address})
        cluster.connect(compute)
        assert signal.getsignal(signal.SIGTERM) is stopped
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_sigterm_while_ray_starts_stops_as_ctrl_c_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: sys.exit(1))
    with pytest.raises(KeyboardInterrupt):
        cluster.connect(compose(["compute.num_cpus=1"]).compute)


def test_a_limit_on_addresses_that_ray_would_break_off_at_is_named_before_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began: list[object] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **told: began.append(told))
    compute = compose(["compute.num_cpus=1"]).compute
    monkeypatch.setattr(cluster.resource, "getrlimit", lambda _: (int(2.4e9), 0))
    with pytest.raises(TrainingError, match=r"it may have 2\.4 GB of addresses \(ulimit -v\).*ulimit -v unlimited"):
        cluster.connect(compute)
    assert not began
    for enough in (cluster.resource.RLIM_INFINITY, 1 << 50):
        monkeypatch.setattr(cluster.resource, "getrlimit", lambda _, enough=enough: (enough, 0))
        cluster.connect(compute)
    assert len(began) == 2


def test_a_ray_that_cannot_start_is_told_in_a_line_whatever_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(error: Exception) -> Callable[..., None]:
        def init(**_: object) -> None:
            raise error

        return init

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    compute = compose(["compute.num_cpus=1"]).compute
    for address, told in ((None, "Ray cannot start: "), ("auto", "no Ray cluster answers")):
        for raised in (Exception("The current node timed out during startup."), Exception()):
            monkeypatch.setattr(ray, "init", failing(raised))
            with pytest.raises(TrainingError, match=told):
                cluster.connect(compute.model_copy(update={"address": address}))


@pytest.mark.parametrize(
    ("named", "meant"),
    [("", None), ("some/where", "{}/some/where"), ("~/where", "/home/of/where"), ("/some/where", "/some/where")],
)
def test_a_ray_that_starts_here_means_one_folder_wherever_its_processes_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, meant: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    found: list[str | None] = []
    monkeypatch.setattr(ray, "init", lambda **_: found.extend(map(os.environ.get, ("RAY_TMPDIR", "TMPDIR"))))
    monkeypatch.setenv("HOME", "/home/of")
    monkeypatch.setenv("RAY_TMPDIR", named)
    monkeypatch.setenv("TMPDIR", named)
    cluster.connect(compose(["compute.num_cpus=1"]).compute)
    assert found == [meant and meant.format(tmp_path)] * 2


def test_a_folder_that_ray_may_not_write_to_is_named_with_what_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise PermissionError(13, "Permission denied", "/tmp/ray/session_latest")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    with pytest.raises(
        TrainingError, match=r"cannot be used: /tmp/ray/session_latest \(Permission denied\); .*RAY_TMPDIR=<"
    ):
        cluster.connect(compose(["compute.num_cpus=1"]).compute)


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[BaseException], object]]:
    """Return what builds an algorithm and is met by an error; what it leaves of Ray's own settings is put back."""
    from ray._private import auto_init_hook

    def build(error: BaseException) -> object:
        def ended(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(cluster, "within", ended)
        return cluster.build(
            SimpleNamespace(num_env_runners=1, num_learners=0, num_gpus_per_learner=0, build_algo=None)
        )

    monkeypatch.setattr(cluster, "require_actors", lambda **_: None)
    monkeypatch.setattr(auto_init_hook, "enable_auto_connect", True)
    levels = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    yield build
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_what_goes_on_after_a_ctrl_c_joins_no_ray_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, building: Callable[[BaseException], object]
) -> None:
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("a Ray was joined"))
    ours = [logging.getLogger(name) for name in ("ray", "ray.rllib.utils.actor_manager")]
    with pytest.raises(KeyboardInterrupt):
        building(KeyboardInterrupt())
    assert not any(one.isEnabledFor(logging.CRITICAL) for one in ours)
    with pytest.raises(Exception, match="init"):
        ray.put(1)


def test_a_learner_that_dies_while_it_starts_ends_the_run_in_a_line(
    building: Callable[[BaseException], object],
) -> None:
    with pytest.raises(TrainingError, match=r"one of the runners and learners has died while it started; .*resume="):
        building(ray.exceptions.ActorDiedError())


@pytest.fixture
def guarded() -> Iterator[tuple[str, Path]]:
    """Start a cluster as a user does, `ray start --head`, which asks for the token of this home; its address, the home."""
    with tempfile.TemporaryDirectory(prefix="ra", dir="/tmp") as name:  # sockets bear no deep folder
        home, port = Path(name) / "home", free_port()
        (home / ".ray").mkdir(parents=True)
        (home / ".ray" / "auth_token").write_text("5" * 64)
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--head",
            "--block",
            f"--port={port}",
            "--num-cpus=1",
        ]
        command += ["--include-dashboard=false", f"--temp-dir={name}/r", f"--object-store-memory={80 * 2**20}"]
        environment = {key: value for key, value in os.environ.items() if key != "RAY_AUTH_MODE"}
        with (Path(name) / "log").open("wb") as log:
            head = subprocess.Popen(
                command, env=environment | {"HOME": str(home)}, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            for _ in range(600):
                if "Ray runtime started" in (Path(name) / "log").read_text():
                    break
                assert head.poll() is None, (Path(name) / "log").read_text()
                time.sleep(0.2)
            yield f"127.0.0.1:{port}", home
        finally:
            head.terminate()
            head.wait(timeout=60)


def test_a_cluster_that_asks_for_this_machines_token_is_shown_it_and_one_without_is_named(
    guarded: tuple[str, Path], tmp_path: Path
) -> None:
    address, home = guarded
    environment = {key: value for key, value in os.environ.items() if key != "RAY_AUTH_MODE"}
    asking = [  # the second has no token; what takes Ray long is to give up on it
        subprocess.Popen(
            [sys.executable, "-c", CONNECT, address], env=environment | {"HOME": str(owner)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for owner in (home, tmp_path)
    ]  # fmt: skip
    said = []
    for process in asking:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        said.append(out.strip())
    assert said[0] == "connected True"
    assert "asks for a token" in said[1]
    assert "ray get-auth-token" in said[1]
