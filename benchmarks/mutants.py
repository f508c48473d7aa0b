"""Faults planted one at a time, a sign, an index, a bound, a swapped argument, where figures are made.

    python benchmarks/mutants.py             # all of them, some minutes
    python benchmarks/mutants.py risk night  # those whose file names hold a word

Do the tests see each? The house is copied, a fault written into the copy, the tests that it names run there, and the next
one planted. The kernel runs as Python where it is what was changed (see tests/interpreted.py), so that no fault waits for a
compiler. Ends with 1 where a fault was not seen, with 2 where a line to be replaced is no longer there, once, or the tests
fail without a fault.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PARTS: Final = ("wealtharena", "conf", "sweeps", "tests", "benchmarks", "pyproject.toml", "run.py")
LIMIT_SECONDS: Final = 600

RULES: Final = ("tests/envs/test_rules.py", "tests/envs/test_money.py")
FACES: Final = tuple(  # those of the file that take seconds as Python
    f"tests/envs/test_faces.py::{name}"
    for name in (
        "test_every_first_bar_of_every_segment_is_drawn",
        "test_an_episode_never_crosses_the_end_of_its_segment",
        "test_allocations_out_of_range_are_refused_and_legal_ones_mean_cash_long_short",
    )
)
SEEN: Final = ("tests/envs/test_observation.py",)
REWARDS: Final = ("tests/envs/test_rewards.py",)
TILT: Final = ("tests/envs/test_tilt.py",)
METRICS: Final = ("tests/evaluation/test_metrics.py", "tests/evaluation/test_interest.py")
LUCK: Final = ("tests/evaluation/test_significance.py",)
TORCH: Final = ("tests/agents/direct/test_account.py",)
SPLITS: Final = ("tests/trading/test_actions.py",)
GUARD: Final = ("tests/trading/test_guard.py",)


@dataclass(frozen=True)
class Fault:
    """One line of a file below wealtharena/, without its indent, what stands there instead, and the tests that must see it."""

    file: str
    line: str
    instead: str
    tests: tuple[str, ...]

    @property
    def compiled(self) -> bool:
        """Whether its tests run on compiled loops: those of the kernel would be compiled anew for each fault in its room."""
        return not self.file.startswith("envs/")


class LostError(Exception):
    """The line to be replaced is not in its file, or more than once."""


def _faults(file: str, tests: tuple[str, ...], *pairs: tuple[str, str]) -> tuple[Fault, ...]:
    return tuple(Fault(file, line, instead, tests) for line, instead in pairs)


# fmt: off
FAULTS: Final = (
    *_faults(
        "envs/kernel/orders.py", RULES,
        ("low = 0.0 if rules[RULE.long_only] > 0.0 else -high", "low = 0.0 if rules[RULE.long_only] > 0.0 else high"),
        ("desk[WORK.shrink + e] = limit / gross if gross > limit else 1.0", "desk[WORK.shrink + e] = 1.0"),
        ("d = abs(x - value)", "d = abs(x + value)"),
        ("desk[WORK.kept + e] += 0.0 if trades else held", "desk[WORK.kept + e] += held if trades else 0.0"),
        ("desk[WORK.scale + e] = 1.0 if fits else room / whole if room > 0.0 else 0.0", "desk[WORK.scale + e] = 1.0"),
        ("c[MOST + e] = share * c[CELL.volume_then + e]", "c[MOST + e] = c[CELL.volume_then + e] / share"),
        ("c[GOAL + e] = goal if (inverse > 0.0) & (c[CELL.price + e] > 0.0) else before", "c[GOAL + e] = goal if inverse > 0.0 else before"),
        ("du = min(max(c[GOAL + e] - before, -c[MOST + e]), c[MOST + e])", "du = min(max(before - c[GOAL + e], -c[MOST + e]), c[MOST + e])"),
        ("cost = order * (rate + impact * c[CELL.impact_then + e] * math.sqrt(order)) * desk[DESK.cost_factor + e]", "cost = order * (rate + impact * c[CELL.impact_now + e] * math.sqrt(order)) * desk[DESK.cost_factor + e]"),
        ("desk[DESK.earned + e] += before * c[CELL.income_then + e]", "desk[DESK.earned + e] += after * c[CELL.income_then + e]"),
        ("mark = after * c[CELL.mark_then + e]", "mark = before * c[CELL.mark_then + e]"),
        ("desk[WORK.paid + e] += value", "desk[WORK.paid + e] -= value"),
        ("return float(np.trunc(count + math.copysign(1e-9, count)) * lot)", "return float(np.rint(count + math.copysign(1e-9, count)) * lot)"),
    ),
    *_faults(
        "envs/kernel/night.py", RULES,
        ("short = max(0.5 * (desk[DESK.gross + e] - net), 0.0)", "short = max(0.5 * (desk[DESK.gross + e] + net), 0.0)"),
        ("interest = rules[RULE.margin] * factor * max(-cash, 0.0) - lent * max(cash, 0.0)", "interest = rules[RULE.margin] * factor * max(-cash, 0.0) + lent * max(cash, 0.0)"),
        ("posted = -lent * max(equity, 0.0)", "posted = -lent * max(cash, 0.0)"),
        ("cash = cash - night - desk[WORK.paid + e] + desk[DESK.earned + e] - desk[DESK.costs + e]", "cash = cash + night - desk[WORK.paid + e] + desk[DESK.earned + e] - desk[DESK.costs + e]"),
        ("ends = (equity < rules[RULE.maintenance] * desk[DESK.gross + e]) | (equity <= 0.0)", "ends = (equity < rules[RULE.maintenance] * desk[DESK.gross + e]) | (equity < 0.0)"),
        ("loss = abs(mark) * rules[RULE.haircut]", "loss = mark * rules[RULE.haircut]"),
        ("desk[DESK.cash + e] += mark - fee", "desk[DESK.cash + e] += mark + fee"),
        ("desk[DESK.equity + e] -= loss", "desk[DESK.equity + e] += loss"),
    ),
    *_faults(
        "envs/kernel/night.py", REWARDS,
        ("desk[WORK.deeper + e] = min(desk[DESK.equity + e] / peak - 1.0, 0.0)", "desk[WORK.deeper + e] = max(desk[DESK.equity + e] / peak - 1.0, 0.0)"),
        ("desk[DESK.peak + e] = max(desk[DESK.peak + e], equity)", "desk[DESK.peak + e] = min(desk[DESK.peak + e], equity)"),
        ("desk[DESK.reward_penalty + e] = penalty * rules[RULE.reward_scale]", "desk[DESK.reward_penalty + e] = penalty"),
    ),
    *_faults(
        "envs/kernel/lanes.py", RULES,
        ("desk[WORK.years + e] = years[when[e] + 1]", "desk[WORK.years + e] = years[when[e]]"),
        ("desk[WORK.rate + e] = rates[when[e] + 1]", "desk[WORK.rate + e] = rates[when[e]]"),
    ),
    *_faults(
        "envs/kernel/episodes.py", FACES,
        ("first = starts[row, START.first] + pick", "first = starts[row, START.first]"),
        ("last = min(last, first + length)", "last = max(last, first + length)"),
    ),
    *_faults(
        "envs/kernel/observe.py", SEEN,
        ("source = (t - window + 1) * stride", "source = (t - window) * stride"),
        ("account[assets + 2] = _bound(state[ACCOUNT.gross, i] * inverse)", "account[assets + 2] = _bound(state[ACCOUNT.cash, i] * inverse)"),
    ),
    *_faults(
        "evaluation/metrics.py", METRICS,
        ("exponent = math.log(growth) / years", "exponent = math.log(growth) * years"),
        ("return rate_per_year * days / 365.25", "return rate_per_year * days / 252.0"),
        ("above = values - risk_free", "above = values + risk_free"),
        ("moved = values[np.isfinite(values) & (values != 0.0)]", "moved = values[np.isfinite(values)]"),
        ("return gains / losses", "return losses / gains"),
        ("equity = trajectory.equity[:-1]", "equity = trajectory.equity[1:]"),
        ("held = trajectory.weights[1:]", "held = trajectory.weights[:-1]"),
    ),
    *_faults(
        "evaluation/significance.py", LUCK,
        ("return 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2", "return 1.0 + skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2"),
        ("return float(ndtr((sharpe - benchmark) * math.sqrt(bars - 1) / math.sqrt(variance)))", "return float(ndtr((sharpe + benchmark) * math.sqrt(bars - 1) / math.sqrt(variance)))"),
        ("return 1.0 + variance * (float(ndtri(confidence)) / (sharpe - benchmark)) ** 2", "return 1.0 + variance * (float(ndtri(confidence)) / (sharpe + benchmark)) ** 2"),
        ("return math.sqrt(variance) * ((1.0 - EULER_GAMMA) * tail[0] + EULER_GAMMA * tail[1])", "return math.sqrt(variance) * ((1.0 - EULER_GAMMA) * tail[1] + EULER_GAMMA * tail[0])"),
        ("outside = _half_sharpe(1.0 - member, cut)", "outside = _half_sharpe(member, cut)"),
        ("relative = (below + (ties + 1) / 2.0) / (matrix.shape[1] + 1.0)", "relative = (below + ties / 2.0) / (matrix.shape[1] + 1.0)"),
        ("mean = member @ shifted.sum(axis=1) / count", "mean = member @ shifted.sum(axis=1) / size"),
    ),
    *_faults(
        "envs/actions.py", FACES,
        ("rows.append(np.eye(self.assets) * -full)", "rows.append(np.eye(self.assets) * full)"),
    ),
    *_faults(
        "envs/actions.py", TILT,
        ("idle = tilt.band * np.maximum(np.abs(anchor), tilt.equal_share(self.assets))", "idle = tilt.band * np.minimum(np.abs(anchor), tilt.equal_share(self.assets))"),
        ("kept = np.where(trades, np.float32(0.0), held)", "kept = np.where(trades, held, np.float32(0.0))"),
        ("np.subtract(1.0, shares[:, 1:].sum(axis=-1), out=shares[:, 0])", "np.add(1.0, shares[:, 1:].sum(axis=-1), out=shares[:, 0])"),
        ("wanted += kept", "wanted -= kept"),
        ("mean = count / np.maximum(inverse.sum(axis=-1, keepdims=True), TINY)", "mean = count * np.maximum(inverse.sum(axis=-1, keepdims=True), TINY)"),
    ),
    *_faults(
        "agents/direct/account.py", TORCH,
        ("cash = state.cash - value.sum(dim=-1) + earned - fees", "cash = state.cash - value.sum(dim=-1) + earned + fees"),
        ("earned = (state.units * then.income).sum(dim=-1)", "earned = (units * then.income).sum(dim=-1)"),
        ("change = torch.minimum(torch.maximum(change, -most), most)", "change = torch.minimum(change, most)"),
        ("target, kept = _sum(wanted.abs(), trades), _sum(held, ~trades)", "target, kept = _sum(wanted.abs(), trades), _sum(held, trades)"),
        ("short = 0.5 * (state.gross - net)", "short = 0.5 * (state.gross + net)"),
    ),
    *_faults(
        "trading/actions.py", SPLITS,
        ("ratio = before / now", "ratio = now / before"),
        ("return kept, whole - kept", "return kept, kept - whole"),
    ),
    *_faults(
        "trading/brokers/paper.py", SPLITS,
        ('saved["account"]["cash"] += left * mark', 'saved["account"]["cash"] -= left * mark'),
    ),
    *_faults("trading/risk/daily_loss.py", GUARD, ("loss = lost(now.equity, now.opening)", "loss = lost(now.equity, now.peak)")),
    *_faults("trading/risk/drawdown.py", GUARD, ("depth = lost(now.equity, now.peak)", "depth = lost(now.equity, now.opening)")),
    *_faults(
        "trading/risk/gross.py", GUARD,
        ("kept = (now.units + now.reducing) * now.marks", "kept = now.units * now.marks"),
        ("return max(0.0, (limit - kept) / added) if added > 0.0 else 1.0", "return max(0.0, (limit + kept) / added) if added > 0.0 else 1.0"),
    ),
    *_faults("trading/risk/order_rate.py", GUARD, ("over = opens & (np.cumsum(opens) > room)", "over = opens & (np.cumsum(opens) >= room)")),
    *_faults("trading/risk/order_volume.py", GUARD, ("most = rule.max_share * now.volume", "most = now.volume / rule.max_share")),
    *_faults("trading/risk/price_jump.py", GUARD, ("jumped = (np.abs(now.moves) > rule.max_move) & ((now.units != 0.0) | (now.orders != 0.0))", "jumped = (now.moves > rule.max_move) & ((now.units != 0.0) | (now.orders != 0.0))")),
    *_faults("trading/risk/stale_data.py", GUARD, ("old = (now.age > rule.max_bars) & ((now.units != 0.0) | (now.orders != 0.0))", "old = (now.age >= rule.max_bars) & ((now.units != 0.0) | (now.orders != 0.0))")),
    *_faults("trading/risk/symbol_weight.py", GUARD, ("room = np.maximum(most - np.abs(now.units + now.reducing), 0.0)", "room = np.maximum(most - np.abs(now.reducing), 0.0)")),
    *_faults("trading/risk/unknown_account.py", GUARD, ("return bars > rule.max_bars", "return bars >= rule.max_bars")),
    *_faults("trading/situation.py", GUARD, ("over = np.abs(now.increasing) > most * (1.0 + TOLERANCE)", "over = now.increasing > most * (1.0 + TOLERANCE)")),
)
# fmt: on


def planted(source: str, fault: Fault) -> str:
    """Return a file's text with the fault in it; LostError where its line is not there exactly once."""
    lines = source.split("\n")
    places = [number for number, line in enumerate(lines) if line.strip() == fault.line]
    if len(places) != 1:
        raise LostError(f"wealtharena/{fault.file} has {len(places)} lines `{fault.line}`, one was wanted")
    line = lines[places[0]]
    lines[places[0]] = line[: len(line) - len(line.lstrip())] + fault.instead
    return "\n".join(lines)


@contextmanager
def standing(path: Path, text: str) -> Iterator[None]:
    """Let a file hold another text meanwhile; its time comes back with its own, so that what was compiled of it is good."""
    own, facts = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(own, encoding="utf-8")
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def tried(house: Path, tests: Sequence[str], *, compiled: bool, keep: bool = False) -> int | None:
    """Return how pytest ends over these tests in a house, stopping at the first that fails; None where it does not end."""
    words = ["-q", "-x", "-p", "no:cacheprovider"]
    changes = {
        "PYTHONPATH": str(house),
        "NUMBA_CACHE_DIR": str(house / "machine_code"),
        "NUMBA_DISABLE_JIT": "0" if compiled else "1",
        "PYTHONDONTWRITEBYTECODE": "" if keep else "1",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, *tests],
            cwd=house, env=os.environ | changes, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    if done.returncode not in (0, 1) or (keep and done.returncode):
        print(done.stdout + done.stderr)
    return done.returncode


def main(words: Sequence[str]) -> int:
    faults = [one for one in FAULTS if not words or any(word in one.file for word in words)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        house = Path(folder)
        for name in PARTS:
            whole = (ROOT / name).is_dir()
            (shutil.copytree if whole else shutil.copy2)(
                ROOT / name, house / name, **({"ignore": shutil.ignore_patterns("__pycache__")} if whole else {})
            )
        texts = [planted((house / "wealtharena" / one.file).read_text(encoding="utf-8"), one) for one in faults]
        for compiled in (False, True):
            named = sorted({test for one in faults if one.compiled is compiled for test in one.tests})
            if named and tried(house, named, compiled=compiled, keep=True) != 0:
                print("the tests fail without a fault")
                return 2
        missed = 0
        for fault, text in zip(faults, texts, strict=True):
            began = time.monotonic()
            with standing(house / "wealtharena" / fault.file, text):
                code = tried(house, fault.tests, compiled=fault.compiled)
            said = {0: "SURVIVED", 1: "caught", None: "caught (without an end)"}.get(code, f"broken ({code})")
            missed += not said.startswith("caught")
            print(f"{said:9} {time.monotonic() - began:4.0f} s  {fault.file:28} {fault.instead}", flush=True)
    print(f"{len(faults) - missed} of {len(faults)} faults are caught")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LostError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
