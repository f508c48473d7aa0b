"""task=report: a report of returns that were made elsewhere, beside baselines where prices are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena import files
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import cash
from wealtharena.data.reading.settled import Ledger
from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import ConfigError, DataError
from wealtharena.evaluation import backtest, chance, comparison, metrics, outside, shape
from wealtharena.evaluation.look import stream
from wealtharena.evaluation.splits import Segment
from wealtharena.features.computing import warmup_bars
from wealtharena.reporting import plots, report
from wealtharena.reporting.band import equity_band
from wealtharena.reporting.data import ReportData
from wealtharena.tasks import console
from wealtharena.tasks.pages import drawn
from wealtharena.tasks.pipeline import describe, notes, open_features
from wealtharena.tasks.record import RunContext, RunRecord, recorded

FloatArray = npt.NDArray[np.float64]
NOTE: Final = (
    "How these returns were made is not known here: whether costs are in them, whether anything looked ahead, and how many "
    "others were tried. So there is no verdict."
)
NO_PRICES: Final = "No baselines beside it: they take prices of the same time, as by data=yahoo asset=etf or data=files data.path=prices.csv."


def run(spec: ExperimentSpec) -> int:
    """Measure the returns of `returns`, compare them with baselines over `data`, and write run.json and a report."""
    if not (spec.returns or "").strip():
        raise ConfigError("task=report needs returns", hint="try returns=my.csv: a column of dates and one of returns")
    context = RunContext.current()
    ledger = Ledger(Path(str(spec.returns)).name)
    path = outside.read(
        Path(str(spec.returns)), spec.returns_unit, ledger
    )  # before a folder is made: a wrong file is a wrong command
    with recorded(spec, context) as record:
        dated = cash.rates(path.timestamps, spec.asset, spec.data)
        path = path if dated is None else replace(path, cash_rates=dated[0][:-1])
        risk_free = metrics.risk_free(outside.in_time(path), spec.asset.risk_free_per_year)
        baselines = played(spec, record, path, ledger, risk_free) if spec.data.source != "auto" else {}
        of_prices = record.content.get("notes") or ()
        record.update(**measured(spec, path, baselines, risk_free), status="completed")
        said = [*of_prices, *ledger.close().notes, *outside.holes(path), *([] if dated is None else [dated[1]])]
        record.update(notes=[*record.content["notes"], *said])
        data = ReportData(
            run=record.content,
            agent=path,
            baselines=tuple(baselines.values()),
            band=equity_band(path, rng=stream(spec.seed, "report")),
            notes=record.content["notes"],
            risk_free=risk_free,
            held=False,
        )
        report.write(context.folder / "report.html", data)
        drawn(context.folder, "the plots", lambda: plots.write(context.folder / "plots", data))
    show(record.content, context.folder)
    return 0


def played(
    spec: ExperimentSpec, record: RunRecord, path: Trajectory, ledger: Ledger, risk_free: FloatArray
) -> backtest.Baselines:
    """Return the baselines over the prices of the configuration's source, at the dates of the record.

    Raises:
        ConfigError: the prices are of another time.
        DataError: they do not cover the record once the first of them have warmed up the features.
    """
    features = open_features(spec)
    days = features.panel.timestamps
    start = max(int(np.searchsorted(days, path.timestamps[0], side="right")) - 1, spec.env.window - 1)
    stop = min(int(np.searchsorted(days, path.timestamps[-1], side="right")), features.bars)
    if stop - start < outside.LEAST + 1:
        raise ConfigError(
            f"the prices run from {str(days[0])[:10]} to {str(days[-1])[:10]}, the returns from "
            f"{str(path.timestamps[0])[:10]} to {str(path.timestamps[-1])[:10]}",
            hint="give prices of the same time, with the features' warm-up before it",
        )
    found = backtest.of_baselines(
        features,
        spec.env.model_copy(update={"action": "weights"}),
        Segment(start, stop),
        evaluation=spec.evaluation,
        rng=stream(spec.seed, "judgement"),
        benchmark=spec.asset.benchmark,
    )
    record.update(
        data=describe(features.panel, currency=spec.asset.account_currency), notes=list(notes(spec, features.panel))
    )
    earned = cash_beside(spec, path)
    try:
        beside = outside.beside(list(found.values()), path, ledger)
        draws = {name: tuple(outside.beside(each, path)) for name, each in found.draws.items()}
    except DataError as error:
        warm = warmup_bars(features.names) + spec.env.window - 1
        raise DataError(
            error.message, hint=f"{error.hint}; of prices the first {warm} bars warm up the features and count as none"
        ) from error
    paths = {one.name: earned if one.name == earned.name else one for one in beside}
    return replace(
        found,
        paths=paths | {name: chance.typical(each, risk_free=risk_free) for name, each in draws.items()},
        draws=draws,
    )


def cash_beside(spec: ExperimentSpec, record: Trajectory) -> Trajectory:
    """Return the baseline `cash` at the dates of a record, which earns in all the time that the record tells of, traded or not."""
    rate = spec.asset.costs.cash_number / 1e4 if record.cash_rates is None else record.cash_rates
    grown = np.cumprod(1.0 + metrics.cash_returns(outside.in_time(record).timestamps, rate))
    return replace(record, name="cash", equity=record.equity[0] * np.concatenate([[1.0], grown]))


def measured(
    spec: ExperimentSpec, path: Trajectory, baselines: Mapping[str, Trajectory], risk_free: FloatArray
) -> dict[str, Any]:
    """Return run.json's blocks of a record from outside."""

    def of(one: Trajectory, *, risk_free: FloatArray) -> dict[str, float]:
        return metrics.of_returns(one.returns, bars_per_year=one.bars_per_year, risk_free=risk_free)

    compared = comparison.compare_group(
        [path],
        baselines,
        rng=stream(spec.seed, "judgement"),
        draws=spec.evaluation.bootstrap_draws,
        risk_free=risk_free,
    )
    name = shape.benchmark_of(tuple(baselines), spec.evaluation.verdict.beats)
    first, last = (str(path.timestamps[at])[:10] for at in (0, -1))
    found: dict[str, Any] = files.jsonable(
        {
            "agent": path.name,
            "algo": "returns",
            "returns_of": Path(str(spec.returns)).name,
            "split": {"train": [], "validation": [], "test": [first, last]},
            "metrics": {"test": of(path, risk_free=risk_free)},
            "baselines": backtest.measures(baselines, risk_free=risk_free, of=of),
            "comparison": {key: value.to_json() for key, value in compared.items()},
            "shape": shape.to_json(
                path.returns,
                path.equity,
                path.timestamps,
                benchmark=(name, baselines[name].returns) if name is not None else None,
                bars_per_year=path.bars_per_year,
                risk_free=risk_free,
            ),
            "notes": [NOTE, f"{len(path.returns):,} returns, {path.bars_per_year:.0f} a year by their dates."],
        }
    )
    return found


def show(content: dict[str, Any], folder: Path) -> None:
    """Print the measures beside the baselines' and where the report is."""
    out = console.screen()
    out.print(console.comparison_table(content))
    for note in content["notes"]:
        out.print(f"- {note}", style="dim")
    if not content["baselines"]:
        out.print(f"- {NO_PRICES}", style="dim")
    console.report(folder)
