from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reporting.made_up import figures, record, report_data, walk
from wealtharena.reporting import head, report, tables
from wealtharena.reporting.charts import shape
from wealtharena.reporting.data import ReportData
from wealtharena.reporting.svg import Size
from wealtharena.reporting.words import finite
from wealtharena.tasks import judging


def test_the_first_screen_says_what_the_tilts_added() -> None:
    made = report_data()
    part = {"annual_return": 0.012, "information_ratio": 0.4, "active_share": 0.1, "costs": 0.001}
    symbols = {"BTC-USD": {"earned": 0.02, "cost": 0.001, "tilt": 0.05}}
    anchor = {"active": {**part, "symbols": symbols}}
    run = {**made.run, "comparison": {**made.run["comparison"], "anchor": anchor}}
    assert "less its anchor" not in head.first_screen(made)
    shown = head.first_screen(dataclasses.replace(made, run=run))
    assert "Agent less its anchor" in shown
    for path in ("information_ratio", "active_share", "symbols.BTC-USD.earned"):
        assert f'data-metric="comparison.anchor.active.{path}"' in shown
    anchor["active"]["symbols"] = {"BTC-USD": {"earned": 0.0, "cost": 0.0, "tilt": 0.0}}
    assert "by symbol" not in head.first_screen(dataclasses.replace(made, run=run)), "nothing moved"
    anchor["active"]["symbols"] = {f"S{n}": {"earned": n * 0.01, "cost": 0.0, "tilt": 0.1} for n in range(1, 14)}
    shown = head.first_screen(dataclasses.replace(made, run=run))
    assert "by symbol, the 10 of 13 that earned or lost most" in shown


@pytest.mark.parametrize(("inside", "after", "words"), [(2.0, 0.9, "Memorised: "), (2.0, 1.1, ""), (-0.4, -0.9, "")])
def test_the_first_screen_says_where_what_tilts_add_was_learnt_by_heart(
    inside: float, after: float, words: str
) -> None:
    made = report_data()
    metrics = {name: dict(values) for name, values in made.run["metrics"].items()}
    metrics["train"]["information_ratio"], metrics["validation"]["information_ratio"] = inside, after
    shown = head.first_screen(dataclasses.replace(made, run={**made.run, "metrics": metrics}))
    assert f"<b>{words}Information ratio to the anchor</b>" in shown
    assert f'data-metric="metrics.train.information_ratio" value="{inside!r}"' in shown
    assert "Information ratio to the anchor" not in head.first_screen(made)


@pytest.mark.parametrize(("added", "words"), [({}, "Memorised: "), ({"information_ratio": None}, "")])
def test_a_market_that_earned_less_is_nothing_that_an_anchor_has_memorised(added: dict[str, None], words: str) -> None:
    made = report_data()
    metrics = {name: {**values, "sharpe": 0.1} for name, values in made.run["metrics"].items()}
    metrics["train"] |= {"sharpe": 1.5, **added}
    shown = head.first_screen(dataclasses.replace(made, run={**made.run, "metrics": metrics}))
    assert f"<b>{words}Sharpe ratio</b>" in shown


@pytest.mark.parametrize(
    ("counts", "words"),
    [((4,), "the best of 4 checkpoints; less"), ((4, 4, 4), "the best of 4 checkpoints in each of 3 folds; less"),
     ((2, 4), "the best of 2 to 4 checkpoints in each of 2 folds; less")],
)  # fmt: skip
def test_what_luck_is_taken_off_is_said_of_every_fold_that_chose(counts: tuple[int, ...], words: str) -> None:
    made = report_data()
    folds = [
        {
            "checkpoints": n,
            "validation_sharpe": float(n),
            "expected_of_luck": 0.5,
            "validation_sharpe_deflated": n - 0.5,
        }
        for n in counts
    ]
    picked = judging.of_choices(folds)
    shown = head.first_screen(dataclasses.replace(made, run={**made.run, "selection": picked}))
    assert words in shown
    left = sum(counts) / len(counts) - 0.5
    assert f'data-metric="selection.validation_sharpe_deflated" value="{left!r}"' in shown
    assert judging.of_choices([*folds, None]) is None


def look_up(run: Any, path: str) -> Any:
    for bracketed, plain in re.findall(r"\[([^\]]+)\]|([^.\[]+)", path):
        run = run[int(plain)] if isinstance(run, list) else run[bracketed or plain]
    return run


def addresses(html: str) -> list[tuple[str, str]]:
    return re.findall(r'<data [^>]*?data-metric="([^"]+)"(?: value="([^"]+)")?', html)


def test_a_symbol_with_a_dot_has_an_address_that_leads_to_its_figure() -> None:
    made = report_data()
    symbols = {"ANZ.AX": {"earned": 0.02, "cost": 0.001}, "CBA": {"earned": 0.01, "cost": 0.002}}
    active = {"annual_return": 0.0, "information_ratio": 0.1, "active_share": 0.1, "costs": 0.0, "symbols": symbols}
    run = {**made.run, "comparison": {"anchor": {"active": active}}}
    found = addresses(head.first_screen(dataclasses.replace(made, run=run)))
    assert {"ANZ.AX", "CBA"} == {
        name for path, _ in found for name in symbols if f"{name}" in path and "earned" in path
    }
    for path, value in found:
        assert float(value) == look_up(run, path), path


def test_figures_that_the_file_has_elsewhere_carry_their_place_there() -> None:
    made = report_data()
    places = {"metrics.test": "paper.paper", "baselines.buy_and_hold": "paper.backtest"}
    found = addresses(report.render(dataclasses.replace(made, places=places)))
    file = {
        **made.run,
        "paper": {"paper": made.run["metrics"]["test"], "backtest": made.run["baselines"]["buy_and_hold"]},
    }
    assert not any(path.startswith(("metrics.test", "baselines.buy_and_hold")) for path, _ in found)
    for path, value in found:
        assert (float(value) if value else None) == finite(look_up(file, path)), path


def test_every_key_figure_is_the_one_of_run_json() -> None:
    data = report_data()
    html = report.render(data)
    found = addresses(html)
    assert len(found) > 150
    for path, value in found:
        expected = finite(look_up(data.run, path))
        assert (float(value) if value else None) == expected, path
    shown = {path for path, _ in found}
    assert {
        "metrics.test.sharpe",
        "comparison.buy_and_hold.ci95.0",
        "training.env_steps",
        "verdict.evidence.dsr",
    } <= shown


def test_the_chart_states_the_total_returns_of_run_json() -> None:
    data = report_data()
    run = json.loads(json.dumps(data.run))
    run["metrics"]["test"]["total_return"] = 0.98765
    html = report.render(dataclasses.replace(data, run=run))
    assert re.search(r'<text class="end agent"[^>]*>Agent <tspan class="end-figure">\+98\.8', html)


@pytest.mark.slow
def test_the_page_asks_for_nothing_and_stays_small(tmp_path: Path) -> None:
    report.write(tmp_path / "report.html", report_data(bars=8760, unit="h"))
    html = (tmp_path / "report.html").read_text()
    assert len(html.encode()) < 2_000_000
    assert all(target.startswith(("#", "data:,")) for target in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert "url(" not in html
    assert "@import" not in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in html


def test_simulated_data_is_said_in_red_before_anything_else() -> None:
    html = report.render(report_data(simulated=True))
    assert html.index('<div class="banner" role="alert">SIMULATED DATA') < html.index("<h1>")
    assert "SIMULATED" not in report.render(report_data(simulated=False))


def test_every_section_that_was_asked_for_is_there() -> None:
    html = report.render(report_data())
    sections = re.findall(r'<section id="(\w+)">', html)
    assert sections == [
        "risk", "months", "shape", "baselines", "positions", "stress", "seeds", "trades", "training", "audit", "notes", "repeat",
    ]  # fmt: skip
    assert re.findall(r"<nav>.*?</nav>", html)[0].count("<a ") == len(sections)
    for words in ("looked at <b>3 times</b>", "12 distinct configurations", "python run.py asset=crypto", "ab" * 32):
        assert words in html


def test_one_seed_has_no_section_on_the_luck_of_seeds() -> None:
    assert 'id="seeds"' not in report.render(report_data(seeds=1))


@pytest.mark.parametrize("several", ["seed", "path"])
def test_a_difference_of_several_says_that_it_is_not_that_of_the_one_beside_it(several: Any) -> None:
    """On a page of paths -0.12 less +0.19 was -0.34, and nothing said of what."""
    said = f"middle half of 5 {several}s"
    assert said in report.render(dataclasses.replace(report_data(seeds=5), several=several))
    assert "middle half of 1" not in report.render(report_data(seeds=1))


def test_of_returns_from_outside_nothing_says_that_they_are_net_of_costs() -> None:
    told = "net of (all )?costs"
    assert len(re.findall(told, report.render(report_data()).lower())) == 2
    assert not re.findall(told, report.render(dataclasses.replace(report_data(), held=False)).lower())


def test_as_run_is_of_all_seeds_as_the_conditions_under_it_are() -> None:
    """It was the median seed's: -13.9 % at worst above -23.4 %, where another seed had lost 19.7 % as it ran."""
    data = report_data(seeds=5)
    row = report.render(data).split("<b>As run</b>")[1].split("</tr>")[0].replace("−", "-").replace("\u00a0", " ")
    ran = {key: sorted(one.metrics[key] or 0.0 for one in data.seeds) for key in ("total_return", "max_drawdown")}
    middle = np.mean(ran["total_return"][1:4])
    assert f">{100 * middle:+.1f} %<" in row
    assert f">{100 * ran['max_drawdown'][0]:.1f} %<" in row
    assert 'data-metric="metrics.test.sharpe"' in report.render(report_data(seeds=1)).split("<b>As run</b>")[1]


HOSTILE = """<script>alert('x')</script>"&<img src=x onerror=alert(1)>"""


def poisoned(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"{key}": poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_no_text_from_outside_becomes_markup() -> None:
    data = report_data()
    symbols = (HOSTILE, *data.run["data"]["symbols"][1:])
    run = poisoned(data.run) | {"status": "failed", "error": {"message": HOSTILE}}
    run["baselines"] |= {HOSTILE: figures(walk("x"))}
    run["comparison"] |= {HOSTILE: {"sharpe_difference": 1.0, "ci95": [0.0, 2.0], "p_value": 0.1}}
    run["verdict"]["evidence"][HOSTILE] = 3
    run["versions"][HOSTILE] = HOSTILE
    bad = dataclasses.replace(
        data,
        run=run,
        agent=dataclasses.replace(data.agent, symbols=symbols),
        baselines=[*data.baselines, dataclasses.replace(walk(HOSTILE), name=HOSTILE)],
        journal=[{**line, HOSTILE: i} for i, line in enumerate(data.journal)],
        stress=[dataclasses.replace(data.stress[0], name=HOSTILE, note=HOSTILE)],
        seeds=[dataclasses.replace(row, run_id=HOSTILE) for row in data.seeds],
        audit=[dataclasses.replace(data.audit[0], name=HOSTILE, detail=HOSTILE)],
        notes=(HOSTILE,),
        config=HOSTILE,
        currency=HOSTILE,
        definitions={HOSTILE: HOSTILE},
    )
    html = report.render(bad)
    assert html.count("<script>") == 1  # the page's own
    assert "<img" not in html
    assert "&lt;script&gt;" in html


EDGES: dict[str, dict[str, Any]] = {
    "two bars": {"bars": 2},
    "one bar": {"bars": 1},
    "one symbol": {"symbols": ("GC=F",)},
    "forty symbols": {"symbols": tuple(f"SYM{i}.AX" for i in range(40))},
    "shorts": {"shorts": True},
    "hours": {"bars": 500, "unit": "h"},
    "ten years": {"bars": 3650},
    "a boom": {"drift": 0.02},
    "a bust": {"drift": -0.02},
    "flat": {"drift": 0.0, "volatility": 0.0},
}


@pytest.mark.parametrize("edge", EDGES)
def test_unusual_records_are_still_told(edge: str) -> None:
    html = report.render(report_data(**EDGES[edge]))
    assert "NaN" not in html.replace("isNaN", "")
    assert "nan" not in re.findall(r'[ "(](nan)[ ",)]', html)
    assert 'id="months"' in html


def test_a_run_that_left_nothing_but_its_record_is_still_told() -> None:
    html = report.render(
        ReportData(
            run={"run_id": "x", "status": "failed", "error": {"message": "no bars"}, "metrics": {}, "data": None}
        )
    )
    assert "no bars" in html
    assert "<section" in html


def test_months_compound_to_the_total_return() -> None:
    for bars, unit in ((420, "D"), (20, "D"), (3000, "h")):
        path = walk("agent", seed=4, bars=bars, unit=unit)
        months, values = tables.month_returns(path)
        assert np.prod(1 + values) == pytest.approx(path.equity[-1] / path.equity[0], rel=1e-12)
        assert len(set(months.tolist())) == len(months)


def test_a_window_that_starts_on_the_last_bar_of_a_month_has_no_return_in_it() -> None:
    path = walk("agent", bars=40, start="2022-01-31")
    months, _ = tables.month_returns(path)
    assert months.tolist() == [(2022 - 1970) * 12 + 1, (2022 - 1970) * 12 + 2]


def test_months_after_all_was_lost_are_of_no_return() -> None:
    path = walk("agent", bars=70)
    nothing = dataclasses.replace(path, equity=np.where(np.arange(71) < 10, path.equity, 0.0))
    assert tables.month_returns(nothing)[1].tolist() == [-1.0, 0.0, 0.0], "nan stood in their cells"


def test_the_selected_checkpoint_is_marked_on_the_validation_curve() -> None:
    assert "selected at 240k steps" in report.render(report_data())


def test_a_walk_forward_split_shows_its_test_windows() -> None:
    data = report_data()
    run = record(data.agent, list(data.baselines))
    run["split"]["test"] = [["2022-01-03", "2022-06-30"], ["2022-07-01", "2023-02-27"]]
    html = report.render(dataclasses.replace(data, run=run))
    assert "3 Jan 2022 – 27 Feb 2023" in html


@pytest.mark.parametrize(("name", "told"), [("walk_forward", True), ("cpcv", True), ("holdout", False)])
def test_windows_of_several_folds_say_that_training_and_validation_are_the_last_ones(name: str, told: bool) -> None:
    """Training ended a year behind the begin of the test, and "the agent never saw" stood above it."""
    data = report_data()
    run = {**data.run, "split": {**data.run["split"], "name": name}}
    assert (
        "training and validation: the last fold’s; figures of both: means"
        in report.render(dataclasses.replace(data, run=run))
    ) is told


@pytest.mark.parametrize(("unit", "told"), [("h", True), ("D", False)])
def test_times_within_the_day_say_that_they_are_utc(unit: str, told: bool) -> None:
    """An hour of Sydney's session stood as 23:00 of the day before, of which clock nobody said."""
    path = walk("agent", bars=60, unit=unit)
    html = report.render(ReportData(run=record(path, []), agent=path))
    assert ("<b>Times</b>UTC" in html) is told


@pytest.mark.parametrize(("frequency", "told"), [("1mo", True), ("1w", True), ("1d", False)])
def test_dates_of_long_bars_say_of_what_they_are(frequency: str, told: bool) -> None:
    """The worst equity of March stood at the first of March, where its bars bear that day."""
    data = report_data()
    run = {**data.run, "data": {**data.run["data"], "frequency": frequency}}
    assert ("equity is of a bar’s end" in report.render(dataclasses.replace(data, run=run))) is told


@pytest.mark.parametrize(("fill", "held"), [("next_open", True), ("next_close", True), ("next_open", False)])
def test_a_fill_at_a_close_is_not_told_as_at_the_begin_of_a_long_bar(fill: str, held: bool) -> None:
    data = report_data()
    run = {**data.run, "fill": fill, "data": {**data.run["data"], "frequency": "1mo"}}
    html = report.render(dataclasses.replace(data, run=run, held=held))
    assert ("a bar’s end, a fill at the open of its beginning<" in html) is (fill == "next_open" and held)
    assert ("a bar’s end, as a fill is<" in html) is (fill == "next_close")


def test_the_boxes_of_small_returns_have_two_edges() -> None:
    """Those of minutes read -0.07 % to -0.07 %."""
    path = walk("agent", seed=8, bars=300)
    small = dataclasses.replace(path, equity=path.equity[0] * np.cumprod(np.r_[1.0, 1.0 + path.returns / 100.0]))
    for one in (path, small):
        words = re.findall(
            r"([^<>]* %) to ([^<>]* %): (\d+) (bars?)<",
            shape.histogram(Size(700, 200), one, name="agent").replace("\u00a0", " "),
        )
        assert words
        assert all(left != right for left, right, _, _ in words)
        assert all((count == "1") == (unit == "bar") for _, _, count, unit in words)


def test_an_order_shows_the_quote_not_what_a_unit_is_worth() -> None:
    agent = report_data().agent
    assert agent is not None
    quoted = dataclasses.replace(
        agent, trades=dataclasses.replace(agent.trades, quote=np.full(len(agent.trades.bar), 156.25))
    )
    assert "156.25" in tables.trades(quoted, largest=False)
    assert "156.25" not in tables.trades(agent, largest=False)


def test_the_shape_of_the_returns_is_told_with_the_dates_of_the_worst_drawdowns() -> None:
    data = report_data()
    html = report.render(data)
    section = html.split('<section id="shape">')[1].split("</section>")[0]
    for name in ("distribution.skew", "distribution.tail_ratio", "relative.alpha", "relative.information_ratio"):
        assert f'data-metric="shape.{name}"' in section
    assert section.count("shape.drawdowns.") == 5
    assert "against buy &amp; hold" in section
    boxes = re.findall(r">([^<]*): (\d+) bars?<", section.split("</svg>")[0])
    assert sum(int(count) for _, count in boxes) == data.agent.returns.size


def test_a_run_from_before_shapes_were_kept_has_no_such_section() -> None:
    data = report_data()
    run = {key: value for key, value in data.run.items() if key != "shape"}
    assert 'id="shape"' not in report.render(dataclasses.replace(data, run=run))
