import json
import re
from pathlib import Path

import pytest

from wealtharena.config.paths import CONFIG_DIR
from wealtharena.config.resume import resumed_argv
from wealtharena.config.spelling import plain
from wealtharena.errors import ConfigError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "out, puts=1" / "run"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- asset=forex\n- train.env_steps=100\n- +debug=fast\n")
    return folder


def test_arguments_without_resume_stay_as_they_are() -> None:
    assert resumed_argv(["asset=crypto", "-m"]) == ["asset=crypto", "-m"]
    assert resumed_argv(["resume=null", "seed=1"]) == ["resume=null", "seed=1"]


def test_old_overrides_come_first_and_new_ones_replace_them(run: Path) -> None:
    argv = resumed_argv([f"resume={run}", "train.env_steps=200"])
    assert argv[:3] == ["asset=forex", "+debug=fast", "train.env_steps=200"]


def test_the_run_goes_on_in_its_own_folder_and_keeps_its_hydra(run: Path) -> None:
    from wealtharena.config import compose

    argv = resumed_argv([f"resume={run}"])
    assert "hydra.output_subdir=null" in argv
    composed = compose([item for item in argv if not item.startswith(("hydra.", "+"))])
    assert composed.resume == str(run)
    assert composed.train.env_steps == 100


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run directory"):
        resumed_argv([f"resume={tmp_path}"])


def test_a_run_of_own_files_asks_for_their_folders(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them it was a choice that is not there, and nothing said which command had been meant."""
    monkeypatch.setenv(CONFIG_DIR, "")
    said = {"run_id": "a", "status": "interrupted", "task": "train"}
    command = "python run.py --config-dir 'my conf' --config-dir two asset=mine"
    (run / "run.json").write_text(json.dumps({**said, "command": command}))
    with pytest.raises(ConfigError, match=r"begun with --config-dir 'my conf' --config-dir two, .*; add --config-dir"):
        resumed_argv([f"resume={run}"])
    monkeypatch.setenv(CONFIG_DIR, str(tmp_path))
    assert resumed_argv([f"resume={run}"])[0] == "asset=forex"
    monkeypatch.setenv(CONFIG_DIR, "")
    for other in ({}, {"command": None}, {"command": "wealtharena asset=mine"}, {"command": "wealtharena 'asset=mine"}):
        (run / "run.json").write_text(json.dumps(said | other))
        assert resumed_argv([f"resume={run}"])[0] == "asset=forex"


def test_a_record_that_was_cut_is_named_and_not_its_last_letters_alone(run: Path) -> None:
    record = run / ".hydra" / "overrides.yaml"
    record.write_text(record.read_text().removesuffix("debug=fast\n"))
    with pytest.raises(ConfigError, match=r"overrides\.yaml is damaged: '\+' sets nothing; put it back"):
        resumed_argv([f"resume={run}"])


@pytest.mark.parametrize("word", ["resume=", "resume=''", "resume=' '"])
def test_a_resume_of_nothing_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="resume= names no run directory; "):
        resumed_argv([word, "seed=1"])


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_a_run_goes_on_in_no_other_folder(run: Path, tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"goes on in its own folder; leave out .*hydra\.run\.dir="):
        resumed_argv([f"resume={run}", f"{prefix}hydra.run.dir={tmp_path}"])
    assert resumed_argv([f"resume={run}", f"{prefix}hydra.run.dir={run}"])[-1] == "hydra.output_subdir=null"


def test_a_plus_before_a_key_that_is_looked_for_is_taken_off() -> None:
    typed = ["+resume=x", "++resume=x", "+hydra.mode=MULTIRUN", "++log=json", "++train.test=true"]
    assert plain(typed) == ["resume=x", "resume=x", "hydra.mode=MULTIRUN", "log=json", "train.test=true"]
    others = [
        "+log=json",
        "~resume",
        "++resumed=x",
        "+debug=fast",
        "++asset.instrument.multipliers.X=1",
        "seed=1",
        "-m",
    ]
    assert plain(others) == others


@pytest.mark.parametrize("word", ["algo=theirs", "reward=theirs", "+experiment=theirs"])
def test_a_run_of_a_package_that_is_not_installed_says_so(run: Path, word: str) -> None:
    """It was no choice, and the nearest of ours was proposed, which would have been another run."""
    (run / ".hydra" / "overrides.yaml").write_text(f"- asset=forex\n- {word}\n")
    with pytest.raises(ConfigError, match=rf"was begun with {re.escape(word)}, which is not here; install the package"):
        resumed_argv([f"resume={run}"])
    known = ["algo=direct", "experiment=null", "experiment=/a/path.yaml", "model=mlp", "sweep=none", "data.path=theirs"]
    (run / ".hydra" / "overrides.yaml").write_text("".join(f"- {item}\n" for item in known))
    assert resumed_argv([f"resume={run}"])[: len(known)] == known
