"""What the images and their settings start can be composed, and shares what it has to share."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.deployment.rooms import REPOSITORY
from wealtharena.config import ExperimentSpec, compose

ENTRYPOINTS = [
    json.loads(text) for text in re.findall(r"^ENTRYPOINT (\[.*\])$", (REPOSITORY / "Dockerfile").read_text(), re.M)
]


def started(entrypoint: list[str], command: list[str]) -> ExperimentSpec:
    """Return the spec of a container's command line."""
    program, *words = [*entrypoint, *command]
    assert program == "wealtharena"
    return compose([word for word in words if not word.startswith("hydra.")])


def service(file: str, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = yaml.safe_load((REPOSITORY / file).read_text())["services"][name]
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


@pytest.mark.parametrize("name", ["alert_webhook_env", "alert_apprise_env"])
def test_the_container_is_given_the_variables_of_alerts(name: str) -> None:
    paper = service("compose.paper.yaml", "paper")
    assert getattr(started(ENTRYPOINTS[0], paper["command"]).paper, name) in paper["environment"]
