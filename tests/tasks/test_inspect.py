from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.data.reading import honest
from wealtharena import config
from wealtharena.reporting import inspection
from wealtharena.tasks import audit, inspect


@pytest.mark.slow
def test_it_prints_what_was_settled_and_draws_every_symbol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = honest.honest_bars(bars=60)
    frame.loc[10, "close"] = None  # a fault that must be counted
    honest.TEXT["semicolon, decimal comma"](frame, honest.SPELLINGS["dotted"](frame["timestamp"]), tmp_path / "b.csv")
    spec = config.compose(["task=inspect", "asset=crypto", "data=files", "data.path=b.csv"])
    assert inspect.run(spec) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("separator semicolon", "decimal mark comma", "stamps text, day first", "interval 1d",
                  "volume counts units", "quoted in USD", "missing_values: 1 rows of 1 symbols"):  # fmt: skip
        assert words in said
    page = next(tmp_path.rglob("inspection.html")).read_text()
    assert page.count("<figure>") == 2
    assert "semicolon" in page
    assert "NaN" not in page
    assert "<h1>b.csv " in page
    assert "e+" not in page, "a turnover is written out"
    assert ">in USD</th>" in page, "of which money the last close is"


def test_symbols_and_file_names_are_escaped_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = honest.honest_bars(bars=30)
    frame.assign(symbol=frame["symbol"].replace("ETH-USD", "<b>X")).to_csv("a<i>.csv", index=False)
    spec = config.compose(["task=inspect", "asset=crypto", "data=files", "data.path='a<i>.csv'"])
    assert inspect.run(spec) == 0
    page = next(tmp_path.rglob("inspection.html")).read_text()
    assert "<b>X" not in page
    assert "a<i>" not in page


def test_simulated_bars_are_inspected_too_and_stamped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = config.compose(["task=inspect", "data=simulated", "data.simulator.bars=60", "universe.max_symbols=2"])
    assert inspect.run(spec) == 0
    page = next(tmp_path.rglob("inspection.html")).read_text()
    assert "SIMULATED DATA" in page
    assert "<h1>market simulator " in page
    assert inspection.DRAWN > 2


@pytest.mark.slow
def test_what_must_be_known_of_the_bars_is_said_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    honest.honest_bars(bars=100).to_csv("b.csv", index=False)
    spec = config.compose(["asset=crypto", "data=files", "data.path=b.csv", "audit.bars=2"])
    for task in (inspect, audit):
        with caplog.at_level(logging.WARNING):
            assert task.run(spec) == 0
        assert capsys.readouterr().out.count("symbols of universe crypto_large") == 1
        assert not [one for one in caplog.records if one.name.startswith("wealtharena")]
