"""What the images and their settings start can be composed, and shares what it has to share."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from tests.deployment.rooms import REPOSITORY
from wealtharena.config import ExperimentSpec, compose

FILES = ("compose.yaml", "compose.paper.yaml")
ENTRYPOINTS = [
    json.loads(text) for text in re.findall(r"^ENTRYPOINT (\[.*\])$", (REPOSITORY / "Dockerfile").read_text(), re.M)
]


def started(entrypoint: list[str], command: list[str]) -> ExperimentSpec:
    """Return the spec of a container's command line."""
    program, *words = [*entrypoint, *command]
    assert program == "wealtharena"
    return compose([word for word in words if not word.startswith("hydra.")])


def service(file: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / file).read_text())["services"][name]
    return found


def test_the_images_start_trading_and_serving() -> None:
    trading, serving = ENTRYPOINTS
    assert started(trading, []).task == "paper"
    assert started(serving, []).task == "serve"


def test_the_page_shows_the_accounts_that_are_traded_beside_it() -> None:
    trading, serving = ENTRYPOINTS
    paper, page = (service("compose.paper.yaml", name) for name in ("paper", "serve"))
    traded, shown = started(trading, paper["command"]), started(serving, page["command"])
    assert traded.paper.feed == "live"
    assert shown.paper.root == traded.paper.root == "/srv/accounts"
    for one in (paper, page):
        assert "accounts:/srv/accounts" in one["volumes"]
    assert traded.paths.checkpoints == shown.paths.checkpoints == "/srv/wealtharena"
    assert traded.paths.ledger.startswith("/srv/accounts/"), "the rest of its file system is read-only"
    assert traded.data.root == "/srv/data"


def test_an_account_whose_container_is_started_again_has_a_run_directory_of_its_own() -> None:
    """`docker restart`, and a pod with a folder for /tmp, find there what the process before has left."""
    shipped = OmegaConf.load(REPOSITORY / "conf" / "config.yaml")
    asked = [word for word in ENTRYPOINTS[0] if word.startswith("hydra.run.dir=")]
    assert asked == [], "one folder for all starts is refused from the second on"
    assert "${now:" in OmegaConf.to_container(shipped)["hydra"]["run"]["dir"]
    assert re.search(r"^WORKDIR /tmp$", (REPOSITORY / "Dockerfile").read_text(), re.M), "the rest is read-only"


@pytest.mark.parametrize("name", ["alert_webhook_env", "alert_apprise_env"])
def test_the_container_is_given_the_variables_of_alerts(name: str) -> None:
    paper = service("compose.paper.yaml", "paper")
    assert getattr(started(ENTRYPOINTS[0], paper["command"]).paper, name) in paper["environment"]


def test_the_image_can_be_given_a_brokers_library_and_its_keys_of_paper_money() -> None:
    text = (REPOSITORY / "compose.paper.yaml").read_text()
    paper = service("compose.paper.yaml", "paper")
    (wanted,) = re.findall(r"WEALTHARENA_EXTRAS=(\S+) docker compose", text)
    (default,) = re.findall(r"^ARG EXTRAS=(\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.M)
    assert paper["build"]["args"]["EXTRAS"] == f"${{WEALTHARENA_EXTRAS:-{default}}}"
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {default, *wanted.split(",")} <= set(extras)
    (words,) = re.findall(r" run --detach paper (.+)$", text, re.M)
    spec = started(ENTRYPOINTS[0], words.split())
    assert spec.broker.name in wanted.split(",")
    keys = {name for name in paper["environment"] if name.startswith("ALPACA_")}
    assert keys == {"ALPACA_PAPER_KEY_ID", "ALPACA_PAPER_SECRET_KEY"}, "real money is nobody's default"


def test_the_container_is_given_the_keys_of_providers() -> None:
    named = re.findall(
        r"key_env: ([A-Z_]+)", "".join(file.read_text() for file in (REPOSITORY / "conf/data").glob("*.yaml"))
    )
    assert named
    assert set(named) <= set(service("compose.paper.yaml", "paper")["environment"])


def merged() -> dict[str, dict[str, Any]]:
    """Return the services and volumes of both files, the second over the first, as `docker compose -f one -f other` takes them."""
    found: dict[str, dict[str, Any]] = {"services": {}, "volumes": {}}
    for file in FILES:
        content = yaml.safe_load((REPOSITORY / file).read_text())
        found["volumes"] |= content.get("volumes", {})
        for name, more in content["services"].items():
            known = found["services"].setdefault(name, {})
            volumes = [*known.get("volumes", []), *more.get("volumes", [])]
            known.update(more, volumes=volumes)
    return found


def test_what_is_built_and_mounted_is_there() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    stages = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.M)
    for words in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.M):
        for source in words.split()[:-1]:
            assert (REPOSITORY / source).exists(), f"the Dockerfile copies {source}"
    assert set(re.findall(r"COPY --from=(\S+)", dockerfile)) <= set(stages)
    whole = merged()
    assert set(whole["services"]) == {"serve", "keys", "paper"}
    for name, one in whole["services"].items():
        build = one["build"]
        if isinstance(build, dict):
            assert build["target"] in stages, f"{name} builds {build['target']}"
            assert (REPOSITORY / build["context"] / "Dockerfile").exists()
        for volume in one["volumes"]:
            source, target = volume.split(":")[:2]
            assert source == "./checkpoints" or source in whole["volumes"], f"{name} mounts {source}"
            declared = re.findall(rf'VOLUME \[.*"{target}".*\]', dockerfile)
            assert declared or target == "/srv/accounts", f"{name} mounts {target}, of which no image knows"


def test_the_switch_that_the_file_names_is_the_accounts() -> None:
    text = (REPOSITORY / "compose.paper.yaml").read_text()
    spec = started(ENTRYPOINTS[0], service("compose.paper.yaml", "paper")["command"])
    (switch,) = re.findall(r"touch (\S+)", text)
    assert switch == f"{spec.paper.root}/{spec.asset.agent}/{spec.paper.account}/KILL"
    (named,) = re.findall(r"docker compose((?: -f \S+)+) up", text)
    assert named.split()[1::2] == list(FILES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serve", "keys", "paper"])
def test_the_entry_point_itself_understands_each_command_line(name: str, tmp_path: Path) -> None:
    one = merged()["services"][name]
    entrypoint = one.get("entrypoint") or ENTRYPOINTS[0 if name == "paper" else 1]
    words = [*entrypoint[1:], *one.get("command", []), "--cfg", "job"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    said = subprocess.run(
        [sys.executable, "-m", "wealtharena", *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert yaml.safe_load(said.stdout)["task"] == ("paper" if name == "paper" else "serve")


class Living(BaseHTTPRequestHandler):
    """What answers on `/health` alone."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def looked(folder: Path, command: list[str]) -> bool:
    """Return whether the image's check finds a service that was started by the command line healthy."""
    (check,) = re.findall(r"HEALTHCHECK .*\n +CMD (\[.*\])$", (REPOSITORY / "Dockerfile").read_text(), re.M)
    started = folder / "cmdline"
    started.write_bytes(b"\0".join(word.encode() for word in command) + b"\0")
    program, *words = (word.replace("/proc/1/cmdline", str(started)) for word in json.loads(check))
    assert program == "python"
    nobody = os.environ | {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    return (
        subprocess.run([sys.executable, *words], env=nobody, capture_output=True, timeout=60, check=False).returncode
        == 0
    )


@pytest.mark.slow
def test_the_images_check_asks_where_the_service_was_told_to_listen(tmp_path: Path) -> None:
    """Behind another port each container was unhealthy, and behind a proxy that Docker hands to all of them."""
    init, serving = ["/sbin/docker-init", "--"], [*ENTRYPOINTS[1], "serve.workers=2"]
    with HTTPServer(("127.0.0.1", 0), Living) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        moved = f"serve.port={server.server_port}"
        assert looked(tmp_path, [*serving, moved])
        assert looked(tmp_path, [*init, *serving, "serve.port=1", moved, "serve.host=127.0.0.1"])
        assert not looked(tmp_path, [*serving, "serve.port=1"])
        server.shutdown()


def test_the_images_check_asks_the_port_that_ships() -> None:
    (port,) = re.findall(r"said\.get\('serve\.port', (\d+)\)", (REPOSITORY / "Dockerfile").read_text())
    assert started(ENTRYPOINTS[1], []).serve.port == int(port)
