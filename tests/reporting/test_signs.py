import dataclasses

import numpy as np
import pytest

from tests.reporting.made_up import report_data
from wealtharena.reporting import report


@pytest.mark.parametrize(
    ("financing", "dividends", "words"),
    [
        (0.5, 0.0, "less interest. The curves"),
        (-0.5, 0.0, "less interest, below zero where it was earned. The curves"),
        (-0.5, 2.0, "less interest, below zero where it was earned; dividends are received. The curves"),
    ],
)
def test_the_chart_of_costs_says_which_way_its_lines_count(financing: float, dividends: float, words: str) -> None:
    data = report_data()
    assert data.agent is not None
    bars = np.ones(len(data.agent.costs))
    agent = dataclasses.replace(data.agent, financing=financing * bars, dividends=dividends * bars)
    assert f"financing is borrowing and carry {words}" in report.render(dataclasses.replace(data, agent=agent))
