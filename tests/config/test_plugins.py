"""How plugins are loaded; what packages offer is in tests/test_plugins.py."""

import gc
import sys
from importlib.metadata import EntryPoint

import pytest

from wealtharena import config
from wealtharena.config import plugins

SEEN = "import gc\n\ncollects = gc.isenabled()\n"


@pytest.mark.parametrize("collects", [True, False])
def test_a_plugin_is_imported_without_looks_for_garbage_and_they_go_on_as_before(tmp_path, monkeypatch, collects):
    (tmp_path / "watcher.py").write_text(SEEN)
    (tmp_path / "broken.py").write_text("raise ImportError('of its own')\n")
    monkeypatch.setattr(config, "__path__", [*config.__path__, str(tmp_path)])
    if not collects:
        gc.disable()
    freezes = []  # and not gc.get_freeze_count: what is frozen can end all the same
    monkeypatch.setattr(plugins.gc, "freeze", lambda: freezes.append(1))
    try:
        assert plugins.load("config", "watcher").collects is False
        assert gc.isenabled() is collects
        assert freezes == [1], "what is imported for good is not looked through later either"
        plugins.load("config", "watcher")
        assert freezes == [1], "nothing is kept from the collector for a module that was there"
        with pytest.raises(ImportError, match="of its own"):
            plugins.load("config", "broken")
        assert gc.isenabled() is collects
    finally:
        gc.enable()
        sys.modules.pop("wealtharena.config.watcher", None)
        vars(config).pop("watcher", None)


def test_an_exception_in_compiled_code_of_a_package_names_it(tmp_path, monkeypatch):
    """A frame that numba makes up for a reward has the reward's file, and not its module."""
    plug = tmp_path / "strangest" / "plug.py"
    plug.parent.mkdir()
    for name in ("__init__.py", "plug.py"):
        (plug.parent / name).write_text("")
    entry = EntryPoint("mine", "strangest.plug", "wealtharena.envs.rewards")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_offered", lambda room: {"mine": (entry,)} if room == "envs.rewards" else {})
    with pytest.raises(ValueError, match="deep") as caught:
        exec(compile("\n\nraise ValueError('deep')", str(plug), "exec"), {})
    assert "the plugin 'mine' (plug.py, line 3) failed: ValueError: deep" in str(plugins.failure(caught.value))
