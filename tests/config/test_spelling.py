"""What is typed or recorded is read back as it was meant: paths of any letters, and commands that can be pasted."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from wealtharena.config import compose, spelling
from wealtharena.data.reading.venues import setting

NAMES = ("my bars (1).csv", "a=b.csv", "a,b.csv", "a#b&c.csv", "é.csv", "it's.csv", "[x].csv", "{x}.csv", "a\\'b\\.csv")


def read(override: str) -> object:
    return OverridesParser.create().parse_override(override).value()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grid", [True, False])
def test_a_path_may_be_typed_as_it_is(name: str, grid: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text("")
    (typed,) = spelling.with_quoted_paths([f"data.path={tmp_path / name}"], grid=grid)
    assert read(typed) == str(tmp_path / name)


@pytest.mark.slow
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(lambda s: "${" not in s))
def test_any_value_survives_its_quotes(value: str) -> None:
    assert read(f"data.path={spelling.quoted(value)}") == value
    assert read(spelling.override("data.root", f"./{value}")) == f"./{value}"


def test_several_paths_of_a_grid_null_and_quoted_ones_stay_as_typed() -> None:
    typed = ["data.path=a.csv,b.csv", "data.path=null", "data.path='a b.csv'", "paths.results=${oc.env:X}/y", "seed=1"]
    assert spelling.with_quoted_paths(typed, grid=True) == typed


@pytest.mark.parametrize("key", spelling.PATHS)
def test_every_key_that_takes_any_path_exists(key: str) -> None:
    if key.startswith("hydra."):
        return
    spec = compose([])
    for part in key.split("."):
        assert hasattr(spec, part)
        spec = getattr(spec, part)


def test_the_home_folder_may_be_written_as_a_shell_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (typed,) = spelling.with_quoted_paths(["data.path=~/my bars.csv"], grid=False)
    spec = compose(["data=files", typed, "paths.results='~'", "backtest.checkpoints=['~/one',two]"])
    assert spec.data.path == str(tmp_path / "my bars.csv")
    assert spec.paths.results == str(tmp_path)
    assert spec.backtest.checkpoints == (str(tmp_path / "one"), "two")


def test_a_recorded_command_repeats_the_run_and_names_no_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    overrides = [
        "data=files",
        spelling.override("data.path", tmp_path / "my bars (1)" / "it's, b=c.csv"),
        f"paths.results={tmp_path}/plain",
        f"backtest.checkpoints=[{tmp_path}/one,{Path.cwd()}/two]",
        'data.symbols=[AAPL,"BRK.B"]',
        "universe.max_symbols=null",
    ]
    command = spelling.command_line(overrides)
    assert str(tmp_path) not in command
    words = shlex.split(command)
    assert words[:2] == ["python", "run.py"]
    again, first = compose(words[2:]), compose(overrides)
    assert again.data == first.data
    assert again.paths == first.paths
    assert again.backtest.checkpoints == (f"{tmp_path}/one", "two")


def test_a_list_of_paths_is_read_as_it_was_meant_and_quoted_only_where_it_must_be() -> None:
    places = ["multirun/2026-11-29/19-58-23-f8b4cd/2", "2", "null", "a b/it's, [1]", "runs/=x"]
    word = f"compare.runs={spelling.list_of(places)}"
    assert word.startswith("compare.runs=[multirun/2026-11-29/19-58-23-f8b4cd/2,'2','null','a b/it")
    assert list(compose(["task=compare", word]).compare.runs) == places


ODD = r"""GC=F|ASX:BHP|SHEL.L|BRK-B|AAPL|SHEL LN|SPX=X.Q|^N225|CL1!|M&M|600519|000001|1E5|true|Null|O'Neil|A"B|A\B|A%20B|~A|-A"""


@pytest.mark.parametrize("name", [*ODD.split("|"), "삼성전자", "Crude Oil, WTI", "{A}", "A (B)", "%", "été"])
def test_the_override_that_names_a_symbols_money_composes(name: str) -> None:
    (spoken,) = shlex.split(setting(name, "GBP"))
    assert compose(["asset=stocks", "data=files", spoken]).asset.instrument.currencies == {name: "GBP"}
    (size,) = shlex.split(f"'+asset.instrument.multipliers={{{spelling.as_key(name)}:5, ZZZ: 2}}'")
    assert (
        compose(["asset=commodities", "data=files", size]).asset.instrument.multipliers.items()
        >= {name: 5, "ZZZ": 2}.items()
    )


def test_quotes_around_keys_are_told_from_those_around_values() -> None:
    named = """+data.provider_symbols={"^N225": '"A": b', 'M&M' : "^X", C: d}"""
    expected = {"^N225": '"A": b', "M&M": "^X", "C": "d"}
    assert compose(["asset=stocks", "data=yahoo", named]).data.provider_symbols == expected
