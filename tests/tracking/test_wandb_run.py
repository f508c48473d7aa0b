from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracking.wandb_server import environment
from wealtharena.config import compose
from wealtharena.config.specs.runs import WandbSpec
from wealtharena.errors import ConfigError
from wealtharena.tracking import wandb_run
from wealtharena.tracking.wandb_run import Ending, Identity, WandbRun, has_cache, own_tags, resolve_mode

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOBODY = Identity("id1", "name", "train", ("forex",), {"seed": 1})
END = Ending(("forex",), {}, [], None, 0)


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


def spec(mode: str = "auto", *, timeout_seconds: float = 30.0) -> WandbSpec:
    return WandbSpec(
        mode=mode,
        project="wealtharena",
        entity=None,
        group=None,
        tags=(),
        timeout_seconds=timeout_seconds,
        code=False,
        registry=None,
    )


@pytest.mark.parametrize(
    ("mode", "environment", "resolved"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_API_KEY": "k"}, "online"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_MODE": "disabled"}, "disabled"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_MODE": "dryrun"}, "offline"),
        ("auto", {"WANDB_MODE": "run"}, "online"),
        ("auto", {"WANDB_API_KEY": "k", "WANDB_DISABLED": "true"}, "disabled"),
        ("offline", {"WANDB_API_KEY": "k"}, "offline"),
        ("online", {}, "online"),
    ],
)
def test_a_key_decides_whether_a_run_is_online(mode: str, environment: dict[str, str], resolved: str) -> None:
    assert resolve_mode(spec(mode), environment) == resolved


def test_every_mode_of_the_library_is_known_and_no_other_is_taken_for_leave_to_send() -> None:
    import typing

    import wandb

    known = typing.get_args(typing.get_type_hints(wandb.Settings)["mode"])
    assert set(known) == set(wandb_run._MODES)
    with pytest.raises(ConfigError, match=r"WANDB_MODE=ofline is none of .*; try WANDB_MODE=offline"):
        resolve_mode(spec(), {"WANDB_API_KEY": "k", "WANDB_MODE": "ofline"})


def test_a_login_counts_as_a_key_for_its_own_server_alone(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {'k' * 40}\n")
    (tmp_path / "netrc").chmod(0o600)
    environment = {"NETRC": str(tmp_path / "netrc")}
    assert resolve_mode(spec(), environment) == "online"
    assert resolve_mode(spec(), environment | {"WANDB_BASE_URL": "https://wandb.example.org"}) == "offline"
    assert resolve_mode(spec(), {"NETRC": str(tmp_path / "none")}) == "offline"


def test_the_library_s_own_variables_name_project_and_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert compose([]).tracking.wandb.project == "wealtharena"
    for name in ("PROJECT", "ENTITY", "RUN_GROUP"):
        monkeypatch.setenv(f"WANDB_{name}", f"my {name}")
    found = compose([]).tracking.wandb
    assert (found.project, found.entity, found.group) == ("my PROJECT", "my ENTITY", "my RUN_GROUP")
    assert compose(["tracking.wandb.project=typed"]).tracking.wandb.project == "typed"


def test_a_tag_that_the_library_would_refuse_at_the_end_is_refused_before_the_first_step() -> None:
    assert own_tags({"WANDB_TAGS": "one, two,"}) == ("one", "two")
    with pytest.raises(ConfigError, match="WANDB_TAGS: a tag has at most 64 letters"):
        own_tags({"WANDB_TAGS": "a," + "b" * 65})
    assert compose([f"tracking.wandb.tags=[{'b' * 64}]"]).tracking.wandb.tags == ("b" * 64,)
    with pytest.raises(ConfigError, match=r"tracking\.wandb\.tags.*1 to 64 letters, 'b+' has 65"):
        compose([f"tracking.wandb.tags=[{'b' * 65}]"])


def test_a_library_that_cannot_be_imported_costs_the_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    mirror = WandbRun(spec(), NOBODY, folder=tmp_path, mode="offline")
    mirror.log({"env_step": 1})
    mirror.finish(END)
    assert mirror.trouble is not None
    assert "wandb" in mirror.trouble


def test_a_library_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()
    fake = types.ModuleType("wandb")
    fake.Error = RuntimeError
    fake.Settings = lambda **_: None
    fake.init = lambda **_: forever.wait(240)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    mirror = WandbRun(spec(timeout_seconds=0.2), NOBODY, folder=tmp_path, mode="online")
    began = time.monotonic()
    mirror.log({"env_step": 1})
    mirror.finish(END)
    assert time.monotonic() - began < 60.0, "neither of the two waits for it"
    assert mirror.trouble is not None
    forever.set()


def test_a_run_without_a_figure_starts_nothing(tmp_path: Path) -> None:
    mirror = WandbRun(spec(), NOBODY, folder=tmp_path, mode="offline")
    mirror.finish(END)
    assert list(tmp_path.iterdir()) == []


CHILD = """
import json, socket, sys
from pathlib import Path
contacted = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        address = args[1] if event != "socket.getaddrinfo" else args[0]
        local = isinstance(address, (str, bytes)) and event != "socket.getaddrinfo"
        if not local and "127.0.0.1" not in str(address) and "localhost" not in str(address) and "::1" not in str(address):
            contacted.append([event, str(address)])
sys.addaudithook(watch)
from wealtharena.config import compose
from wealtharena.tracking import Tracker
folder = Path(sys.argv[1])
record = {"run_id": "20260101-000000-abcdef", "asset": "forex", "algo": "ppo",
          "data": {"source": "simulated", "simulated": True}, "config_hash": "hash-of-it", "git_sha": "commit-of-it",
          "command": f"python run.py experiment={Path.home()}/private/best.yaml data.path={Path.home()}/private/bars.parquet"}
spec = compose(["asset=forex", f"data.path={Path.home()}/private/bars.parquet", "tracking.console=quiet"])
tracker = Tracker.start(spec, folder, record)
for step in (100, 200):
    tracker.on_iteration({"env_step": step, "reward": 0.125})
(folder / "report.html").write_text(f"<p>report of data.path={Path.home()}/private/bars.parquet</p>{record['command']}")
record |= {"status": "completed", "metrics": {"test": {"sharpe": 1.375}}}
tracker.finish(record, [folder / "report.html"])
print(json.dumps({"contacted": contacted, "trouble": tracker._mirrors[0].trouble, "where": tracker._mirrors[0].whereabouts()}))
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], list[bytes]]:
    """Return the folder of an offline run made by another process, what it said, and what reached a proxy."""
    folder = tmp_path_factory.mktemp("run")
    trap = socket.create_server(("127.0.0.1", 0))
    caught: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                connection, _ = trap.accept()
            except OSError:
                return
            caught.append(connection.recv(200))
            connection.close()

    threading.Thread(target=listen, daemon=True).start()
    proxy = f"http://127.0.0.1:{trap.getsockname()[1]}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"), proxy)
    environment |= {"NO_PROXY": "", "no_proxy": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    trap.close()
    return folder, json.loads(done.stdout.splitlines()[-1]), caught


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((folder / "wandb").rglob("*")) if path.is_file())


def test_an_offline_run_speaks_to_nobody(offline: tuple[Path, dict[str, object], list[bytes]]) -> None:
    folder, said, caught = offline
    where = str(said.pop("where"))
    assert where.startswith("recorded offline; send it with: wandb sync ")
    assert where.endswith(next((folder / "wandb").glob("offline-run-*")).name)
    assert said == {"contacted": [], "trouble": None}
    assert caught == []


def test_an_offline_run_holds_tags_configuration_figures_and_summary(
    offline: tuple[Path, dict[str, object], list[bytes]],
) -> None:
    folder, _, _ = offline
    (run,) = (folder / "wandb").glob("offline-run-*-20260101-000000-abcdef")
    found = (run / "run-20260101-000000-abcdef.wandb").read_bytes()
    for expected in (
        b"SIMULATED",
        b"forex",
        b"learning_rate",
        b"0.125",
        b"test/sharpe",
        b"1.375",
        b"report",
        b"hash-of-it",
        b"commit-of-it",
    ):
        assert expected in found


def test_nothing_personal_is_written(offline: tuple[Path, dict[str, object], list[bytes]]) -> None:
    folder, _, _ = offline
    names = [path.relative_to(folder).as_posix() for path in (folder / "wandb").rglob("*")]
    written = content(folder) + "\n".join(names).encode()
    assert b"bars.parquet" in written  # the last part of a path stays
    for private in ("/private/", str(ROOT), str(folder), sys.executable):  # the first is below its home
        assert private.encode() not in written
    for word in (socket.gethostname(), getpass.getuser()):
        if len(word) > 4:  # shorter ones occur by chance
            assert word.encode() not in written
    assert not list((folder / "wandb").rglob("*.log"))


def test_a_user_without_a_home_sees_nothing_of_the_library_s_own_diary(tmp_path: Path) -> None:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and k not in ("HOME", "XDG_CACHE_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        env=environment | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert [path.name.partition("-")[0] for path in (tmp_path / "wandb").iterdir()] == ["offline"]


@pytest.mark.parametrize(("environment", "found"), [
    ({}, False), ({"HOME": "/proc/none"}, False), ({"HOME": "."}, True), ({"XDG_CACHE_HOME": "/x"}, True),
    ({"HOME": "/proc/none", "WANDB_CACHE_DIR": "/x"}, True),
])  # fmt: skip
def test_the_library_s_cache_is_where_its_variables_say_or_in_a_home_that_can_be_written(
    environment: dict[str, str], found: bool
) -> None:
    assert has_cache(environment) is found


def test_a_server_that_never_answers_leaves_an_offline_record(tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    code = (
        "import sys, time; from pathlib import Path; from wealtharena.tracking.wandb_run import *\n"
        "spec = WandbSpec(mode='online', project='p', entity=None, group=None, tags=(), timeout_seconds=4, code=False, registry=None)\n"
        "mirror = WandbRun(spec, Identity('id1', 'n', 'train', (), {}), folder=Path(sys.argv[1]), mode='online')\n"
        "mirror.log({'env_step': 1, 'reward': 0.125})\n"
        "until = time.monotonic() + 120\n"  # a busy machine takes its time to import the library
        "while time.monotonic() < until and not mirror.kept: time.sleep(0.05)\n"
        "mirror._spec = mirror._spec.model_copy(update={'timeout_seconds': 60.0})\n"  # and its time to write
        "mirror.finish(Ending((), {}, [], None, 0)); print(mirror.trouble)"
    )
    key = "k" * 40
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment(f"http://127.0.0.1:{server.getsockname()[1]}", key),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    server.close()
    assert done.returncode == 0, done.stderr
    assert "recorded offline" in done.stdout
    assert b"0.125" in next((tmp_path / "wandb").glob("offline-run-*-id1*/*.wandb")).read_bytes()
    assert key.encode() not in content(tmp_path)


def test_the_library_is_told_group_tags_and_the_folder_of_its_own_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, object]] = []
    fake = types.ModuleType("wandb")
    fake.Error = RuntimeError
    fake.Settings = lambda **_: None
    fake.init = lambda **names: told.append(names)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    identity = Identity("id1", "name", "train", ("forex", "mine"), {}, group="the grid")
    mirror = WandbRun(spec(), identity, folder=tmp_path, mode="offline")
    mirror.log({"env_step": 1})
    mirror.finish(END)
    (given,) = told
    assert (given["group"], given["tags"]) == ("the grid", ("forex", "mine"))
    assert given["dir"] == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("patience", "id_", "ends"), [(30.0, "id1", True), (-1.0, "id1-offline", True), (-1.0, "id1-offline", False)]
)
def test_an_id_that_a_failed_start_still_holds_is_waited_for_and_at_last_done_without(
    patience: float, id_: str, ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a service waited for that was told to end and does not."""
    ended = threading.Event()
    if ends:
        ended.set()
    modes: list[str] = []
    ids: list[str] = []
    kept = tmp_path / "offline-run"

    class Run:
        settings = types.SimpleNamespace(mode="offline", sync_dir=str(kept))
        tags: tuple[str, ...] = ()
        summary: dict[str, object] = {}

        def __getattr__(self, name: str) -> object:
            return lambda *_, **__: None

    def init(*, mode: str, id: str, **_: object) -> Run:  # the library's own name for it
        modes.append(mode)
        ids.append(id)
        if len(modes) < (4 if patience > 0.0 else 2):
            raise RuntimeError("no network") if mode == "online" else LookupError("run ID id1 is in use")
        return Run()

    fake = types.ModuleType("wandb")
    fake.Error = RuntimeError
    fake.Settings = lambda **_: None
    fake.init = init
    fake.teardown = lambda **_: ended.wait(120)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(wandb_run, "TEARDOWN_SECONDS", 30.0 if ends else 0.01)
    monkeypatch.setattr(wandb_run, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(wandb_run, "LOCAL_SECONDS", patience)
    mirror = WandbRun(spec(), NOBODY, folder=tmp_path, mode="online")
    mirror.log({"env_step": 1})
    mirror.finish(END)
    assert modes == ["online", *["offline"] * (len(modes) - 1)]
    assert ids == [*["id1"] * (len(modes) - 1), id_]
    assert str(mirror.trouble).startswith("no answer from the server; recorded offline")
    assert str(mirror.whereabouts()).startswith("recorded offline")
    ended.set()


@pytest.mark.parametrize("asked", [False, True])
def test_code_is_kept_where_it_is_asked_for_and_nowhere_else(
    asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[str, bool, bool]] = []

    class Run:
        settings = types.SimpleNamespace(mode="offline", sync_dir=str(tmp_path / "offline-run"))
        tags: tuple[str, ...] = ()
        summary: dict[str, object] = {}

        def log_code(self, root: str, *, name: str, include_fn: Callable[[str], bool]) -> None:
            kept.append((Path(root).name, include_fn("kernel/loops.py"), include_fn("data/bars.parquet")))

        def __getattr__(self, name: str) -> object:
            return lambda *_, **__: None

    fake = types.ModuleType("wandb")
    fake.Error = RuntimeError
    fake.Settings = lambda **_: None
    fake.init = lambda **_: Run()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    mirror = WandbRun(spec().model_copy(update={"code": asked}), NOBODY, folder=tmp_path, mode="offline")
    mirror.log({"env_step": 1})
    mirror.finish(END)
    assert mirror.trouble is None
    assert kept == ([("wealtharena", True, False)] if asked else [])
