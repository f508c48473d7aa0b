"""A loopback server that speaks as much of W&B's protocol as a run of its own library asks of it, and keeps what it is sent.

GraphQL at /graphql: RunResumeStatus, UpsertBucket, CreateRunFiles; lines of a run's files at /files/.../file_stream; files by
PUT. Whatever else is asked for is kept in `unknown` and answered with nothing.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.trading.serving import listening

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What the server knows of one run."""

    name: str
    project: str
    facts: dict[str, Any] = field(default_factory=dict)  # displayName, groupName, jobType, tags
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None


@dataclass
class Wandb:
    """The server's state; `key` is the only one that it lets in."""

    key: str
    url: str = ""
    runs: dict[str, Run] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    # cleared, lines of files are neither answered nor kept
    takes: threading.Event = field(default_factory=threading.Event)

    def graphql(self, asked: dict[str, Any]) -> dict[str, Any]:
        query, values = asked["query"], asked.get("variables") or {}
        if "RunResumeStatus" in query:
            run = self.runs.get(values["name"])
            return {"model": self._model(values["project"]) | {"bucket": run and self._resumed(run)}}
        if "UpsertBucket" in query:
            return {"upsertBucket": self._upsert(values)}
        if "CreateRunFiles" in query:
            run = self.runs[values["run"]]
            links = [{"name": name, "uploadUrl": f"{self.url}/put/{run.name}/{name}"} for name in values["files"]]
            return {"createRunFiles": {"runID": run.name, "uploadHeaders": [], "files": links}}
        self.unknown.append(query[:200])
        return {}

    def _upsert(self, values: dict[str, Any]) -> dict[str, Any]:
        inserted = values["name"] not in self.runs
        run = self.runs.setdefault(values["name"], Run(values["name"], values["project"]))
        run.facts |= {key: values[key] for key in ("displayName", "groupName", "jobType", "tags") if values.get(key)}
        if values.get("config"):
            run.config = {name: entry["value"] for name, entry in json.loads(values["config"]).items()}
        if values.get("summaryMetrics"):
            run.summary |= json.loads(values["summaryMetrics"])
        model = self._model(run.project)
        bucket = {
            "id": run.name, "name": run.name, "displayName": run.facts.get("displayName"), "description": None,
            "config": "{}", "sweepName": None, "project": model, "historyLineCount": len(run.history),
        }  # fmt: skip
        return {"bucket": bucket, "inserted": inserted}

    def _model(self, project: str) -> dict[str, Any]:
        return {"id": "project", "name": project, "entity": {"id": "entity", "name": "lab"}}

    def _resumed(self, run: Run) -> dict[str, Any]:
        return {
            "id": run.name, "name": run.name, "displayName": run.facts.get("displayName"), "notes": None,
            "summaryMetrics": json.dumps(run.summary), "logLineCount": 0, "historyLineCount": len(run.history),
            "eventsLineCount": 0, "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]", "config": json.dumps({name: {"value": value} for name, value in run.config.items()}),
            "tags": run.facts.get("tags", []), "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip

    def streamed(self, name: str, sent: dict[str, Any]) -> None:
        run = self.runs[name]
        for file, chunk in (sent.get("files") or {}).items():
            lines = [json.loads(line) for line in chunk["content"]]
            if file == "wandb-history.jsonl":
                run.history[chunk["offset"] :] = lines
            elif file == "wandb-summary.json":
                run.summary = lines[-1]
        if sent.get("complete"):
            run.exit_code = sent.get("exitcode")


@contextlib.contextmanager
def serving(key: str) -> Iterator[Wandb]:
    """Yield a server on a port of its own that lets `key` in."""
    wandb = Wandb(key)
    wandb.takes.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            sent = json.loads(self._body())
            if not self._let_in():
                return
            if self.path.endswith("/file_stream") and not wandb.takes.is_set():
                wandb.takes.wait(120)
                self.close_connection = True
                return
            with wandb.lock:
                if self.path == "/graphql":
                    self._answer({"data": wandb.graphql(sent)})
                elif self.path.endswith("/file_stream"):
                    wandb.streamed(self.path.split("/")[-2], sent)
                    self._answer({})
                else:
                    wandb.unknown.append(f"POST {self.path}")
                    self._answer({})

        def do_PUT(self) -> None:
            body = self._body()
            _, _, run, name = unquote(self.path).split("/", 3)
            with wandb.lock:
                wandb.runs[run].files[name] = body
            self._answer({})

        def do_GET(self) -> None:
            with wandb.lock:
                wandb.unknown.append(f"GET {self.path}")
            self._answer({})

        def _let_in(self) -> bool:
            shown = self.headers.get("Authorization", "")
            if shown == "Basic " + base64.b64encode(f"api:{wandb.key}".encode()).decode():
                return True
            with wandb.lock:
                wandb.refused += 1
            self._answer({"errors": [{"message": "user is not logged in"}]}, code=401)
            return False

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _answer(self, content: dict[str, Any], *, code: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Handler) as wandb.url:
        try:
            yield wandb
        finally:
            wandb.takes.set()


def environment(url: str, key: str) -> dict[str, str]:
    """Return that of a process whose W&B is at `url`: nothing else of W&B's, such as a service of this one, is handed on."""
    own = {"WANDB_BASE_URL": url, "WANDB_API_KEY": key, "PYTHONPATH": str(ROOT)}
    return {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | own
