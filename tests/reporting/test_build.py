from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.reporting.made_up import walk
from wealtharena.config import compose
from wealtharena.evaluation.evaluate import Evaluation, Facts, judge
from wealtharena.evaluation.trials import Trials
from wealtharena.reporting import build, report


def judged(agents: int) -> Evaluation:
    spec = compose(["evaluation.bootstrap_draws=200"])
    names = ("buy_and_hold", "cash")
    return judge(
        [walk("agent", seed=seed, bars=200) for seed in range(agents)],
        {name: walk(name, bars=200, volatility=0.0 if name == "cash" else 0.01, drift=0.0) for name in names},
        evaluation=spec.evaluation,
        facts=Facts(simulated=False, unadjusted_rolls=False, trials=Trials(7, 0.25, elsewhere=2), openings=3),
        rng=np.random.default_rng(0),
    )


def record(found: Evaluation) -> dict[str, object]:
    blocks = found.to_json()
    return {
        "run_id": "x",
        "agent": "etf",
        "notes": ["from the record"],
        "metrics": {"test": blocks["metrics"]},
        **{key: blocks[key] for key in ("baselines", "comparison", "verdict")},
    }


def test_a_judgement_becomes_a_report_in_one_call() -> None:
    found = judged(1)
    data = build.from_evaluation(record(found), found, rng=np.random.default_rng(1), currency="AUD")
    assert (data.test_openings, data.configurations_tried) == (3, 7)
    assert [path.name for path in data.baselines] == ["buy_and_hold", "cash"]
    assert data.notes == ("from the record",)
    assert data.band is not None
    html = report.render(data)
    assert "looked at <b>3 times</b>" in html
    assert "The ledger of the run counted them" in html
    assert "Beside it 2 other test windows of this agent were opened, of other dates or symbols" in html
    assert "Rules of the verdict" in html
    assert 'id="seeds"' not in html


def test_several_agents_are_seeds_where_they_are_named_and_paths_otherwise() -> None:
    found = judged(3)
    named = build.from_evaluation(record(found), found, rng=np.random.default_rng(1), seeds=(4, 5, 6))
    assert [row.seed for row in named.seeds] == [4, 5, 6]
    assert "The luck of the seed" in report.render(named)
    unnamed = build.from_evaluation(record(found), found, rng=np.random.default_rng(1))
    assert "The luck of the path" in report.render(unnamed)


def test_the_configuration_of_a_report_names_no_home() -> None:
    found = judged(1)
    config = f"data:\n  path: {Path.home()}/bars.csv\n  root: {Path.cwd()}/data\n"
    data = build.from_evaluation(record(found), found, rng=np.random.default_rng(1), config=config)
    assert data.config == "data:\n  path: ~/bars.csv\n  root: data\n"
