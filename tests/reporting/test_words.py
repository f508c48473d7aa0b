from __future__ import annotations

import math

import numpy as np
import pytest

from wealtharena.reporting import words
from wealtharena.reporting.words import MEASURES, UNIT_GAP


@pytest.mark.parametrize(
    ("kind", "value", "signed", "text"),
    [
        ("percent", 0.1234, True, f"+12.3{UNIT_GAP}%"),
        ("percent", -0.5, True, f"−50.0{UNIT_GAP}%"),
        ("percent", -0.0012, True, f"−0.12{UNIT_GAP}%"),
        ("percent", -0.00001, True, f"0.00{UNIT_GAP}%"),
        ("share", 0.51234, False, f"51.2{UNIT_GAP}%"),
        ("ratio", -0.644, True, "−0.64"),
        ("ratio", 1234.5, False, "1,234.50"),
        ("count", 1234.0, False, "1,234"),
        ("money", 12345.678, False, "12,346"),
        ("money", 3.456, False, "3.46"),
        ("years", 14.24, False, f"14.2{UNIT_GAP}years"),
        ("ratio", None, True, "—"),
        ("ratio", math.nan, True, "—"),
        ("percent", math.inf, True, "—"),
        ("count", True, False, "—"),
    ],
)
def test_figures_are_written_as_people_read_them(kind: words.Kind, value: object, signed: bool, text: str) -> None:
    assert words.figure(kind, value, signed=signed) == text


def test_a_figure_carries_its_path_and_exact_value() -> None:
    found = words.measured("metrics.test.sharpe", np.float64(1.23456789), MEASURES["sharpe"])
    assert 'data-metric="metrics.test.sharpe"' in found
    assert 'value="1.23456789"' in found
    assert ">+1.23<" in found


def test_an_undefined_figure_is_a_dash_without_a_value() -> None:
    found = words.measured("metrics.test.calmar", None, MEASURES["calmar"])
    assert "value=" not in found
    assert ">—<" in found


def test_prose_gets_names_and_figures_as_in_tables_and_is_escaped() -> None:
    found = words.prose("<b>-0.79% against buy_and_hold & co-2 on 2021-03-05")
    assert found == f"&lt;b&gt;{words.percent(-0.0079, digits=2)} against buy &amp; hold &amp; co-2 on 2021-03-05"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("buy_and_hold", "Buy & hold"),
        ("ppo", "PPO"),
        ("currency_pairs", "Currency pairs"),
        ("asx_stocks", "ASX stocks"),
    ],
)
def test_keys_are_shown_by_name(key: str, name: str) -> None:
    assert words.name_of(key) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2021-03-05", "5 Mar 2021"),
        (np.datetime64("2021-03-05T13:00:00.000000000"), "5 Mar 2021 13:00"),
        ("2021-03-05T00:00:00+00:00", "5 Mar 2021"),
        ("—", "—"),
    ],
)
def test_dates_are_unambiguous(value: object, text: str) -> None:
    assert words.day(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (43_210.987, "43,210.99"),
        (156.1234, "156.12"),
        (1.08534, "1.0853"),
        (0.65432, "0.6543"),
        (0.0123456, "0.01235"),
        (1.234e-6, "0.000001234"),
        (9.99999e-6, "0.000010000"),
        (-37.63, "−37.63"),
        (0.0, "0.00"),
        (math.nan, "—"),
    ],
)
def test_a_price_is_legible_however_small(value: float, text: str) -> None:
    assert words.price(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.0, 2, "0.00"), (1234.5, 0, "1,234"), (0.5, 0, "0.50"), (0.032, 0, "0.032"), (0.00031, 2, "0.00031"), (-0.004, 2, "−0.0040"),
     (0.005, 2, "0.01"), (0.0123, 4, "0.0123"), (0.00002, 4, "0.000020"), (3e-9, 4, "3e−09")],
)  # fmt: skip
def test_an_amount_that_is_there_is_never_written_as_nothing(value: float, digits: int, text: str) -> None:
    assert words.amount(value, digits=digits) == text


def test_costs_are_said_to_hold_what_forced_closes_took() -> None:
    assert "what delistings and liquidations took" in MEASURES["costs_paid"].meaning


@pytest.mark.parametrize(
    ("run", "window", "called"),
    [
        ({}, "test", "test window"),
        ({}, "validation", "validation window"),
        ({"backtest": {"window": "test"}}, "test", "test window"),
        ({"backtest": {"window": "validation"}}, "test", "window played"),
        ({"algo": "returns"}, "test", "record"),
    ],
)
def test_what_a_backtest_of_another_window_showed_is_not_called_a_test(run, window, called):
    assert words.window_of(run, window) == called
