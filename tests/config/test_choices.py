"""What is chosen is one file of a group, also by the files that others wrote."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig

from wealtharena.config import compose
from wealtharena.config.launch import launch
from wealtharena.config.paths import CONFIG_DIR
from wealtharena.config.spelling import command_line
from wealtharena.errors import ConfigError

ROOT = Path(__file__).parents[2]
HEAD = "# @package _global_\n"
MIXED = "defaults:\n  - override /asset: [etf, crypto]\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiment" / "mine").mkdir(parents=True)
    monkeypatch.setenv(CONFIG_DIR, str(tmp_path))
    return tmp_path / "experiment"


@pytest.mark.parametrize(
    "defaults",
    [
        "- override /asset: [etf, crypto]",
        "- override /asset@_global_.asset: [etf, crypto]",
        "- /zoo: [none, none]",
        "- mixed",
        "- mine/mixed",
        "- /experiment: mixed",
        "- optional /experiment: mixed",
    ],
)
def test_a_list_in_a_file_is_no_choice(defaults: str, own: Path) -> None:
    (own / "one.yaml").write_text(f"{HEAD}defaults:\n  {defaults}\n")
    for place in (own, own / "mine"):
        (place / "mixed.yaml").write_text(HEAD + MIXED)
    for word in ("experiment=one", f"experiment={own / 'one.yaml'}"):
        with pytest.raises(
            ConfigError, match=r"yaml chooses .*: \[.*\], and a group takes one choice; write one name there"
        ):
            compose([word])


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_files_of_a_search_path_are_looked_through_as_those_of_config_dir(tmp_path: Path, scheme: str) -> None:
    """A list in one of them was mixed in silence, and a file that bears the name of one of ours was never read."""
    searched = f"hydra.searchpath=[{scheme}{tmp_path}]"
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "one.yaml").write_text(HEAD + MIXED)
    with pytest.raises(ConfigError, match=r"one\.yaml chooses .*, and a group takes one choice"):
        compose([searched, "experiment=one"])
    (tmp_path / "experiment" / "one.yaml").write_text("seed: 7\n")
    with pytest.raises(ConfigError, match=r"one\.yaml: nothing reads its keys"):
        compose([searched, "experiment=one"])
    (tmp_path / "experiment" / "one.yaml").write_text(f"{HEAD}seed: 7\n")
    assert compose([searched, "experiment=one"]).seed == 7
    (tmp_path / "other" / "asset").mkdir(parents=True)
    (tmp_path / "other" / "asset" / "etf.yaml").write_text("name: etf\n")
    with pytest.raises(ConfigError, match=r"asset/etf\.yaml would never be read: .* has its name and wins"):
        compose([f"hydra.searchpath=[{scheme}{tmp_path / 'other'}]", "asset=etf"])


@pytest.mark.slow
def test_a_search_path_is_the_folder_of_config_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra knows of it in one composition: what it chose was no choice in a grid, and for `resume=`; a package's was not looked through."""
    monkeypatch.setenv(CONFIG_DIR, "")
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # Hydra leaves there what it was asked
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "theirs" / "conf"
    (folder / "experiment").mkdir(parents=True)
    for place in (folder.parent, folder):
        (place / "__init__.py").touch()
    (folder / "experiment" / "one.yaml").write_text(f"{HEAD}seed: 7\n")

    def said(*words: str) -> str:
        os.environ[CONFIG_DIR] = ""
        monkeypatch.setattr("sys.argv", ["run.py", *words, "experiment=one", "--cfg", "job"])
        launch(lambda cfg: 0)()
        found = capsys.readouterr()
        return found.out + found.err

    for place in ("pkg://theirs.conf", f"file://{folder}"):
        assert "seed: 7\n" in said(f"hydra.searchpath=[{place}]")
        assert os.environ[CONFIG_DIR] == str(folder)
    mine = tmp_path / "mine"
    mine.mkdir()
    assert "seed: 7\n" in said(f"hydra.searchpath=[{mine},pkg://theirs.conf]")
    assert os.environ[CONFIG_DIR] == f"{mine}{os.pathsep}{folder}"
    assert "seed: 7\n" in said("--config-dir", str(mine), "hydra.searchpath=[pkg://theirs.conf]")
    assert command_line(["seed=1"]).endswith(f"--config-dir {mine} --config-dir {folder} seed=1")
    assert "names what is no folder" in said("hydra.searchpath=[structured://theirs,pkg://theirs.conf]")
    assert "cannot read the override 'hydra.searchpath" in said("hydra.searchpath=[~/theirs]"), "it was passed over"
    shutil.copytree(folder.parent, tmp_path / "others")  # what was looked through once is not again
    (tmp_path / "others" / "conf" / "asset").mkdir()
    (tmp_path / "others" / "conf" / "asset" / "etf.yaml").write_text("name: etf\n")
    assert "asset/etf.yaml would never be read" in said("hydra.searchpath=[pkg://others.conf]")


@pytest.mark.slow
def test_help_knows_of_a_search_path_before_anything_else_does(tmp_path: Path) -> None:
    """No kind of source was registered yet, so that every folder was none."""
    command = [sys.executable, "-m", "wealtharena", f"hydra.searchpath=[{tmp_path}]", "--help"]
    done = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_files_that_choose_one_another_are_refused(own: Path) -> None:
    (own / "one.yaml").write_text(f"{HEAD}defaults:\n  - two\n")
    (own / "two.yaml").write_text(f"{HEAD}defaults:\n  - one\n")
    with pytest.raises(ConfigError, match="choose one another in a circle"):
        compose(["experiment=one"])


@pytest.mark.parametrize(
    "text", ["seed: 7\n", "defaults:\n  - override /asset: etf\nseed: 7\n", f"# mine\n{HEAD}seed: 7\n"]
)
def test_a_preset_that_does_not_say_where_its_keys_belong_is_refused(text: str, own: Path) -> None:
    (own / "one.yaml").write_text(text)
    with pytest.raises(
        ConfigError, match=r"one\.yaml: nothing reads its keys, .*; make its first line: # @package _global_"
    ):
        compose(["experiment=one"])
    (own / "one.yaml").write_text(f"\n# @more x\n{HEAD}{text}")
    assert compose(["experiment=one"]).seed == 7
    (own / "one.yaml").write_text(text)
    assert compose([f"experiment={own / 'one.yaml'}"]).seed == 7  # a path says it


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"one\.yaml holds no keys"),
        ("- seed: 7\n", r"one\.yaml holds no keys"),
        (f"\ufeff{HEAD}seed: 7\n", r"one\.yaml begins with a byte order mark, .*; save it as UTF-8 without one"),
    ],
)
def test_a_preset_whose_keys_nobody_sees_is_told_as_what_it_is(text: str, told: str, own: Path) -> None:
    """An empty one was an unknown key `experiment`; the one of an editor that writes marks had its first line proposed to it."""
    (own / "one.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        compose(["experiment=one"])


def test_a_wrong_value_of_a_preset_is_not_proposed_again(own: Path) -> None:
    (own / "one.yaml").write_text(f"{HEAD}seed: true\n")
    with pytest.raises(ConfigError) as caught:
        compose(["experiment=one"])
    assert str(caught.value) == "seed=true must be a whole number; leave seed out"


def test_a_preset_that_is_mended_is_read_anew(own: Path) -> None:
    for seed in (3, 4):
        (own / "one.yaml").write_text(f"{HEAD}seed: {seed}\n")
        assert compose(["experiment=one"]).seed == seed


def test_what_is_no_group_may_be_a_list(own: Path) -> None:
    (own / "one.yaml").write_text(f"{HEAD}model:\n  hidden: [8, 8]\ndata:\n  symbols: [BTC-USD]\n")
    assert compose(["experiment=one"]).data.symbols == ("BTC-USD",)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("hydra.run.dir=null", "hydra.run.dir=null: it takes no null; leave out hydra.run.dir=null"),
        ("model.hidden={a:1}", "model.hidden={a:1} must be a list, such as [a,b]; leave out"),
        ("asset.costs=[1]", "asset.costs=[1] must be a mapping, such as {a: 1}; leave out"),
        ("data.symbols=[ä]", "write 'data.symbols=[\"ä\"]'"),
        ("data.symbols=[ä", "quote a value with spaces, commas or letters such as ä twice"),
        ("hydra.searchpath=[/nowhere]", "hydra.searchpath: /nowhere is no folder of configuration"),
    ],
)
def test_what_hydra_says_is_said_in_our_words(word: str, told: str) -> None:
    with pytest.raises(ConfigError) as found:
        compose([word])
    assert told in str(found.value)


def test_a_path_of_any_letters_is_read_as_on_the_command_line() -> None:
    assert compose(["paths.results=/tmp/ä ö, ü=1"]).paths.results == "/tmp/ä ö, ü=1"


@pytest.mark.slow
def test_of_several_folders_of_configuration_each_is_read_and_none_hides_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CONFIG_DIR, "")  # put back what the flags leave
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, seed in ((one, 7), (two, 8)):
        (folder / "experiment").mkdir(parents=True)
        (folder / "experiment" / f"{folder.name}.yaml").write_text(f"{HEAD}seed: {seed}\n")

    def said(*folders: Path, chosen: str) -> str:
        flags = [f"--config-dir={folder}" for folder in folders]
        monkeypatch.setattr("sys.argv", ["run.py", *flags, f"experiment={chosen}", "--cfg", "job"])
        launch(lambda cfg: 0)()
        found = capsys.readouterr()
        return found.out + found.err

    assert "seed: 7\n" in said(one, two, chosen="one")
    assert "seed: 8\n" in said(one, two, chosen="two")
    for nowhere in (Path("nowhere"), Path("~nobody_of_that_name/x"), Path("x" * 300)):
        assert f"--config-dir {nowhere} is no folder" in said(one, nowhere, chosen="one")
    odd = tmp_path / f"a{os.pathsep}b"
    shutil.copytree(one, odd)
    assert "seed: 7\n" in said(odd, chosen="one")
    assert "in its name" in said(two, odd, chosen="one")
    other = tmp_path / "other"  # what was looked through once is not again
    shutil.copytree(one, other)
    (other / "experiment" / "one.yaml").write_text(f"{HEAD}seed: 9\n")
    hidden = f"{other}/experiment/one.yaml would never be read: {one}/experiment/one.yaml"
    assert hidden in said(one, other, chosen="one")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"{HEAD}{MIXED}".encode(), "one.yaml chooses override /asset: [etf, crypto], and a group takes one choice"),
        (b"seed: 7\n", "one.yaml: nothing reads its keys"),
        (
            f"{HEAD}# gr\xf6\xdfer\nseed: 7\n".encode("latin-1"),
            "one.yaml is no text in UTF-8: byte 24; save it as UTF-8",
        ),
    ],
)
def test_a_file_of_the_last_folder_is_looked_through_as_one_of_the_first(
    content: bytes, told: str, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several folders, as beside an installed package that brings configuration, only the first was looked through."""
    last = tmp_path / "last"
    (last / "experiment").mkdir(parents=True)
    (last / "experiment" / "one.yaml").write_bytes(content)
    monkeypatch.setenv(CONFIG_DIR, os.pathsep.join([str(own.parent), str(last)]))
    with pytest.raises(ConfigError, match=re.escape(told)):
        compose(["experiment=one"])


@pytest.mark.parametrize(
    ("defaults", "told"),
    [
        ("- ppp", "algo/mine.yaml chooses algo=ppp, which is not a choice; did you mean algo=ppo? choices: a2c, appo"),
        ("- /algos: ppo", "algo/mine.yaml chooses algos=ppo, which is of no group that there is; did you mean algo?"),
    ],
)
def test_a_file_that_chooses_what_is_not_there_is_named_with_what_there_is(
    defaults: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was said of what nobody had typed, with an empty list of choices."""
    (tmp_path / "algo").mkdir()
    (tmp_path / "algo" / "mine.yaml").write_text(f"defaults:\n  {defaults}\nname: ppo\n")
    monkeypatch.setenv(CONFIG_DIR, str(tmp_path))
    with pytest.raises(ConfigError, match=re.escape(told)):
        compose(["algo=mine"])
