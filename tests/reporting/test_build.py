from __future__ import annotations

from dataclasses import replace
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
    assert "the Sharpe ratio is deflated by that number." in html
    assert "Besides, 2 other test windows of this agent were opened, of other dates or symbols" in html
    assert "Rules of the verdict" in html
    assert 'id="seeds"' not in html
    assert "incumbent" not in html


def test_the_report_says_by_what_else_than_configurations_the_sharpe_ratio_is_deflated() -> None:
    found = judged(1)
    evidence = replace(found.verdict.evidence, left_out=("r3",), lacking=16)
    chosen = replace(found, verdict=replace(found.verdict, evidence=evidence))
    html = report.render(build.from_evaluation(record(found), chosen, rng=np.random.default_rng(1)))
    assert "deflated by that number, and by 17 results more: runs that were left out, or seeds that only other" in html


def test_a_retraining_says_beside_its_verdict_how_it_fared_against_the_incumbent() -> None:
    found = judged(1)
    met = {"incumbent": "v1", "beats": False, "why_not": "only 3 bars are later", "ci95": None}
    fought = met | {"sharpe_difference": 0.5, "ci95": [-0.25, 1.0], "start": "2024-01-01", "end": "2024-12-31"}
    html = []
    for challenge in (met, fought):
        run = record(found) | {"challenge": challenge}
        html.append(report.render(build.from_evaluation(run, found, rng=np.random.default_rng(1), currency="AUD")))
    said = "It does not beat the incumbent v1 on data that neither has seen, so that it stays on paper"
    assert f"<li>{said}: only 3 bars are later.</li>" in html[0]
    assert f"<li>{said}: Sharpe ratio +0.50, interval −0.25 to +1.00, 2024-01-01 to 2024-12-31.</li>" in html[1]


def test_several_agents_are_seeds_where_they_are_named_and_paths_otherwise() -> None:
    found = judged(3)
    named = build.from_evaluation(record(found), found, rng=np.random.default_rng(1), seeds=(4, 5, 6))
    assert [row.seed for row in named.seeds] == [4, 5, 6]
    html = report.render(named)
    assert "The luck of the seed" in html
    assert ">Run</th>" not in html, "a column of nothing"
    of_runs = replace(named, seeds=tuple(replace(row, run_id=f"r{row.seed}") for row in named.seeds))
    assert ">Run</th>" in (html := report.render(of_runs))
    assert "<td>r5</td>" in html
    unnamed = build.from_evaluation(record(found), found, rng=np.random.default_rng(1))
    assert "The luck of the path" in report.render(unnamed)


def test_the_configuration_of_a_report_names_no_home() -> None:
    found = judged(1)
    config = f"data:\n  path: {Path.home()}/bars.csv\n  root: {Path.cwd()}/data\n"
    data = build.from_evaluation(record(found), found, rng=np.random.default_rng(1), config=config)
    assert data.config == "data:\n  path: ~/bars.csv\n  root: data\n"
