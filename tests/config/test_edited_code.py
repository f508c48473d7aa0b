"""The code of a package is part of what a configuration is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from wealtharena.config import compose, config_hash, plugins
from wealtharena.envs import compiled, rewards

RULE = "from wealtharena.config.specs.risk import RuleSpec as Rule\ndef check(now, rule): ...\n"
CASES = [
    ("envs.rewards", "def mine(): ...\n", ("reward.name=mine",)),
    ("envs.anchors", "def rule(close, spec): ...\n", ("env.action=tilt", "env.anchor=mine")),
    ("envs.baselines", "def rule(close, spec): ...\n", ("algo=bc", "algo.record=mine")),
    ("trading.risk", RULE, ("risk=default", "+risk.own.mine={action: halt}")),
]


def forget() -> None:
    """Look anew at packages, as another process does."""
    plugins._of_package.cache_clear()
    plugins.source_of.cache_clear()


@pytest.fixture(params=CASES, ids=lambda case: case[0])
def offered(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the folder of a package that offers `mine`, and the words that ask for it."""
    room, source, words = request.param
    assert "mine" not in rewards.NAMES, "read once, before a package offers one that is none"
    package = tmp_path / "stranger"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plug.py").write_text(source)
    entry = EntryPoint("mine", "stranger.plug", f"wealtharena.{room}")
    found = plugins._offered
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_offered", lambda asked: {"mine": (entry,)} if asked == room else found(asked))
    forget()
    yield package, ("asset=crypto", *words)
    for module in [module for module in sys.modules if module.startswith("stranger")]:
        del sys.modules[module]
    forget()


@pytest.mark.slow
def test_edited_code_of_a_package_is_another_configuration(offered: tuple[Path, tuple[str, ...]]) -> None:
    """Fifty edits under one name were one configuration tried, and their runs seeds of it."""
    package, words = offered
    helper = package / "below" / "helper.py"
    helper.parent.mkdir()
    helper.write_text("RATE = 1\n")
    plain, before = config_hash(compose(["asset=crypto"])), config_hash(compose(words))
    helper.write_text("RATE = 2\n")
    assert config_hash(compose(words)) == before, "what runs is what was loaded"
    forget()
    assert config_hash(compose(words)) != before
    assert config_hash(compose(["asset=crypto"])) == plain, "what does not use it stays what it is"
    helper.write_text("RATE = 1\n")
    forget()
    assert config_hash(compose(words)) == before


@pytest.mark.parametrize("offered", CASES[:1], indirect=True, ids=["envs.rewards"])
def test_a_kernel_is_compiled_anew_once_code_that_a_reward_calls_was_edited(
    offered: tuple[Path, tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another configuration was trained by the machine code of the one before, where the edit stood in a file beside the reward's."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "machine_code"))
    helper = offered[0] / "helper.py"
    helper.write_text("LOSS = 1.0\n")
    before = compiled.cache_folder.__wrapped__()
    helper.write_text("LOSS = 2.0\n")
    after = compiled.cache_folder.__wrapped__()
    assert before is not None
    assert after is not None
    assert before != after
    helper.write_text("LOSS = 1.0\n")
    assert compiled.cache_folder.__wrapped__() == before
