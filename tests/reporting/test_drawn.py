"""A baseline that is drawn has the means of its draws for figures, and the path of one of them."""

import dataclasses
import json
import re

import pytest

from tests.reporting.made_up import report_data
from wealtharena.reporting import report, tables
from wealtharena.reporting.data import ReportData


def drawn() -> ReportData:
    data = report_data()
    run = json.loads(json.dumps(data.run))
    run["baselines"]["random"] |= {"seeds": 32, "total_return": 0.98765, "sharpe_low": -0.4, "sharpe_high": 0.9}
    run["comparison"]["random"] = run["comparison"]["buy_and_hold"]
    return dataclasses.replace(data, run=run)


def test_the_line_of_a_draw_ends_at_the_figure_beside_it() -> None:
    data = drawn()
    (path,) = (one for one in data.baselines if one.name == "random")
    html = report.render(data)
    (shown,) = set(re.findall(r">Random <tspan class=\"end-figure\">([^<]*\.\d)[^<]*<", html))
    ends = 100.0 * (path.equity[-1] / path.equity[0] - 1.0)
    assert float(shown.replace("−", "-")) == pytest.approx(ends, abs=0.05)
    assert "98.8" in tables.measures(data.run), "the mean stands where measures do"


def test_a_difference_to_a_draw_says_that_its_own_ratio_is_the_mean() -> None:
    said = "The difference to random is to the draw nearest the mean of all; its own Sharpe ratio is that mean."
    assert said in report.render(drawn())
    assert said not in report.render(report_data())


def test_an_interval_beside_zero_has_the_digits_that_tell_on_which_side_it_lies() -> None:
    entry = {"sharpe_difference": -0.002, "ci95": [-0.004, -0.0004], "p_value": 0.02}
    told = re.sub("<[^>]+>", "", tables.comparison({"comparison": {"anchor": entry}}))
    assert "−0.0040 to −0.0004" in told
    assert "−0.0020" in told
    plain = {"comparison": {"cash": entry | {"sharpe_difference": 0.0, "ci95": [0.0, 0.0]}}}
    assert "0.00 to 0.00" in re.sub("<[^>]+>", "", tables.comparison(plain))
