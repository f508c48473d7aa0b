"""Weights & Biases, beside the training and never in its way.

Everything that touches the library runs in one thread of its own: its import and start take seconds, and a network that
does not answer must cost the training nothing. What goes wrong there is said once, on the console, and ends the mirror,
not the run; metrics.jsonl has it all.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import queue
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wealtharena import files, shown
from wealtharena.config.specs.runs import MAX_TAG, WandbSpec
from wealtharena.errors import ConfigError
from wealtharena.tracking.journal import STEP
from wealtharena.tracking.mirror import Ending, Identity

if TYPE_CHECKING:
    import wandb

PACKAGE = Path(__file__).resolve().parents[1]
LOCAL_SECONDS = 30.0  # a busy machine may take this long to start the library's own process; nobody waits for it
POLL_SECONDS = 0.5
TEARDOWN_SECONDS = 10.0  # longest wait for the end of the library's own process
_MODES = {  # what WANDB_MODE may say, as the library understands it
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
_HOST = "api.wandb.ai"
CACHE = "cache"  # beside its records, where this user has none


def resolve_mode(spec: WandbSpec, environment: Mapping[str, str] = os.environ) -> str:
    """Return online, offline or disabled: `auto` obeys W&B's own variables, else is online with a key or a login.

    ConfigError for a WANDB_MODE that the library does not know: it must not be taken for leave to send something.
    """
    if spec.mode != "auto":
        return spec.mode
    if asked := environment.get("WANDB_MODE", ""):
        if asked not in _MODES:
            raise ConfigError(
                f"WANDB_MODE={asked} is none of {', '.join(_MODES)}", hint="try WANDB_MODE=offline, or unset it"
            )
        return _MODES[asked]
    if environment.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
        return "disabled"
    return "online" if environment.get("WANDB_API_KEY") or logged_in(environment) else "offline"


def logged_in(environment: Mapping[str, str]) -> bool:
    """Return whether `wandb login` has left a key for the server on this machine."""
    server = urlsplit(environment.get("WANDB_BASE_URL", "")).hostname or _HOST
    home = shown.home()
    places = [environment["NETRC"]] if environment.get("NETRC") else []
    places += [str(home / name) for name in (".netrc", "_netrc")] if home is not None else []
    for place in places:
        try:
            if netrc.netrc(place).authenticators(server):
                return True
        except (OSError, netrc.NetrcParseError):  # none there, or one that the library would not read either
            continue
    return False


def own_tags(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the tags of WANDB_TAGS; ConfigError where the library would refuse one at the end of the run."""
    found = tuple(tag.strip() for tag in environment.get("WANDB_TAGS", "").split(",") if tag.strip())
    if wrong := [tag for tag in found if len(tag) > MAX_TAG]:
        raise ConfigError(
            f"WANDB_TAGS: a tag has at most {MAX_TAG} letters, {wrong[0]!r} has {len(wrong[0])}", hint="shorten it"
        )
    return found


def check(spec: WandbSpec) -> None:
    """Raise ConfigError for what W&B's own variables say that the library would stumble over when the run ends."""
    if resolve_mode(spec) != "disabled":
        own_tags()


def has_cache(environment: Mapping[str, str]) -> bool:
    """Return whether the library finds a folder for its own service's diary, which it writes on the screen else."""
    if environment.get("WANDB_CACHE_DIR") or environment.get("XDG_CACHE_HOME"):
        return True
    own = Path(environment.get("HOME") or os.devnull)
    caches = own / ".cache"
    return os.access(caches if caches.exists() else own, os.W_OK | os.X_OK)


class WandbRun:
    """A mirror of one run; every method returns at once except `finish`, which waits `timeout_seconds` at most.

    The library is imported, and its service started, with the first record: after the first update of the learner.

    Of a run that goes on, `again` are the lines of its journal so far: a kill loses what the library had not got to, and
    tears its offline record, which it then refuses to send with another of the run. What is kept offline holds them all.
    """

    title = "Weights & Biases"

    def __init__(
        self,
        spec: WandbSpec,
        identity: Identity,
        *,
        folder: Path,
        mode: str,
        resume_step: int | None = None,
        again: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._spec = spec
        self._again = again
        self._resumed = resume_step is not None
        self._identity = identity
        self._place = Path(os.environ.get("WANDB_DIR") or folder)
        self._mode = mode
        self._inbox: queue.SimpleQueue[Mapping[str, Any] | Ending] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.trouble: str | None = None
        self.address: str | None = None  # the run's page, once it is online
        self.kept: Path | None = None  # the library's own record of the run on this machine

    def log(self, record: Mapping[str, Any]) -> None:
        """Hand over one record of the journal."""
        self._inbox.put(dict(record))
        self._begin()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)
            self._thread.start()

    def finish(self, ending: Ending) -> None:
        """Hand over the summary, plots and report and wait for the end, but no longer than the spec allows.

        A run without a record is none there, but for one that was resumed when it had nothing left to train.
        """
        if self._resumed:
            self._begin()
        if self._thread is None:
            return
        self._inbox.put(ending)
        self._thread.join(2 * self._spec.timeout_seconds)
        if self._thread.is_alive() and self.trouble is None:
            self.trouble = f"no answer within {2 * self._spec.timeout_seconds:.0f} s{self._lacking()}"

    def whereabouts(self, *, beside: bool = False) -> str | None:
        """Return the run's page, or how to send what stays on this machine; None where nothing was recorded.

        `beside` sends the records of runs whose ids begin with this one's, too: a search's trials.
        """
        if self.address is not None or self.kept is None:
            return self.address
        if not beside:
            return f"recorded offline; send it with: {self._sync()}"
        folder = shown.without_home(shlex.quote(files.relative(self.kept.parent)))
        return f"recorded offline; send it with: wandb sync {folder}/offline-run-*-{self._identity.run_id}*"

    def _lacking(self) -> str:
        """Return what follows from an end that went wrong: nothing where no page was begun."""
        if self.address is None:
            return ""
        return f"; the run's page lacks its end, send what was recorded with: {self._sync()}"

    def _sync(self) -> str:
        """Return the command that sends the record, which a person can paste."""
        assert self.kept is not None
        online = "" if self.address is None else "--include-online "  # which it passes over else
        return f"wandb sync {online}{shown.without_home(shlex.quote(files.relative(self.kept)))}"

    def _work(self) -> None:
        try:
            run = self._start()
            while not isinstance(item := self._inbox.get(), Ending):
                run.log(dict(item))
            self._end(run, item)
        except Exception as error:  # noqa: BLE001 - a mirror's failure, whatever it is, must not reach the training
            self.trouble = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ") + self._lacking()
            self._let_go()
        finally:
            self._forget()

    def _start(self) -> wandb.Run:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when the library is imported
        os.environ.setdefault("WANDB_SILENT", "true")
        if not has_cache(os.environ):
            os.environ["WANDB_CACHE_DIR"] = str(self._place / "wandb" / CACHE)
        try:
            run = self._init(self._mode)
        except Exception:  # the library raises from several families, not all of them its own Error
            if self._mode != "online":
                raise
            self.trouble = "no answer from the server; recorded offline, `wandb sync` sends it later"
            run = self._offline_after_all()
        self.kept = Path(run.settings.sync_dir)
        if run.settings.mode == "online":
            self.address = run.url
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        known = run.settings.mode == "online"  # a server has what it was sent
        shown = run.summary.get(STEP, 0) if known else 0  # type: ignore[no-untyped-call]  # the library leaves it so
        for record in self._again:
            if record.get(STEP, 0) >= shown:  # of the last one its validation may be lacking
                run.log({key: value for key, value in record.items() if value is not None})
        return run

    def _offline_after_all(self) -> wandb.Run:
        """Start the run offline, once the failed start lets go of its id, or under another where it does not.

        On a busy machine it takes seconds, and now and then the library never lets go of it.
        """
        until = time.monotonic() + LOCAL_SECONDS
        while True:
            self._let_go()
            late = time.monotonic() > until
            try:
                return self._init("offline", suffix="-offline" if late else "")
            except Exception as error:  # of its service's own family too; anything but a held id is raised again
                if late or "in use" not in str(error):
                    raise
            time.sleep(POLL_SECONDS)

    def _init(self, mode: str, *, suffix: str = "") -> wandb.Run:
        import wandb

        seconds = self._spec.timeout_seconds
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            symlink=False,
            host="-",
            program="run.py",
            program_relpath="run.py",
            x_executable="python",
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            init_timeout=seconds if mode == "online" else max(seconds, LOCAL_SECONDS),
            finish_timeout=seconds,
            finish_timeout_raises=True,
            x_service_wait=max(seconds, LOCAL_SECONDS),
        )
        return wandb.init(
            mode=mode,  # type: ignore[arg-type]  # a Literal there, checked by resolve_mode here
            project=self._spec.project,
            entity=self._spec.entity,
            group=self._identity.group or self._spec.group,
            dir=self._place,
            id=self._identity.run_id + suffix,
            resume="allow" if mode == "online" else None,
            name=self._identity.name,
            job_type=self._identity.job,
            tags=self._identity.tags,
            config=dict(self._identity.config),
            settings=settings,
        )

    def _end(self, run: wandb.Run, ending: Ending) -> None:
        import wandb

        run.tags = tuple(dict.fromkeys((*(run.tags or ()), *ending.tags)))
        run.summary.update(dict(ending.summary))
        media: dict[str, Any] = {f"plots/{path.stem}": wandb.Image(str(path)) for path in ending.plots}
        if ending.report is not None:
            text = ending.report if isinstance(ending.report, str) else ending.report.read_text(encoding="utf-8")
            media["report"] = wandb.Html(text, inject=False)
        if media:
            run.log(media)
        if self._spec.code:
            run.log_code(str(PACKAGE), name="source", include_fn=lambda path: path.endswith((".py", ".yaml")))
        run.finish(exit_code=ending.exit_code)

    def _let_go(self) -> None:
        """Let the library end its service, and go on without it where it does not.

        Of one that has died it would complain with a traceback at the very end. One that was told to end while it
        answered something else now and then misses it, and would be waited for endlessly; it ends with this process.
        """
        if (library := sys.modules.get("wandb")) is None:
            return

        def tear_down() -> None:
            with contextlib.suppress(Exception):  # it complains here instead
                library.teardown(exit_code=1)

        ending = threading.Thread(target=tear_down, name="wandb-teardown", daemon=True)
        ending.start()
        ending.join(TEARDOWN_SECONDS)

    def _forget(self) -> None:
        """Remove the library's own diary, which names local folders."""
        for logs in ((own := self._place / "wandb") / CACHE, *own.glob("*run-*/logs")):
            shutil.rmtree(logs, ignore_errors=True)
