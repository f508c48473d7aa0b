"""Train direct and PPO on five recorded real markets over several seeds and write what came of it as a table for the docs.

    python benchmarks/real_markets.py MARKET_FOLDER [--seeds 5] [--out outputs/real_markets] [--docs docs/results.md]
    python benchmarks/real_markets.py MARKET_FOLDER --judge  # no training: the baselines alone over the same windows

MARKET_FOLDER holds long-form Parquet files; currency pairs come from the ECB rates that the package carries. Every
class and algorithm is one multirun (`python run.py -m asset=... algo=... seed=0,1,...`), so that each figure is one that the
command line gives. One ledger counts the looks of all of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from wealtharena.reporting.words import name_of  # noqa: E402  # after the path is known

FILES = {
    "stocks": "stocks_asx_daily.parquet",
    "forex": None,
    "crypto": "crypto_daily.parquet",
    "etf": "etf_daily.parquet",
    "commodities": "commodities_daily.parquet",
}
HEAD = """# What the defaults achieve on recorded real markets

Made by `make results MARKET=<folder of recorded bars>`; nothing here is written by hand. Each row is an algorithm as it ships over
{seeds} seeds, tested once on the last fifth of the record. `return` and `Sharpe` are interquartile means over seeds, after costs; the
interval is that of the Sharpe ratio over bars and seeds; differences are to the hardest baseline that the verdict names and to the
[anchor](concepts/tilt-and-anchor.md), over the same bars, with 95 % intervals from a paired block bootstrap over bars and seeds. Active share
is half the mean difference in weights to the anchor, lambda the share of what was learned that the validation proved, both in the mean of
seeds. `looks` are the lines of the ledger at hand that open the window, this row's own included.

What the defaults do on inner folds of the first four fifths, which they were chosen by, stands in [experiments](experiments.md).

**The windows are not unseen.** {before}

| agent | algo | source | test window | return a year | Sharpe (95 %) | drawdown | difference (95 %) | to the anchor (95 %) | active share | lambda | turnover a year | looks | verdict |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""
BEFORE = (
    "Before the runs of this page each was opened by five seeds of `algo=ppo` as it shipped then (weights, without an anchor), that of "
    "currencies by another configuration too, and once more by the baselines alone; those runs' ledger is not kept, and `looks` does not "
    "count them. Their Sharpe ratios were +0.50 (shares), +0.01 (currencies), +0.34 (coins), +0.19 (funds) and -0.67 (commodities); none was "
    "better than unproven. The same ten groups of runs were played twice before too, when bars of shares and commodities were repaired "
    "otherwise and under version 1 of the numbers, and had the same verdicts."
)
ALGOS = ("direct", "ppo")


PLAYED = ("buy_and_hold", "equal_weight", "momentum", "inverse_volatility", "minimum_variance", "random")
AGAIN = """## The baselines, played again

Made by `python benchmarks/real_markets.py <folder> --judge`: the baselines alone over the last fifth of each record, by the
rules of [decision 095](decisions/095-baselines-as-a-practitioner-means-them.md). Sharpe ratios after costs; `invested` is the
share of what buy-and-hold was to hold that it held, over the window; `looks` are the lines that open this window in the ledger
at hand, this one included.

| agent | test window | looks | buy and hold | equal weight | momentum | inverse volatility | minimum variance | random (mean of 32) | invested |
|---|---|---|---|---|---|---|---|---|---|
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("market", type=Path, help="folder of recorded bars")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("outputs/real_markets"))
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "results.md")
    parser.add_argument("--algos", nargs="+", default=list(ALGOS))
    parser.add_argument("--only", nargs="+", choices=list(FILES), help="train these classes and write no page")
    parser.add_argument("--judge", action="store_true", help="play the baselines alone, and rewrite their section")
    asked = parser.parse_args()
    if missing := [file for file in FILES.values() if file is not None and not (asked.market / file).exists()]:
        parser.error(
            f"{asked.market} lacks {', '.join(missing)}; name a folder of recorded bars: make results MARKET=<folder>"
        )
    out = asked.out.resolve()
    if asked.judge:
        return judge_again(asked.market.resolve(), out, asked.docs)
    rows, details = [], []
    for asset, algo in itertools.product(asked.only or FILES, asked.algos):
        started = time.monotonic()
        board = train(asset, algo, market=asked.market.resolve(), seeds=asked.seeds, out=out)
        rows += [table_row(row) for row in board["rows"]]
        details += [detail(row) for row in board["rows"]]
        print(f"{asset}, {algo}: {time.monotonic() - started:.0f} s", flush=True)
    if asked.only:
        return 0
    head = HEAD.format(seeds=asked.seeds, before=BEFORE)
    again = asked.docs.read_text().partition(AGAIN.split("\n", 1)[0]) if asked.docs.exists() else ("", "", "")
    text = "\n".join([head + "\n".join(rows), "", "## Why", "", *details, "", again[1] + again[2]]).rstrip() + "\n"
    asked.docs.write_text(text)
    print(text)
    return 0


def train(asset: str, algo: str, *, market: Path, seeds: int, out: Path) -> dict[str, Any]:
    """Run one multirun, unless its leaderboard stands already, and return the leaderboard."""
    folder = out / asset / algo
    if not (folder / "leaderboard.json").exists():
        command = [sys.executable, str(ROOT / "run.py"), "-m", f"asset={asset}", f"algo={algo}"]
        command += [
            *source_of(FILES[asset], market),
            f"seed={','.join(str(seed) for seed in range(seeds))}",
            f"hydra.sweep.dir={folder}",
            "tracking=quiet",
        ]
        command += [f"paths.ledger={out / 'ledger.jsonl'}", f"paths.checkpoints={out / 'checkpoints'}"]
        subprocess.run(command, check=True, cwd=ROOT)
    board: dict[str, Any] = json.loads((folder / "leaderboard.json").read_text())
    return board


def source_of(file: str | None, market: Path) -> list[str]:
    return ["data=ecb"] if file is None else ["data=files", f"data.path={market / file}"]


def judge_again(market: Path, out: Path, docs: Path) -> int:
    """Play every baseline over each class's test window and rewrite the section of `docs` that holds their figures.

    A ledger of the trainings in `out` goes on being written; without one the looks begin at this one.
    """
    kept = docs.read_text().split(AGAIN.split("\n", 1)[0])[0].rstrip()
    rows = []
    for asset, file in FILES.items():
        place = out / "baselines" / asset
        command = [sys.executable, str(ROOT / "run.py"), "task=backtest", f"asset={asset}", *source_of(file, market)]
        command += [
            "backtest.baseline=buy_and_hold",
            "backtest.window=test",
            f"hydra.run.dir={place}",
            "tracking=quiet",
        ]
        command += [f"paths.ledger={out / 'ledger.jsonl'}", f"paths.checkpoints={out / 'checkpoints'}"]
        subprocess.run(command, check=True, cwd=ROOT)
        run = json.loads((place / "run.json").read_text())
        rows.append(baselines_row(run))
    text = f"{kept}\n\n{AGAIN}" + "\n".join(rows) + "\n"
    docs.write_text(text)
    print(text)
    return 0


def baselines_row(run: dict[str, Any]) -> str:
    found = run["baselines"]
    cells = [f"{found[name]['sharpe']:+.2f}" if name in found else "-" for name in PLAYED]
    first, last = run["backtest"]["start"], run["backtest"]["end"]
    looks = run["verdict"]["evidence"]["openings"]
    return f"| {run['agent']} | {first}..{last} | {looks} | {' | '.join(cells)} | {found['buy_and_hold']['invested']:.0%} |"


def table_row(row: dict[str, Any]) -> str:
    """Return a row of the page: a leaderboard's line."""
    if row["status"] != "completed":
        return f"| {row['agent']} | {row['algo']} |{' - |' * 11} {row['status']} |"
    own, against, (low, high) = row["metrics"], row["comparison"], row["intervals"]["sharpe"]
    evidence, active = row["verdict"]["evidence"], row["active"]
    anchor = row["comparisons"].get("anchor")
    cells = (
        row["agent"], row["algo"], row["source"], f"{row['window'][0]}..{row['window'][1]}",
        f"{own['annual_return']:+.1%}", f"{own['sharpe']:+.2f} ({low:+.2f} to {high:+.2f})" if "sharpe" in own else "-",
        f"{own['max_drawdown']:.1%}", f"{name_of(evidence['beats'])}: {span(against)}", span(anchor),
        figure(active["active_share"], 3), figure(active["kept_share"], 2), f"{own['turnover']:.1f}",
        evidence["openings"], row["verdict"]["status"],
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def span(found: dict[str, Any] | None) -> str:
    """Return a difference of Sharpe ratios with its interval, a dash where there is none."""
    if not found or found.get("ci95") is None:
        return "-"
    return f"{found['sharpe_difference']:+.2f} ({found['ci95'][0]:+.2f} to {found['ci95'][1]:+.2f})"


def figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def detail(row: dict[str, Any]) -> str:
    reasons = "".join(f"\n  - {reason}" for reason in (row.get("verdict") or {}).get("reasons", ()))
    return f"- **{row['agent']}, {row['algo']}**: {(row.get('verdict') or {}).get('status', row['status'])}{reasons}"


if __name__ == "__main__":
    sys.exit(main())
