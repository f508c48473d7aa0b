"""task=compare: finished runs in one order, seeds judged together, with verdicts; also what a multirun ends with."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.table import Table
from rich.text import Text

from wealtharena import files
from wealtharena.config import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.runs import EvaluationSpec
from wealtharena.config.spelling import quoted
from wealtharena.errors import ConfigError
from wealtharena.evaluation import leaderboard, records
from wealtharena.evaluation.ledger import Ledger
from wealtharena.evaluation.look import stream
from wealtharena.evaluation.ranking import composite
from wealtharena.evaluation.verdict import ORDER, shown
from wealtharena.files import relative
from wealtharena.registry.checkpoints import ModelCheckpoint
from wealtharena.registry.names import agents_by_asset
from wealtharena.reporting import leaderboard as page
from wealtharena.tasks import closed, train
from wealtharena.tasks.console import STYLE, screen, simulated
from wealtharena.tasks.endorse import SUFFIX, endorse
from wealtharena.tasks.pages import drawn
from wealtharena.tasks.record import RunContext, recorded
from wealtharena.terminal import figure, styled

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)
BOARD = "leaderboard.json"
RUN_PLACES = (Path("outputs"), Path("multirun"))  # where conf/config.yaml puts run directories
WIDTH = 140  # of the table where no terminal says how wide it is
REPORT = Path("master_comparison", "comparison_report.json")
_JUDGED = {"apart": " (each run by itself)"}
_SHOWN = (("annual_return", "+.1%"), ("sharpe", "+.2f"), ("max_drawdown", ".1%"), ("win_rate", ".1%"))


def run(spec: ExperimentSpec) -> int:
    """Rank the runs that `compare.runs` names, or the registry's checkpoints; return 1 where none has a result.

    Writes leaderboard.json and leaderboard.html into the job's run directory and, from two agents on,
    `results/master_comparison/comparison_report.json`.
    """
    context = RunContext.current()
    with recorded(spec, context) as record:
        places = spec.compare.runs
        runs = records.find(places) if places else from_registry(Path(spec.paths.checkpoints))
        if spec.compare.open:
            closed.record_trials(Ledger(spec.paths.ledger), runs)
            for found in runs:
                open_window(found)
            runs = records.find(places) if places else runs
        board = write(context.folder, runs, spec=spec)
        record.update(status="completed", compare={"runs": len(runs), "leaderboard": BOARD})
    return 0 if any(row["status"] in ("completed", closed.CLOSED) for row in board["rows"]) else 1


def open_window(run: records.RunResult) -> None:
    """Open the test window of a run that was trained with it closed; any other run is left as it is."""
    if run.status != closed.CLOSED:
        return
    written = OmegaConf.load(run.folder / ".hydra" / "overrides.yaml")
    typed = [item for item in map(str, written) if not item.startswith(("train.test=", "resume="))]
    folder = run.folder.resolve()
    overrides = (*typed, "train.test=true", f"resume={quoted(folder)}")
    spec, context = compose(overrides), RunContext(folder, overrides, resumed=True)
    if spec.sweep.name == "none":
        train.run_in(context, spec)
        return
    from wealtharena.tasks import sweep  # Tune and Optuna, which no other comparison needs

    sweep.run_in(context, spec, overrides)


def write(folder: Path, runs: Sequence[records.RunResult], *, spec: ExperimentSpec) -> dict[str, Any]:
    """Write leaderboard.json and .html of `runs` into `folder`, print the table and return the leaderboard.

    Where runs are closed and none was opened they are ranked only, and count as trials from then on. A promotable group's middle
    checkpoint enters the registry once more, under the group's verdict.
    """
    ledger = Ledger(spec.paths.ledger)
    if closed.is_choice(runs):
        closed.record_trials(ledger, runs)
        ranked = [run for run in runs if run.status == closed.CLOSED]
        return closed.ranking(folder, ranked, others=[run for run in runs if run not in ranked])
    board = build(runs, evaluation=spec.evaluation, ledger=ledger, seed=spec.seed)
    files.write_json(folder / BOARD, board)
    folders = {(run.run_id, seed, run.status): run.folder for run in runs for seed in (None, run.seed)}
    reports = {run: place / "report.html" for run, place in folders.items()}
    made = drawn(folder, "the leaderboard", lambda: [page.write(folder / "leaderboard.html", board, reports=reports)])
    out, told = screen(), screen(answer=True)
    if not out.is_terminal:
        out.width = WIDTH
    out.print(table(board))
    if board["unlike"]:
        out.print(page.unlike_contests(board["unlike"]))
    for row in board["rows"]:
        if row["status"] != "completed":
            continue
        told.print(title(row).append(f": {row['verdict']['status']}"))
        out.print(f"  {about(row, folders)}", style="dim")
        for reason in shown(row["verdict"], 4):
            out.print(f"  - {reason}", style="dim")
        endorsed = endorse(ModelCheckpoint(spec.paths.checkpoints), row)
        if endorsed is not None:
            out.print(f"  registered with this verdict: {endorsed}")
    if any(row["simulated"] and row["status"] == "completed" for row in board["rows"]):
        out.print(simulated("rows marked so say nothing about a real market."))
    report = comparison_report(board)
    if len(report["agents"]) > 1:
        place = Path(spec.paths.results) / REPORT
        files.write_json(place, report)
        out.print(f"Comparison of the agents: {relative(place)}")
    told.print(f"Leaderboard: {relative(made[0] if made else folder / BOARD)}")
    return board


def build(
    runs: Sequence[records.RunResult], *, evaluation: EvaluationSpec, ledger: Ledger | None, seed: int
) -> dict[str, Any]:
    """Return the leaderboard of `runs`, the same for the same seed."""
    board = leaderboard.build(runs, evaluation=evaluation, ledger=ledger, rng=stream(seed, "leaderboard"))
    rules = evaluation.verdict
    return board | {
        "judged_by": {
            "draws": evaluation.bootstrap_draws,
            "confidence": rules.confidence,
            "beats": list(rules.beats),
            "seed": seed,
        }
    }


def from_registry(root: Path) -> tuple[records.RunResult, ...]:
    """Return the runs of the registry's checkpoints, oldest first; raises ConfigError where there are none.

    A run whose directory is still below one of `RUN_PLACES` is read from there, paths and all, so that it is judged exactly as the
    multirun that made it judged it; of others the registry knows what they said of themselves. A group's own version is
    no run.
    """
    found: list[records.RunResult] = []
    known = records.by_id(RUN_PLACES)
    store = ModelCheckpoint(root)
    folders = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    for agent in sorted(name for name in folders if not name.startswith(".")):
        for listed in reversed(store.list_checkpoints(agent)):
            folder = Path(str(listed["model_path"]))
            if folder.name.endswith(SUFFIX):
                continue
            if folder.name in known:
                found.append(known[folder.name])
                continue
            if "error" in listed:
                content: dict[str, Any] = {"status": "failed", "agent": agent, "error": {"message": listed["error"]}}
            else:
                content = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
                content |= {"status": "completed", "run_id": content["version"], "started_at": content["created_at"]}
            found.append(records.RunResult(folder, content))
    if not found:
        raise ConfigError(
            "compare.runs is empty and the registry has no checkpoints",
            hint="name run directories or a multirun folder: compare.runs=[outputs/<date>]",
        )
    return tuple(found)


def comparison_report(board: Mapping[str, Any]) -> dict[str, Any]:
    """Return one line an agent, ranked among themselves, and which of the configured agents have none.

    Of several configurations of one agent the line is one on real data, then a training's rather than a backtest's, then
    the one with the best verdict, then with the most seeds, then the newest: never the one with the best test result, which would be chosen by luck.
    """
    chosen: dict[str, Mapping[str, Any]] = {}
    for row in sorted((r for r in board["rows"] if r["status"] == "completed"), key=_standing):
        chosen[row["agent"]] = row
    ranked = composite({agent: row["metrics"] for agent, row in chosen.items()})
    agents = {
        place.name: {
            **chosen[place.name],
            "composite": place.composite,
            "rank": place.place,
            "ranks": dict(place.ranks),
        }
        for place in ranked
    }
    failed = [row for row in board["rows"] if row["status"] != "completed" and row["agent"] not in chosen]
    report: dict[str, Any] = files.jsonable(
        {
            "schema_version": leaderboard.SCHEMA_VERSION,
            "generated_at": board["generated_at"],
            "weights": board["weights"],
            "unlike": leaderboard.unlike(list(chosen.values())),
            "ranking": [place.name for place in ranked],
            "agents": agents,
            "failed": failed,
            "missing": sorted(set(agents_by_asset().values()) - set(chosen)),
        }
    )
    return report


def _standing(row: Mapping[str, Any]) -> tuple[bool, bool, int, int, str]:
    return (
        not row["simulated"],
        row.get("played") is None,
        -ORDER.index(row["verdict"]["status"]),
        len(row["seeds"]),
        max(row["run_ids"], default=""),
    )


def table(board: Mapping[str, Any]) -> Table:
    """Return the leaderboard for the terminal."""
    found = Table(title=title_of(board), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for heading in ("#", "agent", "algo", "seeds", "composite"):
        found.add_column(heading, justify="left" if heading in ("agent", "algo") else "right")
    for name, _ in _SHOWN:
        found.add_column(name.replace("_", " "), justify="right")
    found.add_column("Sharpe, 95 % over bars and seeds", justify="right")
    found.add_column("verdict")
    for row in board["rows"]:
        found.add_row(*_cells(row))
    return found


def title_of(board: Mapping[str, Any]) -> str:
    """Return the table's title: by which rules it was judged, so that two tables that differ say in what."""
    rules = board.get("judged_by") or {}
    if not rules:
        return "Leaderboard"
    rivals = ", ".join(rules["beats"])
    return f"Leaderboard: {rules['draws']:,} draws, {rules['confidence']:.0%} against {rivals}, seed {rules['seed']}"


def _cells(row: Mapping[str, Any]) -> Iterable[str | Text]:
    apart = " ".join(map(str, row.get("settings") or ()))
    who = (title(row), Text.assemble(algorithm(row), ("\n" + apart if apart else "", "dim")))
    if row["status"] != "completed":
        why = str((row.get("error") or {}).get("message") or "")
        return [
            "-",
            *who,
            str(len(row["seeds"])),
            "-",
            *("-" for _ in _SHOWN),
            "-",
            styled("[red]{}[/] {}", row["status"], why[:80]),
        ]
    status, bounds = row["verdict"]["status"], row["intervals"]["sharpe"]
    return [
        str(row["rank"]),
        *who,
        str(len(row["seeds"])),
        figure(row["composite"], ".2f"),
        *(figure(row["metrics"].get(name), form) for name, form in _SHOWN),
        "-" if None in bounds else " to ".join(figure(bound, "+.2f") for bound in bounds),
        Text.assemble((status, STYLE[status]), (_JUDGED.get(str(row.get("judged")), ""), "dim")),
    ]


def about(row: Mapping[str, Any], folders: Mapping[page.Run, Path]) -> str:
    """Return which runs a row is of and over which dates, so that it is told from another of its agent."""
    dates = f"{' to '.join(row['window'])}, " if row.get("window") else ""
    return f"#{row['rank']}: {dates}{', '.join(relative(folders[run]) for run in page.runs_of(row))}"


def algorithm(row: Mapping[str, Any]) -> str:
    """Return a row's algorithm, and of a backtest what was played."""
    played = row.get("played")
    return str(row.get("algo") or "-") + (f" (backtest: {played})" if played else "")


def title(row: Mapping[str, Any]) -> Text:
    """Return an agent's name, marked where its data was simulated."""
    marked = row["simulated"] and row["status"] == "completed"
    return styled("{} [bold red](SIMULATED)[/]", row["agent"]) if marked else styled("{}", row["agent"])
