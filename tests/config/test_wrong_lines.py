"""Command lines that are wrong in some way or other: each ends in one line with a way out, never in a traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from wealtharena.config import compose, grid
from wealtharena.config.composition import check_search_path, defaults_for, groups
from wealtharena.config.launch import launch
from wealtharena.errors import ConfigError

LINES = 100
VALUES = (
    "abc", "-1", "1e400", "nan", "null", "[]", "{}", "[1,2", "'", "true", "99999999999999999999", "-0.5", "2024-13-45",
    "${oc.env:NO_SUCH_VARIABLE}", "${nope}", "", "a=b", "[null]", "{a:1}", "0x10", "1_000", "ünï", "é*", "(1)", "~",
    "!", "a b", "???", "${",
)  # fmt: skip
CHOICES = ("nope", "ppoo", "null", "[a,b]", "../x", "/etc/passwd", "")


def wrong_lines(seed: int) -> list[str]:
    """Return command-line words made from the tree of the configuration, most of them wrong."""
    rng = random.Random(seed)
    keys = sorted(key for key, value in defaults_for(()).items() if not isinstance(value, dict))
    rooms = sorted(groups())
    made: dict[str, None] = {}
    while len(made) < LINES:
        key, value, group = rng.choice(keys), rng.choice(VALUES), rng.choice(rooms)
        at = rng.randrange(len(key))
        shapes = (
            f"{key[:at]}{rng.choice('xyz_.')}{key[at + 1 :]}=1", f"{key}={value}", f"{group}={rng.choice(CHOICES)}",
            f"{rng.choice(('+', '~', '++'))}{key}={value}", key, f"={key}", f"{key}==1", f"{key}.x.y=1", f"~{key}.zz",
            f"{key}@{key}=1", f"~{key}", group,
        )  # fmt: skip
        made[rng.choice(shapes)] = None
    return list(made)


def refusal(line: str) -> ConfigError | None:
    try:
        compose([line])
    except ConfigError as error:
        return error
    return None


@pytest.mark.slow
def test_wrong_lines_are_refused_in_words() -> None:
    refused = {line: error for line in wrong_lines(seed=0) if (error := refusal(line)) is not None}
    assert len(refused) > 0.9 * LINES
    for line, error in refused.items():
        assert error.exit_code == 2, line
        assert all("; " in text for text in str(error).splitlines()), (line, str(error))  # each with a way out


@pytest.mark.parametrize("group", ["algo", "asset", "data", "experiment", "task"])
def test_a_group_of_nothing_is_no_choice(group: str) -> None:
    with pytest.raises(ConfigError, match=rf"{group}=null is not a choice; choices: "):
        compose([f"{group}=null"])


@pytest.mark.parametrize(
    "word",
    [
        "asset=[etf,crypto]",
        "asset={etf:1}",
        "sweep=[ppo,sac]",
        "hydra/launcher=[basic,joblib]",
        "experiment=[fx_20,etf_tilt]",
        "task=[train]",
        "experiment=[]",
        "data/simulator=[etf,crypto]",
    ],
)
def test_a_group_takes_no_list(word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Hydra lays the files of a list over one another: etf's prices under the agent of currency pairs."""
    told = f"{word}: a group takes one choice, by its name; write {word.partition('=')[0]}=<name>"
    with pytest.raises(ConfigError) as refused:
        compose([word])
    assert str(refused.value).startswith(told)
    monkeypatch.setattr("sys.argv", ["run.py", "--cfg", "job", word])
    assert launch(lambda cfg: 0)() == 2
    assert capsys.readouterr().err.startswith(f"error: {told}")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("asset=../x", "asset=../x is not a choice; choices: commodities, "),
        ("algo=/etc/passwd", "algo=/etc/passwd is not a choice; choices: a2c, "),
        ("data/simulator=x/y", "data/simulator=x/y is not a choice; choices: "),
        ("experiment=/dev/null", "experiment=/dev/null: there is no such file; give a preset's name, "),
        ("backtest.start=20240131", "backtest.start=20240131 must be text; try backtest.start=2024-01-31"),
        ("paper.end=20240131", "paper.end=20240131 must be text; try paper.end=2024-01-31"),
        ("paths.checkpoints=", "paths.checkpoints= must have at least 1 letter; try paths.checkpoints=checkpoints"),
        ("data.path=", "data.path= must have at least 1 letter; try data.path=null"),
        (
            "data.symbols=[A,1E5]",
            "data.symbols.1=1E5 must be text; put it in quotes of its own, as in 'data.symbols=[\"1E5\"]'",
        ),
        (
            "+asset.instrument.currencies={600519: CNY}",
            "asset.instrument.currencies.600519.[key]=600519 must be text; put it in quotes, as in '{\"600519\": ...}'",
        ),
        (
            "data.symbols=[NULL]",
            "data.symbols.0=NULL must be text; put it in quotes of its own, as in 'data.symbols=[\"NULL\"]'",
        ),
    ],
)
def test_a_refusal_says_what_was_typed(word: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose([word])
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe", "experiment=own.yaml cannot be read: it is no text in UTF-8"),
        (b"5", "experiment=own.yaml cannot be read: it is no text in UTF-8 of keys and values"),
        (b"- a", "experiment=own.yaml holds a list, no keys; "),
        (b"seed: 1\nseed: 2", "own.yaml, line 2, column 1 is no YAML: found duplicate key seed; "),
        (b"[a", "own.yaml, line 1, column 3 is no YAML: "),
    ],
)
def test_a_preset_that_is_none_is_one_line(
    content: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        compose(["experiment=own.yaml"])
    assert told in str(refused.value)
    monkeypatch.setattr("sys.argv", ["run.py", "experiment=own.yaml"])
    assert launch(lambda cfg: 0)() == 2
    assert told in capsys.readouterr().err


def test_a_symbol_that_yaml_reads_as_a_number_is_not_told_to_be_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("data:\n  symbols: [0700, ON]\n")
    with pytest.raises(ConfigError) as refused:
        compose(["experiment=own.yaml"])
    lines = str(refused.value).splitlines()
    assert [line.partition("; ")[2] for line in lines] == ["put what is written there in quotes of its own"] * 2


@pytest.mark.slow
def test_a_link_to_nothing_beside_the_configuration_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "link.yaml").symlink_to("nowhere")
    monkeypatch.setenv("WEALTHARENA_CONFIG_DIR", "")  # put back what the flag leaves
    monkeypatch.setattr("sys.argv", ["run.py", "--config-dir", "conf", "task=inspect"])
    assert launch(lambda cfg: 0)() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "content", "told", "begins"),
    [
        ("data", "source: files\npath: bars.csv\n", "data.root, data.interval, data.start and 13 more", "files"),
        ("algo", "name: ppo\nclip: 0.1\n", "algo.learning_rate, algo.gamma, algo.tilt_log_std and 13 more", "ppo"),
    ],
)
def test_a_file_of_ones_own_that_begins_with_none_of_ours_is_told_of_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, content: str, told: str, begins: str
) -> None:
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(content)
    monkeypatch.setenv("WEALTHARENA_CONFIG_DIR", str(tmp_path))
    with pytest.raises(ConfigError) as refused:
        compose([f"{group}=mine"])
    assert str(refused.value).startswith(
        f"{group}=mine: {group}/mine.yaml lacks {told}; begin it with `defaults: [{begins}]`"
    )
    (tmp_path / group / "mine.yaml").write_text(f"defaults: [{begins}]\n{content}")
    assert compose([f"{group}=mine"]).algo.name == "ppo"


@pytest.mark.parametrize("size", ["0", "-1"])
def test_a_sweeper_that_takes_no_job_at_a_time_is_refused(size: str) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.max_batch_size=.* must be null, or a whole number above 0"):
        grid.check_launcher(["-m", f"hydra.sweeper.max_batch_size={size}", "seed=1,2"])
    grid.check_launcher(["-m", "hydra.sweeper.max_batch_size=1", "seed=1,2"])


def test_a_grid_that_has_no_folder_is_told_of_the_key_of_grids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    monkeypatch.setattr("sys.argv", ["run.py", "-m", "hydra.sweep.dir=taken", "seed=1,2"])
    assert launch(lambda cfg: 0)() == 2
    assert capsys.readouterr().err.endswith("choose another with hydra.sweep.dir=<folder>\n")


def test_a_grid_is_refused_before_its_first_job_begins() -> None:
    with pytest.raises(ConfigError, match=r"the job asset=etf algo\.clip=3: algo\.clip=3 must be"):
        grid.check(["-m", "asset=etf", "algo.clip=0.1,3", "seed=0,1,2"])
    with pytest.raises(ConfigError, match="the job seed=-1"):
        grid.check(["-m", "seed=0,-1"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("algo=direct model=mlp", "choose model=shared, or algo=ppo"),
        ("algo=direct compute=workers", "choose compute=local or compute=gpu"),
        ("algo=dqn env.action=tilt", "choose env.action="),
        ("algo=dqn model=gru", "choose model=mlp"),
        ("algo=sac compute=workers", "choose compute=local"),
        ("algo=sac compute=gpu", "choose compute=local"),
        ("algo=sac compute=gpu compute.runners=0", "choose compute=local"),
        ("algo=dqn compute.learners=3", "choose compute=local compute.runners=0 compute.learners=0"),
        ("algo=bc compute=gpu", "choose compute=local"),
        ("algo=iql compute=workers", "choose compute=local"),
        ("algo=ppo compute.learners=2", "compute.runners=2"),
        ("algo=ppo model=attention model.heads=3", "try model.heads=2"),
        ("algo=ppo model.hidden=[0]", "model.hidden.0=0 must be at least 1; try model.hidden="),
        ("algo=tqc algo.dropped=25", "try algo.dropped=24"),
        ("algo=a2c compute=gpu compute.runners=0", "compute.runners=2"),
    ],
)
def test_what_an_algorithm_cannot_train_is_refused_before_there_is_a_job(line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        compose(line.split())
    if "hidden" not in line:
        assert compose([*line.split(), "task=backtest"]).task == "backtest"  # which trains nothing


def test_a_search_is_asked_by_its_trials() -> None:
    assert compose(["algo=sac", "compute=workers", "sweep=sac"]).compute.runners  # its trials roll out by themselves


@pytest.mark.slow
def test_a_grid_without_its_gpu_is_refused_before_its_first_job_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    grid.check(["-m", "algo=ppo,direct", "compute=local"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"the job algo=ppo compute=gpu: .* sees no GPU here; choose compute=local"):
        grid.check(["-m", "algo=ppo,direct", "compute=gpu,local"])
    grid.check(["-m", "task=backtest", "compute=gpu", "seed=0,1"])


@pytest.mark.slow
def test_a_grid_that_chooses_among_configurations_keeps_the_test_window_closed() -> None:
    closing = "train.test=false"
    assert grid.check(["-m", "asset=etf,crypto", "algo.clip=0.1,0.2", "seed=0,1", "hydra.sweep.dir=x"])[-1] == closing
    assert closing not in grid.check(["-m", "asset=etf,crypto", "seed=0,1,2"])
    assert closing not in grid.check(["-m", "asset=etf", "algo.clip=0.1,0.2", "train.test=true"])
    assert closing not in grid.check(["-m", "asset=etf", "algo.clip=0.1,0.2", "task=backtest"])


@pytest.mark.parametrize("axis", ["seed=range(0,0)", "algo.clip=range(0.1,0.1)", "asset=glob(zz*)", "seed=glob(*)"])
def test_a_grid_without_a_job_is_refused(axis: str) -> None:
    with pytest.raises(ConfigError) as refused:
        grid.check(["-m", "train.env_steps=10,20", axis])
    assert str(refused.value) == f"{axis} names no value: the grid has no job; name one at least"


@pytest.mark.parametrize("axis", ["seed=range(1,3,0)", "algo.clip=range(0.1,0.2,0)"])
def test_a_range_in_steps_of_nothing_is_named(axis: str) -> None:
    with pytest.raises(ConfigError) as refused:
        grid.check(["-m", axis])
    assert str(refused.value) == f"{axis} goes on in steps of 0; name another step, such as {axis[:-2]}1)"


@pytest.mark.parametrize(
    "word",
    [
        "n_jobs=0", "batch_size=0", "batch_size=some", "pre_dispatch=0", "pre_dispatch=x", "timeout=-1", "timeout=0",
        "max_nbytes=lots", "prefer=threads", "require=sharedmem", "+n_jobs=0",
    ],
)  # fmt: skip
def test_what_joblib_cannot_take_is_named_before_a_folder_is_made(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plus, bare = word[: word.startswith("+")], word.lstrip("+")
    key = f"hydra.launcher.{bare}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run.py", "hydra/launcher=joblib", f"{plus}{key}", "-m", "seed=1,2"])
    assert launch(lambda cfg: 0)() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {plus}{key} must be ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "word",
    ["n_jobs=-1", "n_jobs=2", "batch_size=auto", "pre_dispatch=all", "pre_dispatch=1.5*n_jobs", "pre_dispatch=4",
     "max_nbytes=10M", "timeout=null", "timeout=5", "verbose=10"],
)  # fmt: skip
def test_what_joblib_takes_is_let_through(word: str) -> None:
    grid.check_launcher(["hydra/launcher=joblib", f"hydra.launcher.{word}", "-m", "seed=1,2"])


@pytest.mark.parametrize("place", ["[file:///nope]", "/nope", "[pkg://nope]", "[foo://nope]"])
def test_a_search_path_that_is_not_there_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match="is no folder of configuration; name one that is there"):
        check_search_path([f"hydra.searchpath={place}"])


def test_a_search_path_that_is_there_is_let_through(tmp_path: Path) -> None:
    check_search_path([f"hydra.searchpath=[file://{tmp_path},pkg://wealtharena.config]", "~hydra.searchpath", "seed=1"])


def test_a_grid_over_a_pattern_is_one_over_the_choices_that_fit() -> None:
    assert grid.check(["-m", "asset=glob(fo*)"]) == ["-m", "asset=glob(fo*)"]
    with pytest.raises(ConfigError, match=r"the job asset=commodities algo\.clip=3"):
        grid.check(["-m", "asset=glob([c*,e*],exclude=crypto)", "algo.clip=3"])
