"""Blocks side by side under the names of their securities are one row a bar and security."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.reading.test_cases import load_written, shares
from tests.data.reading.test_exports import _load, _refused, _said

FIELDS = ["PX_OPEN", "PX_HIGH", "PX_LOW", "PX_LAST", "PX_VOLUME"]
ONE, TWO = (shares("X", bars=bars, seed=bars).round(2).drop(columns="symbol") for bars in (60, 50))


def _blocks(*parts: tuple[str, pd.DataFrame], separator: str = ",", decimal: str = ".", gap: bool = True) -> str:
    tables, titles = [], list[str]()
    for name, part in parts:
        tables.append(part.set_axis(["Date", *FIELDS], axis=1))
        titles += [name, *[""] * 5]
        if gap:
            tables.append(pd.DataFrame({"": [""] * len(part)}))
            titles.append("")
    whole = pd.concat(tables, axis=1)
    return separator.join(titles) + "\n" + whole.to_csv(index=False, sep=separator, decimal=decimal)


@pytest.mark.slow
@pytest.mark.parametrize("gap", [True, False])
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ",")])
def test_blocks_with_their_own_dates_are_securities(tmp_path: Path, gap: bool, separator: str, decimal: str) -> None:
    names = ("AAPL US Equity", "MSFT US Equity")
    text = _blocks((names[0], ONE), (names[1], TWO), separator=separator, decimal=decimal, gap=gap)
    panel = _load(text, tmp_path / "bdh.csv")
    plain = pd.concat([part.assign(symbol=name) for name, part in zip(names, (ONE, TWO), strict=True)])
    assert panel.symbols == names
    assert panel.fingerprint == load_written(plain, tmp_path / "plain.csv").fingerprint
    assert _said(panel, "blocks side by side are read as securities")


@pytest.mark.slow
def test_bloombergs_name_above_one_block_is_its_symbol(tmp_path: Path) -> None:
    panel = _load(_blocks(("SHEL LN Equity", ONE), gap=False), tmp_path / "bdh.csv")
    assert panel.symbols == ("SHEL LN Equity",)
    np.testing.assert_allclose(panel.close[:, 0] * 100, ONE["close"])  # London's pence
    assert _load(_blocks(("Prices of a share", ONE), gap=False), tmp_path / "AAA.csv").symbols == ("AAA",)


@pytest.mark.slow
def test_blocks_of_one_name_are_refused(tmp_path: Path) -> None:
    _refused(
        _blocks(("AAPL US Equity", ONE), ("AAPL US Equity", TWO)),
        tmp_path / "bdh.csv",
        "several header rows|both stand for",
    )
