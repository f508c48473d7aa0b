from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.reporting.made_up import figures, walk
from wealtharena.reporting import leaderboard


def row(agent: str, rank: int | None, **changes: Any) -> dict[str, Any]:
    made = {
        "agent": agent,
        "asset": agent,
        "algo": "ppo",
        "seeds": [0, 1, 2],
        "metrics": figures(walk(agent)),
        "composite": None if rank is None else 5.0 - rank,
        "rank": rank,
        "verdict": {"status": "unproven", "reasons": ["3 seeds; 5 are asked."]},
        "status": "completed",
        "simulated": False,
        "source": "files",
        "run_ids": ["a", "b"],
        "intervals": {"sharpe": [-0.2, 1.4]},
    }
    return made | changes


def test_agents_stand_in_the_order_of_their_rank(tmp_path: Path) -> None:
    rows = [row("commodities", 3), row("etf", 1), row("cryptocurrencies", 2)]
    leaderboard.write(tmp_path / "leaderboard.html", {"rows": rows, "weights": {"sharpe": 1.0}})
    html = (tmp_path / "leaderboard.html").read_text()
    assert re.findall(r'<div class="who"><b>(.*?)</b>', html) == ["ETF", "Cryptocurrencies", "Commodities"]


def test_a_failed_job_is_a_row_with_its_reason_and_no_rank() -> None:
    failed = row("commodities", None, status="failed", metrics={}, error={"message": "no bars", "hint": "look again"})
    html = leaderboard.render({"rows": [failed, row("etf", 1)]})
    assert html.index("ETF") < html.index('id="failed"') < html.index("no bars; look again")


def test_simulated_rows_are_marked_one_by_one() -> None:
    html = leaderboard.render({"rows": [row("etf", 1), row("commodities", 2, simulated=True)]})
    assert html.count('<span class="mark fail">SIMULATED</span>') == 1
    assert "1 of 2 rows" in html
    assert "SIMULATED" not in leaderboard.render({"rows": [row("etf", 1)]})


def test_active_share_and_lambda_stand_where_an_agent_tilts_and_nowhere_else() -> None:
    tilting = row("etf", 1, active={"active_share": 0.0625, "kept_share": 0.25})
    html = leaderboard.render({"rows": [tilting, row("forex", 2, active={"active_share": None, "kept_share": None})]})
    assert 'data-metric="rows.0.active.active_share" value="0.0625"' in html
    assert 'lambda <data class="plain" data-metric="rows.0.active.kept_share" value="0.25">0.25</data>' in html
    assert "rows.1.active.kept_share" not in html
    less, drawn, share = (html.index(part) for part in ("rows.0.comparison", "<svg", "rows.0.active"))
    assert less < drawn < share, "an interval is drawn beside the difference that it is of"
    assert "Active share" not in leaderboard.render({"rows": [row("etf", 1), row("forex", 2)]})


def test_a_board_without_results_says_so() -> None:
    assert "nothing to rank" in leaderboard.render({"rows": []})
    assert "nothing to rank" in leaderboard.render({"rows": [row("etf", None, status="failed")]})


def test_no_text_from_outside_becomes_markup() -> None:
    bad = "<script>alert(1)</script>"
    rows = [
        row(bad, 1, algo=bad, source=bad, run_ids=[bad], verdict={"status": bad, "reasons": [bad]}, window=[bad, bad]),
        row(bad, None, status=bad, error={"message": bad}),
    ]
    html = leaderboard.render({"rows": rows, "weights": {bad: 0.3}, "generated_at": bad})
    assert "<script" not in html


def test_a_row_leads_to_the_reports_of_its_runs_that_are_there(tmp_path: Path) -> None:
    runs = {"a": ("a", 4, "completed"), "b": ("b", 5, "completed"), "c": ("c", 0, "failed")}
    reports = {run: tmp_path / "my runs" / name / "report.html" for name, run in runs.items()}
    for name in ("a", "c"):
        reports[runs[name]].parent.mkdir(parents=True)
        reports[runs[name]].write_text("")
    rows = [row("etf", 1, seeds=[4, 5]), row("forex", None, status="failed", metrics={}, seeds=[0], run_ids=["c"])]
    (tmp_path / "board").mkdir()
    page = leaderboard.write(tmp_path / "board" / "leaderboard.html", {"rows": rows}, reports=reports)
    found = re.findall(r'<a href="([^"#]+)">([^<]+)</a>', page.read_text())
    assert found == [("../my%20runs/a/report.html", "seed 4"), ("../my%20runs/c/report.html", "seed 0")]


def test_rows_of_one_name_show_the_settings_that_tell_them_apart() -> None:
    rows = [row("etf", 1, settings=["algo.gamma=0.9", "data.path=<a>"]), row("etf", 2, settings=[]), row("crypto", 3)]
    html = leaderboard.render({"rows": rows})
    assert html.count("algo.gamma=0.9 data.path=&lt;a&gt;</small>") == 2, "in the ranking and beside its verdict"
    assert html.count('<small class="settings">') == 2
