"""Play a hostile quant against the judge, print attacks against outcomes, and fail where one gets through.

    python benchmarks/adversary.py [--short] [--groups 200] [--edges 50] [--pipelines 5] [--draws 10000] [--stages ...]

The statistical attacks put recorded returns before the judge that judges runs, beside a ledger that knows them all;
leaks are planted in simulated markets; the rest goes through `run.py`, one process at a time. `--short` takes about
a minute on two cores, without it some four. Published in docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.data.quality import planted
from tests.evaluation import recorded
from tests.evaluation.worlds import trajectory
from wealtharena.config import compose
from wealtharena.data.panel import Panel
from wealtharena.evaluation.evaluate import Evaluation, Facts, judge
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.evaluation.metrics import cash_returns
from wealtharena.evaluation.trials import History, Trials
from wealtharena.evaluation.verdict import LIMITS

ROOT = Path(__file__).resolve().parents[1]
DAYS = recorded.DAYS
QUICK = ("train.env_steps=20000", "train.evaluations=2", "evaluation.bootstrap_draws=500", "tracking=quiet")
FEW_DRAWS = ("evaluation.bootstrap_draws=500", "evaluation.random_seeds=2", "tracking=quiet")
ALLOWED = "evaluation.verdict.allow_simulated=true"


@dataclass(frozen=True)
class Outcome:
    """What came of an attack, and whether that is what must come of it."""

    attack: str
    played: str
    result: str
    by: str  # the rules that held it back
    held: bool


@dataclass(frozen=True)
class Size:
    """How much is played."""

    groups: int
    edges: int
    pipelines: int
    draws: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="20 groups, 10 edges, 1 pipeline, 300 draws")
    parser.add_argument("--groups", type=int, default=200, help="groups of noise, picked and honest each")
    parser.add_argument("--edges", type=int, default=50, help="groups with a true edge")
    parser.add_argument("--pipelines", type=int, default=5, help="groups of noise trained from bars to verdict")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap that judges recorded returns")
    parser.add_argument("--stages", nargs="+", choices=[stage.__name__ for stage in ATTACKS], help="default: all")
    asked = parser.parse_args()
    size = Size(20, 10, 1, 300) if asked.short else Size(asked.groups, asked.edges, asked.pipelines, asked.draws)
    print("| attack | played | outcome | held back by |\n|---|---|---|---|", flush=True)
    through, started = [], time.monotonic()
    for attack in (stage for stage in ATTACKS if asked.stages is None or stage.__name__ in asked.stages):
        for found in attack(size):
            print(f"| {found.attack} | {found.played} | {found.result} | {found.by} |", flush=True)
            if not found.held:
                through.append(found.attack)
    print(
        f"\n{time.monotonic() - started:.0f} s. {'THROUGH: ' + ', '.join(through) if through else 'None got through.'}"
    )
    return 1 if through else 0


def statistics(size: Size) -> Iterator[Outcome]:
    """Picked seeds, honest noise, and a true edge that must pass."""
    rules = recorded.rules(size.draws)
    many = (
        ("the best 3 of 20 seeds of noise", recorded.picked, size.groups, 4, lambda share: share == 0.0),
        ("every one of 3 seeds of noise", recorded.honest, size.groups, 4, lambda share: share < 0.025),
        ("(control) a true net Sharpe ratio of 2.5", recorded.edge, size.edges, 8, lambda share: share >= 0.8),
    )
    for name, group, count, years, right in many:
        found = [group(i, bars=years * DAYS, evaluation=rules).verdict for i in range(count)]
        words = Counter(verdict.status for verdict in found)
        result = ", ".join(f"{words[word]} {word}" for word in ("promotable", "unproven", "rejected"))
        by = Counter(rule for verdict in found for rule in _against(verdict.to_json()))
        yield Outcome(
            name,
            f"{count} groups, {years} years of days",
            result,
            ", ".join(f"{rule} {times}" for rule, times in by.most_common(4)) or "-",
            bool(right(words["promotable"] / count)),
        )


def made_up(size: Size) -> Iterator[Outcome]:
    """Records that no market gives: interest for skill, hourly choices for a daily record, half a year of luck."""
    rules = recorded.rules(size.draws)
    rng = np.random.default_rng(0)
    hold = recorded.market(rng, 4 * DAYS)
    cash = cash_returns(trajectory(hold).timestamps, 0.045)
    still = [cash + rng.normal(0, 2e-6, hold.size) for _ in range(3)]
    yield _single(
        "interest for skill", "3 seeds, 1.4 % invested, cash earns 4.5 %",
        _judged(still, hold, rules, held=0.014, rate=0.045), "hardly_invested",
    )  # fmt: skip
    good = list(recorded.skilled(rng, recorded.market(rng, 2 * DAYS), 3, ratio=1.5))
    yield _single(
        "20 hourly configurations behind a daily record", "3 seeds of 2 years, net Sharpe ratio 1.5",
        _judged(good, recorded.market(rng, 2 * DAYS), rules, trials=hourly_choices(rng)), "dsr",
    )  # fmt: skip
    own = np.random.default_rng(1)
    lucky, ideas = recorded.market(own, 4 * DAYS), own.normal(0.0, 0.5, 20)
    beside_copies = Trials(1020, float(np.r_[ideas, np.full(1000, ideas.mean())].var(ddof=1)))
    yield _single(
        "1,000 copies of one configuration beside 20", "3 seeds of 4 years, net Sharpe ratio 1.7",
        _judged(list(recorded.skilled(own, lucky, 3, ratio=1.7)), lucky, rules, trials=beside_copies), "dsr",
    )  # fmt: skip
    short = list(recorded.skilled(rng, recorded.market(rng, 120), 3, ratio=3.9))
    yield _single(
        "a short record", "3 seeds, 120 bars, Sharpe ratio about 4",
        _judged(short, recorded.market(rng, 120), rules), "record",
    )  # fmt: skip
    seer = list(recorded.skilled(rng, hold, 3, ratio=9.0))
    yield _single("a policy that knows tomorrow", "3 seeds, Sharpe ratio 9", _judged(seer, hold, rules), "plausible")


def hourly_choices(rng: np.random.Generator) -> Trials:
    """Return what a ledger makes of 20 configurations on hourly bars of the same months, of one of which days are judged."""
    dates, symbols = (("2021-01-01", "2022-12-31"),), ("S0",)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "ledger.jsonl"))
        for i, ratio in enumerate(rng.normal(0.0, 1.2, 20)):
            window = Window("hours", dates, symbols, "1h", simulated=False)
            ledger.record_trial(RunIdentity(f"r{i}", f"h{i}", "noise", "sweep", i), window=window, sharpe=float(ratio))
        history = History.of(ledger, "noise", Window("days", dates, symbols, "1d", simulated=False))
        return history.trials("h0")


def _judged(
    seeds: Sequence[Any], hold: Any, rules: Any, *, held: float | None = None, rate: float = 0.0, trials: Any = None
) -> Evaluation:
    agents = [trajectory(row, name=f"seed {i}", trades=200) for i, row in enumerate(seeds)]
    scale = 1.0 if held is None else held / float(np.abs(agents[0].weights).sum(axis=1).mean())
    agents = [replace(a, weights=a.weights * scale, targets=a.weights[1:] * scale) for a in agents]
    facts = Facts(
        simulated=True, unadjusted_rolls=False, trials=trials or Trials(1), openings=3, audit="passed",
        max_gross=1.0, risk_free_per_year=rate,
    )  # fmt: skip
    beside = {"buy_and_hold": trajectory(hold, name="buy_and_hold")}
    return judge(agents, beside, evaluation=rules, facts=facts, rng=np.random.default_rng(0))


def _single(attack: str, played: str, found: Evaluation, rule: str) -> Outcome:
    return _of_verdict(attack, played, found.verdict.to_json(), rule)


def _of_verdict(attack: str, played: str, verdict: Mapping[str, Any], rule: str) -> Outcome:
    against = _against(verdict)
    held = verdict["status"] != "promotable" and rule in against
    return Outcome(attack, played, str(verdict["status"]), ", ".join(against) or "-", held)


def _against(verdict: Mapping[str, Any]) -> list[str]:
    """Return the rules that hold it back, but for that of looser limits, which a study of the rules has."""
    return [item["rule"] for item in verdict["rules"] if item["status"] != "promotable" and item["rule"] != LIMITS]


def files(size: Size) -> Iterator[Outcome]:
    """Ten kinds of leak, planted as strong as they were found in the wild, and half as strong."""
    del size
    daily, hourly = planted.market(bars=1600), planted.market(bars=4000, interval="1h")
    quality = compose([]).data.quality

    for share, least, strength in ((1.0, 10, "as found in the wild"), (0.5, 7, "half as strong")):
        found = planted.every_kind(daily, hourly, quality, share=share)
        refused = sum(bool(seen) and seen[0].sure > quality.leak_ceiling for seen in found.values())
        named = sum(bool(seen) for seen in found.values())
        missed = [name for name, seen in found.items() if not seen]
        yield Outcome(
            f"leaks in the data, {strength}",
            f"{len(found)} kinds",
            f"{refused} refused, {named - refused} named, {len(missed)} missed",
            "the leak test" + (f"; missed: {', '.join(missed)}" if missed else ""),
            named >= least,
        )


def commands(size: Size) -> Iterator[Outcome]:
    """What can be asked of `run.py`: a leaking file, thin markets, small cash, many looks, noise from bars to verdict."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        yield leaking_file(here)
        for attack, changes, rule in (
            ("a market too thin for the account", ["asset=stocks", "env.initial_cash=1e13"], "fills"),
            ("cash for less than a lot", ["asset=stocks", "asset.instrument.lot_size=100", "env.initial_cash=5000"], "fills"),
            ("one look after another", ["asset=etf", "evaluation.verdict.max_openings=1"], "openings"),
        ):  # fmt: skip
            for look in range(2 if rule == "openings" else 1):
                place = here / f"{rule}_{changes[1][:9]}_{look}"
                run(
                    here, ["task=backtest", "data=simulated", "backtest.baseline=momentum", *FEW_DRAWS, *changes], place
                )
            yield _of_verdict(attack, "task=backtest", read(place)["verdict"], rule)
        for group in range(size.pipelines):
            place = here / f"noise_{group}"
            markets = ["data=simulated", f"data.simulator.seed={100 + group}", "data.simulator.predictability=0"]
            run(here, ["-m", "asset=crypto", "seed=0,1,2", *markets, ALLOWED, *QUICK], place)
            (row,) = json.loads((place / "leaderboard.json").read_text())["rows"]
            yield Outcome(
                f"noise through the whole pipeline, market {100 + group}", "multirun of 3 seeds, 20,000 steps each",
                row["verdict"]["status"], ", ".join(_against(row["verdict"])), row["verdict"]["status"] != "promotable",
            )  # fmt: skip
            if group == 0:
                yield edited_folder(here, place)


def edited_folder(here: Path, place: Path) -> Outcome:
    """Let one seed's equity of a finished multirun rise steadily, and ask for a comparison of the three folders."""
    path = min(place.glob("*/equity.parquet"))
    table = pd.read_parquet(path)
    table["equity"] *= np.exp(np.linspace(0.0, 1.0, len(table)))
    table.to_parquet(path, index=False)
    run(here, ["task=compare", f"compare.runs=[{place}]", ALLOWED, *FEW_DRAWS], here / "compared")
    (row,) = json.loads((here / "compared" / "leaderboard.json").read_text())["rows"]
    return _of_verdict("a run folder whose equity was edited", "task=compare", row["verdict"], "unedited")


def leaking_file(here: Path) -> Outcome:
    """Write bars whose closes stand a quarter of the way to tomorrow's, and ask for a training on them."""
    panel = planted.closes(planted.market(bars=1200), 1.0)
    path = here / "bars.csv"
    path.write_text(long_form(panel))
    place = here / "leak"
    found = run(here, ["asset=crypto", "data=files", f"data.path={path}", *QUICK], place, check=False)
    said = [line.partition("refused by ")[2] for line in found.stderr.splitlines() if "leaking_bars" in line]
    return Outcome(
        "a file whose closes know a quarter of tomorrow's move", "task=train",
        f"exit code {found.returncode}", f"refused by {said[0][:90]}..." if said else "-", found.returncode != 0 and bool(said),
    )  # fmt: skip


def long_form(panel: Panel) -> str:
    """Return the bars as a CSV file in long form."""
    assert panel.open is not None
    assert panel.high is not None
    assert panel.low is not None
    assert panel.volume is not None
    lines = ["timestamp,symbol,open,high,low,close,volume"]
    for t, stamp in enumerate(panel.timestamps.astype("datetime64[D]")):
        for a, symbol in enumerate(panel.symbols):
            prices = [float(x[t, a]) for x in (panel.open, panel.high, panel.low, panel.close, panel.volume)]
            prices[1], prices[2] = max(prices[:4]), min(prices[:4])
            lines.append(f"{stamp},{symbol}," + ",".join(f"{price:.8g}" for price in prices))
    return "\n".join(lines)


def run(here: Path, words: Sequence[str], place: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Play one command whose run directory is `place`."""
    where = f"hydra.sweep.dir={place}" if "-m" in words else f"hydra.run.dir={place}"
    keep = [where, f"paths.ledger={here / 'ledger.jsonl'}", f"paths.checkpoints={here / 'checkpoints'}"]
    command = [sys.executable, str(ROOT / "run.py"), *words, *keep]
    return subprocess.run(command, cwd=here, check=check, capture_output=True, text=True)


def read(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "run.json").read_text())
    return found


ATTACKS: Sequence[Callable[[Size], Iterator[Outcome]]] = (statistics, made_up, files, commands)

if __name__ == "__main__":
    sys.exit(main())
