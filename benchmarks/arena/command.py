"""Play the arena and write its board: `make arena`, or `python -m benchmarks.arena`.

    python -m benchmarks.arena --minutes 120 --market <folder of recorded bars>
    python -m benchmarks.arena --entrants ppo direct --courses strong null --seeds 2 --minutes 10
    python -m benchmarks.arena --entry mine=policies.py:Momentum

Seeds are played in turns: all entrants on all courses with seed 0, then with seed 1, so that a board made when the time
is up compares like with like. A cell that is done is kept; what was killed goes on from where it was. Written below
--out: arena.html, arena.json, the cells, and the ledger that every try on recorded bars goes to.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arena import board, courses, entries, page
from benchmarks.arena.play import PATIENCE_SECONDS, TURNS, Cell, lost, play, settings, stands
from benchmarks.arena.workers import EndedError, Worker, asked_to_stop, dismiss, ready
from wealtharena import files
from wealtharena.config.spelling import key_of
from wealtharena.errors import ConfigError, Interrupted, WealthArenaError
from wealtharena.evaluation.ledger import Ledger

OPENING_SECONDS = 300.0  # for a policy's file
# what a course says of its market, its costs and its windows
OF_COURSES = ("data", "universe", "asset", "split", "seed", "evaluation", "env.fill", "env.initial_cash")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="arena", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--minutes", type=spell, default=120.0, help="no cell is begun that would end after these")
    made.add_argument(
        "--market", type=Path, help="folder of recorded bars; without it planted markets alone are played"
    )
    made.add_argument("--seeds", type=counted, default=3)
    made.add_argument("--folds", type=counted, default=3, help="inner folds of a recorded market")
    made.add_argument("--jobs", type=counted, default=2, help="cells played side by side")
    made.add_argument("--courses", nargs="+", help="play these only")
    made.add_argument("--entrants", nargs="*", help="play these only; entries of your own always play")
    made.add_argument(
        "--entry", action="append", default=[], metavar="NAME=PATH", help="a policy of your own, see entries.py"
    )
    made.add_argument("--action", default="weights", help="kind of action of your own entries' environments")
    made.add_argument("--out", type=Path, default=Path("outputs/arena"))
    made.add_argument("--ledger", type=Path, default=Path("results/ledger.jsonl"))
    made.add_argument("--docs", type=Path, help="write the board into this page, behind its mark")
    made.add_argument("overrides", nargs="*", help="for every entrant that is trained, such as train.env_steps=20000")
    return made


def read(words: Sequence[str]) -> argparse.Namespace:
    """Return what was typed; an override that stands behind names of entrants or courses is none of them."""
    asked = parser().parse_intermixed_args(list(words))
    for kind in ("courses", "entrants"):
        named = getattr(asked, kind)
        if named is not None:
            asked.overrides += [word for word in named if "=" in word]
            setattr(asked, kind, [word for word in named if "=" not in word])
    return asked


def counted(text: str) -> int:
    """Return a number of at least one; argparse makes a line of the error."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def spell(text: str) -> float:
    """Return minutes, 0 or more."""
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not minutes >= 0.0:
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes, 0 or more")
    return minutes


def chosen(known: Sequence[Any], names: Sequence[str] | None, kind: str) -> list[Any]:
    """Return those of the names, in their order; ValueError names what there is."""
    if names is None:
        return list(known)
    if twice := _twice(names):
        raise ValueError(f"{kind} {twice} is named twice; name it once, --seeds plays it again")
    by_name = {one.name: one for one in known}
    if missing := [name for name in names if name not in by_name]:
        raise ValueError(f"no {kind} {', '.join(missing)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def lineup(asked: argparse.Namespace) -> tuple[list[courses.Course], list[entries.Entrant]]:
    """Return where and who plays; ValueError for a folder of bars, a course, an entrant or an entry that is none."""
    if asked.market is not None and not asked.market.is_dir():
        raise ValueError(f"--market {asked.market} is no folder")
    where = chosen(courses.courses(asked.market, folds=asked.folds), asked.courses, "course")
    trained = chosen(entries.shipped(), asked.entrants, "entrant")
    more = tuple(asked.overrides)
    if fixed := next((word for word in more if _is_a_courses(key_of(word))), None):
        raise ValueError(f"{fixed} is a course's, the same for all who play it, or an entrant's name; leave it out")
    trained = [entries.Entrant(one.name, one.words, (*one.overrides, *more)) for one in trained]
    who = [*trained, *(entries.own(text, action=asked.action) for text in asked.entry)]
    if twice := _twice([one.name for one in who]):
        raise ValueError(f"{twice} is the name of several entrants; give each a name of its own")
    if not who:
        raise ValueError("nobody plays; name entrants, or a policy of your own by --entry")
    return where, who


def _is_a_courses(key: str) -> bool:
    return key == "algo" or any(key == name or key.startswith(f"{name}.") for name in OF_COURSES)


def _twice(names: Sequence[str]) -> str | None:
    return next((name for name, count in sorted(Counter(names).items()) if count > 1), None)


def check_places(asked: argparse.Namespace, where: Sequence[courses.Course]) -> None:
    """Raise ValueError or FirewallError where bars are missing, or what is found out could not be written, before anything is played."""
    if asked.docs is not None and not asked.docs.is_file():
        raise ValueError(f"--docs {asked.docs} is no page; name one that is there")
    if any(not course.planted for course in where):
        Ledger(asked.ledger).check()
    words = [(course, word) for course in where for word in course.overrides if word.startswith("data.path=")]
    lacking = [course for course, word in words if not Path(word.partition("=")[2]).is_file()]
    if lacking:
        files_of = ", ".join(f"{Path(word).name} ({course.name})" for course, word in words if course in lacking)
        raise ValueError(f"--market {asked.market} lacks {files_of}; name the courses that it has bars of by --courses")
    try:
        files.require_appendable(asked.out / TURNS / "any")  # with a lock, by which cells are played one at a time
    except OSError as error:
        raise ValueError(f"--out {asked.out} cannot be written: {error.strerror or error}") from error


def check(where: Sequence[courses.Course], who: Sequence[entries.Entrant]) -> None:
    """Raise ValueError where a policy cannot be opened, or where an entrant's settings suit no course."""
    _check_opens([entrant.own for entrant in who if entrant.own is not None])
    for entrant in who:
        refused = list(
            itertools.takewhile(lambda why: why is not None, (_unsuited(course, entrant) for course in where))
        )
        if refused and len(refused) == len(where):
            raise ValueError(f"{entrant.name} can play nowhere: {refused[0]}")


def _check_opens(policies: Sequence[entries.OwnPolicy]) -> None:
    """Raise ValueError where one cannot be opened, in a process that it may end."""
    if not policies:
        return
    worker = Worker()
    try:
        for own in policies:
            worker.give(refusal, own)
            if not ready([worker], OPENING_SECONDS):
                raise ValueError(f"{own.path}: it was not opened within {OPENING_SECONDS:.0f} s")
            try:
                said = worker.answer()
            except EndedError as error:
                said = f"{own.path}: {error}"
            if said is not None:
                raise ValueError(said)
    finally:
        dismiss([worker], at_once=True)


def refusal(own: entries.OwnPolicy) -> str | None:
    """Return why a policy cannot be opened."""
    try:
        own.check()
    except ValueError as error:
        return str(error)
    except KeyboardInterrupt:
        if asked_to_stop():
            raise
        return f"{own.path}: KeyboardInterrupt"
    return None


def _unsuited(course: courses.Course, entrant: entries.Entrant) -> ConfigError | None:
    try:
        settings((*course.overrides, *entrant.overrides))
    except ConfigError as error:
        return error
    return None


class Clock:
    """How long cells take, and whether another one still fits."""

    def __init__(self, minutes: float) -> None:
        self.until = time.monotonic() + 60.0 * minutes
        self.took: dict[tuple[str, str], float] = {}

    def fits(self, cell: Cell) -> bool:
        """Return whether the cell should end in time, judged by how long it took with another seed."""
        expected = self.took.get((cell.course.name, cell.entrant.name), 0.0)
        return time.monotonic() + expected < self.until

    def ended(self, cell: Cell, seconds: float) -> None:
        """Note how long a cell took."""
        self.took[cell.course.name, cell.entrant.name] = seconds


def cells(where: Sequence[courses.Course], who: Sequence[entries.Entrant], seeds: int) -> Iterator[Cell]:
    """Yield all cells, seed by seed."""
    for seed, course, entrant in itertools.product(range(seeds), where, who):
        yield Cell(course, entrant, seed)


def one(spot: tuple[int, int, int], words: Sequence[str]) -> dict[str, Any]:
    """Play a cell in a process of its own, which finds it by its place: functions of courses do not travel."""
    asked = read(words)
    where, who = lineup(asked)
    cell = Cell(where[spot[0]], who[spot[1]], spot[2])
    began = time.monotonic()
    out, ledger = asked.out.resolve(), asked.ledger.resolve()  # a policy may go to another folder
    try:
        return play(cell, out=out, ledger=ledger)
    except KeyboardInterrupt as error:
        if cell.entrant.own is None or asked_to_stop():
            raise
        return lost(cell, out, f"KeyboardInterrupt: {error}", seconds=time.monotonic() - began)


class Crew:
    """Processes that play cells side by side; a cell whose process ends, or does not end, is lost, and no other is.

    A policy of one's own has a process to itself for each cell: what it leaves there, such as bars that it has seen or
    functions that it replaced, reaches no other.
    """

    def __init__(self, asked: argparse.Namespace, words: Sequence[str]) -> None:
        self.out, self.words = asked.out, words
        self.busy: dict[Worker, tuple[Cell, float]] = {}
        self.idle: list[Worker] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        dismiss(self.idle)
        dismiss(list(self.busy), at_once=True)

    def begin(self, cell: Cell, spot: tuple[int, int, int]) -> None:
        """Play a cell in a process that is idle, or in a new one."""
        worker = self.idle.pop() if self.idle and cell.entrant.own is None else Worker()
        self.busy[worker] = cell, time.monotonic()
        worker.give(one, spot, self.words)

    def settle(self) -> Iterator[tuple[Cell, dict[str, Any]]]:
        """Yield the cells that have ended, as soon as one has, and what came of them; all where none has in time."""
        ended = ready(list(self.busy), PATIENCE_SECONDS)
        late = [] if ended else list(self.busy)
        dismiss(late, at_once=True)
        for worker in ended or late:
            cell, began = self.busy[worker]
            try:
                if worker in late:
                    raise EndedError(f"it had not ended after {PATIENCE_SECONDS:.0f} s")
                result = worker.answer()
                if cell.entrant.own is None:
                    self.idle.append(worker)
                else:
                    dismiss([worker], at_once=True)
            except EndedError as error:
                dismiss([worker], at_once=True)
                result = lost(cell, self.out, str(error), seconds=time.monotonic() - began)
            del self.busy[worker]
            yield cell, result


def run(asked: argparse.Namespace, words: Sequence[str]) -> tuple[list[dict[str, Any]], int]:
    """Play what fits into the time; return what was played, and how many cells were not."""
    where, who = lineup(asked)
    clock, done, skipped = Clock(asked.minutes), [], 0
    with Crew(asked, words) as crew:

        def settle() -> None:
            for cell, result in crew.settle():
                clock.ended(cell, result["cell_seconds"])
                done.append(result)
                print(told(result), flush=True)

        for cell in cells(where, who, asked.seeds):
            if not stands(cell, asked.out) and not clock.fits(cell):
                skipped += 1
                continue
            while len(crew.busy) >= asked.jobs:
                settle()
            crew.begin(cell, (where.index(cell.course), who.index(cell.entrant), cell.seed))
        while crew.busy:
            settle()
    return done, skipped


def told(result: dict[str, Any]) -> str:
    """Return a cell in a line."""
    head = f"{result['course']:20} {result['entrant']:14} seed {result['seed']}"
    if result["status"] != "played":
        return f"{head}  {result['status']}: {result['why']}"
    best = result["oracle_sharpe"]
    share = f", oracle {best:+.2f}" if best is not None and math.isfinite(best) else ""
    return f"{head}  Sharpe {result['sharpe']:+.2f}, anchor {result['anchor_sharpe']:+.2f}{share}, {result['cell_seconds']:.0f} s"


def main(words: Sequence[str]) -> int:
    """Play, build the board and write it."""
    asked = read(words)
    try:
        try:
            where, who = lineup(asked)
            check(where, who)
            check_places(asked, where)
        except (ValueError, WealthArenaError) as error:
            parser().error(str(error))
        played, skipped = run(asked, words)
    except (KeyboardInterrupt, Interrupted):
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    if not played:  # a board that is there stays
        print(
            f"nothing was played: the time was up before the first cell, --minutes {asked.minutes:g}; give more",
            file=sys.stderr,
        )
        return 1
    note = f"{skipped} cells have not been played: the time was up." if skipped else ""
    built = board.build(played, courses=where, entrants=who, note=note)
    asked.out.mkdir(parents=True, exist_ok=True)
    files.write_json(asked.out / "arena.json", files.jsonable(built))
    files.write_text(asked.out / "arena.html", page.render(built))
    print(page.markdown(built))
    if asked.docs is not None:
        head = asked.docs.read_text().split(page.MARK)[0]
        asked.docs.write_text(f"{head}{page.MARK}\n\n{page.markdown(built)}")
    print(f"{asked.out / 'arena.html'}")
    if all(cell["status"] != "played" for cell in played):
        print("nothing was played: each cell says why", file=sys.stderr)
        return 1
    return 0
