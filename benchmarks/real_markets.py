"""Train the five agents on recorded real markets over several seeds and write what came of it as a table for the docs.

    python benchmarks/real_markets.py MARKET_FOLDER [--seeds 5] [--out outputs/real_markets] [--docs docs/results.md]
    python benchmarks/real_markets.py MARKET_FOLDER --judge  # no training: the baselines alone over the same windows

MARKET_FOLDER holds long-form Parquet files; currency pairs come from the ECB rates that the package carries. Every
class is one multirun (`python run.py -m asset=... seed=0,1,...`), so that each figure is one that the command line gives.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "stocks": "stocks_asx_daily.parquet",
    "forex": None,
    "crypto": "crypto_daily.parquet",
    "etf": "etf_daily.parquet",
    "commodities": "commodities_daily.parquet",
}
HEAD = """# What the defaults achieve on recorded real markets

Made by `make results MARKET=<folder of recorded bars>`; nothing here is written by hand. Each row is `algo=ppo` with
`train.env_steps={steps}` over {seeds} seeds, tested once on the last fifth of the record. `return` and `Sharpe` are interquartile
means over seeds, after costs; the interval is that of the Sharpe ratio over seeds; the difference is to buy-and-hold over
the same bars, with its 95 % interval from a paired block bootstrap over bars and seeds.

| agent | source | test window | return a year | Sharpe (interval over seeds) | drawdown | buy and hold: Sharpe | difference (95 %) | verdict |
|---|---|---|---|---|---|---|---|---|
"""


PLAYED = ("buy_and_hold", "equal_weight", "momentum", "inverse_volatility", "minimum_variance", "random")
AGAIN = """## The baselines, played again

Made by `python benchmarks/real_markets.py <folder> --judge`: the baselines alone over the last fifth of each record, by the
rules of [decision 095](decisions/095-baselines-as-a-practitioner-means-them.md). Sharpe ratios after costs; `invested` is the
share of what buy-and-hold was to hold that it held, over the window; `looks` are the lines that open this window in the ledger
at hand, this one included.

| agent | test window | looks | buy and hold | equal weight | momentum | inverse volatility | minimum variance | random (mean of 32) | invested |
|---|---|---|---|---|---|---|---|---|---|
"""
BESIDE = """
The first table's hurdle beside this one, and what is left of each agent's advantage; an interval for it needs the runs' paths.

| agent | Sharpe | buy and hold: as published | played again | difference: as published | with this hurdle |
|---|---|---|---|---|---|
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("market", type=Path, help="folder of recorded bars")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("outputs/real_markets"))
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "results.md")
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
    for asset, file in FILES.items():
        started = time.monotonic()
        board = train(asset, file, market=asked.market.resolve(), seeds=asked.seeds, out=out)
        for row in board["rows"]:
            rows.append(table_row(row, baseline_sharpe(out / asset)))
            details.append(detail(row))
        print(f"{asset}: {time.monotonic() - started:.0f} s", flush=True)
    text = (
        HEAD.format(seeds=asked.seeds, steps=asked_steps(out)) + "\n".join(rows) + "\n\n## Why\n\n" + "\n".join(details)
    )
    asked.docs.write_text(text)
    print(text)
    return 0


def train(asset: str, file: str | None, *, market: Path, seeds: int, out: Path) -> dict[str, Any]:
    """Run one class's multirun, unless its leaderboard stands already, and return the leaderboard."""
    folder = out / asset
    if not (folder / "leaderboard.json").exists():
        command = [sys.executable, str(ROOT / "run.py"), "-m", f"asset={asset}", *source_of(file, market)]
        command += [
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
    rows, beside = [], []
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
        beside.append(beside_row(run, kept))
    text = f"{kept}\n\n{AGAIN}" + "\n".join(rows) + "\n" + BESIDE + "\n".join(beside) + "\n"
    docs.write_text(text)
    print(text)
    return 0


def baselines_row(run: dict[str, Any]) -> str:
    found = run["baselines"]
    cells = [f"{found[name]['sharpe']:+.2f}" if name in found else "-" for name in PLAYED]
    first, last = run["backtest"]["start"], run["backtest"]["end"]
    looks = run["verdict"]["evidence"]["openings"]
    return f"| {run['agent']} | {first}..{last} | {looks} | {' | '.join(cells)} | {found['buy_and_hold']['invested']:.0%} |"


def beside_row(run: dict[str, Any], published: str) -> str:
    """Return the published hurdle and advantage of an agent beside those of the baseline as it was played now."""
    rows = [[cell.strip() for cell in line.split("|")] for line in published.splitlines() if line.startswith("| ")]
    row = next((row for row in rows if row[1] == run["agent"]), None)
    again = run["baselines"]["buy_and_hold"]["sharpe"]
    if row is None or row[5] == "-":
        return f"| {run['agent']} | - | - | {again:+.2f} | - | - |"
    own, hurdle, difference = (row[column].split(" ")[0] for column in (5, 7, 8))
    return f"| {run['agent']} | {own} | {hurdle} | {again:+.2f} | {difference} | {float(own) - again:+.2f} |"


def table_row(row: dict[str, Any], hold: str) -> str:
    if row["status"] != "completed":
        return f"| {row['agent']} | - | - | - | - | - | - | - | {row['status']} |"
    own, against = row["metrics"], row["comparison"]
    low, high = row["intervals"]["sharpe"]
    span = (
        "-"
        if against.get("ci95") is None
        else f"{against['sharpe_difference']:+.2f} ({against['ci95'][0]:+.2f} to {against['ci95'][1]:+.2f})"
    )
    return (
        f"| {row['agent']} | {row['source']} | {row['window'][0]}..{row['window'][1]} | {own['annual_return']:+.1%} | "
        f"{own['sharpe']:+.2f} ({low:+.2f} to {high:+.2f}) | {own['max_drawdown']:.1%} | {hold} | {span} | "
        f"{row['verdict']['status']} |"
    )


def baseline_sharpe(folder: Path) -> str:
    """Return buy-and-hold's Sharpe ratio over the test window; it is the same for every seed."""
    for path in sorted(folder.glob("*/run.json")):
        value = (json.loads(path.read_text()).get("baselines") or {}).get("buy_and_hold", {}).get("sharpe")
        if value is not None:
            return f"{value:+.2f}"
    return "-"


def asked_steps(out: Path) -> str:
    """Return the training length that the runs were asked for, as their records keep it."""
    found = set()
    for path in out.glob("*/*/.hydra/config.yaml"):
        found.add(str(yaml.safe_load(path.read_text())["train"]["env_steps"]))
    return " or ".join(sorted(found))


def detail(row: dict[str, Any]) -> str:
    reasons = "".join(f"\n  - {reason}" for reason in (row.get("verdict") or {}).get("reasons", ()))
    return f"- **{row['agent']}**: {(row.get('verdict') or {}).get('status', row['status'])}{reasons}"


if __name__ == "__main__":
    sys.exit(main())
