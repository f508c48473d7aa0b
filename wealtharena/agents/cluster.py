"""Ray for a training: one started here or one that is there already, the market shared once a node, code shipped along."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import resource
import secrets
import shlex
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wealtharena.agents.memory import free_bytes, usable_bytes
from wealtharena.agents.patience import let_runners_raise, starting, told, within
from wealtharena.config.paths import conf_dir
from wealtharena.config.specs.agent import ComputeSpec
from wealtharena.config.threads import usable_cores
from wealtharena.errors import ConfigError, TrainingError, WealthArenaError

NEEDS_TOKEN = "copy the token of its machine (`ray get-auth-token`) to ~/.ray/auth_token here, set RAY_AUTH_MODE=token, and try again"
START_ONE = "start one with `ray start --head` and give its address, or choose compute=local, which needs none"
LISTENER_SECONDS = 10.0  # until the machine of a cluster has to take a connection
STORE_SHARE = 0.3  # of what memory is free: Ray's own figure for its store of objects
RAY_BYTES = 2.5e9  # addresses of each of its processes beside that
EXCLUDED = ("outputs", "multirun", "data", "checkpoints", "wandb", ".git", ".venv", ".mypy_cache", "results", "tests")
CHATTY = ("ray.rllib", "ray.tune", "ray._common.deprecation", "ray._private.authentication", "ray._private.worker")

log = logging.getLogger(__name__)


def connect(compute: ComputeSpec) -> bool:
    """Connect to the cluster at `compute.address`, or start a Ray on this machine where that is null.

    Returns False where this process was connected already: that Ray is used as it is, and not left afterwards.
    TrainingError where the address does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else a Ray that starts here reports to its makers
    import ray

    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.ERROR)  # they warn of their own defaults
    if ray.is_initialized():
        return False
    _let_it_speak_as_we_do()
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    with _own_sigterm():
        _start(compute, quiet)
    return True


def _let_it_speak_as_we_do() -> None:
    """Let what Ray has to say be a warning or an error like our own: it prints, in colours, among the lines of `log=json`."""
    from ray._private import worker

    def said(data: Mapping[str, Any], ignore_prefix: bool) -> None:
        for line in data["lines"]:
            log.warning("Ray: %s", line)

    worker.print_to_stdstream = said
    for name in ("ray", "ray.rllib"):
        own = logging.getLogger(name)
        own.handlers.clear()
        own.propagate = True
    logging.getLogger("ray").setLevel(logging.WARNING)


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this process's answer to SIGTERM; Ray puts one of its own there, by which a run that is stopped has failed."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as ended:  # Ray's answer to one that comes while it starts
        raise KeyboardInterrupt from ended
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _start(compute: ComputeSpec, quiet: dict[str, Any]) -> None:
    """Start a Ray, or join the one at `compute.address`.

    TrainingError where it cannot start, does not answer or asks for a token.
    """
    import ray

    if compute.address is None:
        _require_addresses(resource.getrlimit(resource.RLIMIT_AS)[0])
        _require_loopback()
        _settle_temporary_folder()
        _bring_token()
        cpus = compute.num_cpus or max(usable_cores(), compute.runners + compute.learners + 1)
        try:
            # no thread may start it: its processes die with the thread that began them
            with told("Ray to start"), _in_a_group_of_its_own(), unwatched():
                ray.init(address="local", num_cpus=cpus, include_dashboard=False, runtime_env=own_python(), **quiet)
        except Exception as error:  # where a machine is slow Ray raises that very class
            raise _not_started(error) from error
        return
    try:
        _join(compute.address, quiet)
    except WealthArenaError:
        raise
    except Exception as error:  # joining one fails in ConnectionError, RuntimeError and errors of Ray's own
        if _asks_for_token(error):
            raise TrainingError(
                f"compute.address={compute.address}: the Ray cluster asks for a token", hint=NEEDS_TOKEN
            ) from error
        raise TrainingError(f"compute.address={compute.address}: no Ray cluster answers", hint=START_ONE) from error


def _require_loopback() -> None:
    """Raise TrainingError where this machine does not reach itself, as a sandbox without any network: Ray would wait for minutes."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=LISTENER_SECONDS).close()
    except OSError as error:
        raise TrainingError(
            f"Ray cannot start: this machine does not reach itself at 127.0.0.1 ({error.strerror or error})",
            hint="bring its loopback up (ip link set lo up), or choose compute=local without a search, which needs none",
        ) from error


def _settle_temporary_folder() -> None:
    """Let Ray's processes, which work in folders of their own, mean one folder by a path from here, and none by a variable without a value."""
    for name in ("RAY_TMPDIR", "TMPDIR"):
        if os.environ.get(name):
            os.environ[name] = os.path.abspath(os.path.expanduser(os.environ[name]))  # noqa: PTH100, PTH111  # nobody may have no home
        else:
            os.environ.pop(name, None)


def _bring_token() -> None:
    """Where this user has no home to keep Ray's token in, as in a container, let the Ray that starts here have one of its own."""
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if named or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    try:
        kept = Path.home() / ".ray" / "auth_token"  # where Ray looks for it, and writes it
        kept.parent.mkdir(parents=True, exist_ok=True)
        writable = kept.is_file() or os.access(kept.parent, os.W_OK)
    except (OSError, RuntimeError):  # it cannot be written to, or nobody knows of one
        writable = False
    if not writable:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextlib.contextmanager
def _in_a_group_of_its_own() -> Iterator[None]:
    """Let what Ray starts be no part of this process's group: a SIGTERM for the whole of it (`timeout`, `kill -- -<id>`) would
    end Ray under a run that finishes its iteration first. Where this process dies they die too: Linux sees to it.
    """
    from ray._private import services

    plain: Any = services.ConsolePopen
    if sys.platform == "linux":
        services.ConsolePopen = functools.partial(plain, process_group=0)  # type: ignore[assignment, misc]  # called alike
    try:
        yield
    finally:
        services.ConsolePopen = plain  # type: ignore[misc]  # as above


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Let a Ray that starts in the body have neither its dashboard's process nor the one that reads logs for drivers.

    The one starts without its page, too, and the other where nobody has asked for logs: each imports Ray anew, and a start waits
    for the first. Errors come from elsewhere.
    """
    from ray._private import node

    plain: Any = node.Node
    started = plain.start_api_server, plain.start_log_monitor
    plain.start_api_server = lambda self, **_: setattr(self, "_webui_url", "")  # as a Ray has it that serves no page
    plain.start_log_monitor = lambda self: None
    try:
        yield
    finally:
        plain.start_api_server, plain.start_log_monitor = started


def _require_addresses(limit: int) -> None:
    """Raise TrainingError where a process may have too few addresses: one of Ray's own would end in the middle, and this one with it."""
    wanted = STORE_SHARE * min(usable_bytes(), free_bytes()) + RAY_BYTES
    if limit != resource.RLIM_INFINITY and limit < wanted:
        raise TrainingError(
            f"Ray cannot start: it may have {limit / 1e9:.1f} GB of addresses (ulimit -v), and asks for {wanted / 1e9:.0f} here",
            hint="lift it with: ulimit -v unlimited; a container's limit on memory does not count addresses",
        )


def own_python() -> dict[str, str]:
    """Return what Ray's workers need to find a Python in a folder whose name has a blank: Ray hands it to a shell as it is."""
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"py_executable": quoted}


def _join(address: str, quiet: dict[str, Any]) -> None:
    """Connect to a cluster; one on this machine that asks for the token which Ray keeps for this user is shown it.

    Ray makes one the first time it starts inside a program, and asks for it from then on in what `ray start` starts; yet
    it shows it to the address "auto" alone, not to the same cluster by its name. A cluster elsewhere is shown none unasked,
    nor one that does not ask: its workers could not answer a process that wants the token from them.
    """
    import ray

    def join() -> None:
        ray.init(address=address, runtime_env=shipped() | (own_python() if _is_here(address) else {}), **quiet)

    what = f"the Ray cluster at {address}"
    _require_listener(address)
    try:
        within(join, what=what, hint=START_ONE)
    except (ConnectionError, RuntimeError) as error:
        if not (_asks_for_token(error) and _is_here(address) and _show_token()):
            raise
        within(join, what=what, hint=START_ONE)


def _require_listener(address: str) -> None:
    """Raise OSError where nothing listens at `host:port`: Ray itself would try for minutes; "auto" names no place."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=LISTENER_SECONDS).close()


def _asks_for_token(error: BaseException) -> bool:
    return any("InvalidAuthToken" in f"{one}" for one in (error, error.__cause__))


def _is_here(address: str) -> bool:
    """Return whether an address is one of this machine's."""
    import ray

    ours: Any = ray
    host = address.rpartition(":")[0].strip("[]") or address
    return host in {"localhost", "127.0.0.1", "::1", ours.util.get_node_ip_address()}


def _show_token() -> bool:
    """Let this process show the token that Ray keeps for this user; False where there is none."""
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

    return bool(maybe_enable_token_auth_if_token_available(warn_if_disabled=False))


def _nodes() -> list[dict[str, float]]:
    """Return what each machine of the connected Ray has, by resource."""
    import ray

    runtime: Any = ray
    return [node["Resources"] for node in runtime.nodes() if node["Alive"]]


def require(*, cpus: float = 0.0, gpus: float = 0.0, key: str) -> None:
    """Raise ConfigError where no node of the connected Ray has what one piece of work asks for: it would wait for ever.

    `key` names the setting that asks.
    """
    nodes = _nodes()
    for kind, asked in (("CPU", cpus), ("GPU", gpus)):
        most = max((float(node.get(kind, 0.0)) for node in nodes), default=0.0)
        if asked > most:
            raise ConfigError(
                f"{key}={asked:g}: no machine of this Ray has so many {kind}s, the largest has {most:g}",
                hint=f"lower {key}, or choose compute=cluster with the address of one that has them",
            )


def require_actors(*, runners: int = 0, learners: int = 0, on_gpu: bool = False) -> None:
    """Raise ConfigError where the connected Ray has fewer processors in all than its runners and learners ask for, one each.

    A learner on a GPU asks for that instead. Nodes that would join later do not count.
    """
    nodes = _nodes()
    asked = {"CPU": runners + (0 if on_gpu else learners), "GPU": learners if on_gpu else 0}
    for kind, wanted in asked.items():
        there = sum(int(node.get(kind, 0.0)) for node in nodes)  # none runs on two halves of different nodes
        if wanted > there:
            raise ConfigError(
                f"compute.runners={runners} and compute.learners={learners} ask for {wanted} {kind}s, this Ray has {there}",
                hint="lower them, raise compute.num_cpus where Ray starts here, or start more nodes first",
            )


def _not_started(error: Exception) -> TrainingError:
    told = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"  # as Ray takes them
    if isinstance(error, OSError) and error.filename:
        return TrainingError(
            f"Ray cannot start: its folder of temporary files cannot be used: {error.filename} ({error.strerror})",
            hint=f"give one that can be written to, with a short path: {told}=<folder>",
        )
    if "AF_UNIX" in str(error):
        return TrainingError(
            "Ray cannot start: the folder of temporary files is too deep for its sockets: "
            f"{os.environ.get(told) or tempfile.gettempdir()}",
            hint=f"give a short one, such as {told}=/tmp",
        )
    said = next(iter(str(error).splitlines()), type(error).__name__)
    return TrainingError(
        f"Ray cannot start: {said}",
        hint="try again once this machine has less to do, or choose compute=local, which needs none",
    )


def shipped() -> dict[str, Any]:
    """Return the runtime environment that carries the package and its configuration, without data, outputs or .git.

    Nothing is shipped where the package is installed as a wheel: the nodes have it installed as well.
    """
    root = conf_dir().parent
    if not (root / "wealtharena" / "__init__.py").is_file():
        return {}
    return {"working_dir": str(root), "excludes": [f"/{name}/" for name in EXCLUDED]}


def share(value: Any) -> Any:
    """Return a reference to `value` in Ray's store; each node holds one copy, which its runners read in place."""
    import ray

    return ray.put(value)


def build(config: Any) -> Any:
    """Return RLlib's algorithm of a configuration.

    ConfigError where Ray has no room for its actors at all (`require_actors`); TrainingError where they are not all there
    after START_SECONDS, where RLlib itself would wait for ever, or one dies before. What code raises in a runner later is
    raised here.
    """
    require_actors(runners=config.num_env_runners, learners=config.num_learners, on_gpu=config.num_gpus_per_learner > 0)
    with warnings.catch_warnings(), _silent_once_given_up(), _nothing_at_home(), starting("the runners and learners"):
        warnings.filterwarnings("ignore", "(?s).*Overriding environment rllib", UserWarning)  # at the second build
        algorithm = within(
            config.build_algo,
            what="Ray to place and start the runners and learners",
            hint="lower compute.runners or compute.learners, or look at what else this Ray is busy with: `ray status`",
        )
    let_runners_raise(algorithm.env_runner_group)
    return algorithm


@contextlib.contextmanager
def _nothing_at_home() -> Iterator[None]:
    """Let RLlib make the folder that it leaves empty among temporary ones, and remove it: a container's user may have no home."""
    from ray.tune.trainable import trainable

    module: Any = trainable
    plain = module.DEFAULT_STORAGE_PATH
    with tempfile.TemporaryDirectory(prefix="wealtharena-rllib-") as folder:
        module.DEFAULT_STORAGE_PATH = folder
        try:
            yield
        finally:
            module.DEFAULT_STORAGE_PATH = plain


@contextlib.contextmanager
def _silent_once_given_up() -> Iterator[None]:
    """Where the body is given up, let the thread that goes on with it start or join no Ray any more, and say nothing."""
    try:
        yield
    except BaseException:
        from ray._private import auto_init_hook

        auto_init_hook.enable_auto_connect = False  # it would join whatever Ray this machine has, somebody else's too
        for name in [one for one in logging.root.manager.loggerDict if one.partition(".")[0] == "ray"]:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        raise


def disconnect() -> None:
    """Leave Ray; one that was started here ends."""
    import ray

    ray.shutdown()
