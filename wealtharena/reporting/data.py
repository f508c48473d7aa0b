"""What a report is made of: the record of a run and the paths behind its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wealtharena.envs.trajectory import Trajectory

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Band:
    """A range around the agent's equity, bar by bar."""

    lower: FloatArray  # [n + 1] account currency
    upper: FloatArray  # [n + 1]
    meaning: str  # what the reader is told it is, such as "95 % of 1,000 resampled paths"


@dataclass(frozen=True)
class StressRow:
    """The test backtest under one worse condition."""

    name: str  # as a person reads it: "2 times the costs", "March 2020"
    metrics: Mapping[str, float | None]  # names of run.json's metrics; what is missing shows as a dash
    baseline: Mapping[str, float | None] = field(default_factory=dict)  # the baseline's under the same condition
    note: str = ""  # why a row has no figures, such as "the window has no data there"


@dataclass(frozen=True)
class SeedRow:
    """The same configuration with another seed, or on another path of a combinatorial split."""

    seed: int
    metrics: Mapping[str, float | None]
    run_id: str = ""


@dataclass(frozen=True)
class AuditRow:
    """One check of the look-ahead audit."""

    name: str
    passed: bool | None  # None: not run
    detail: str = ""


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that the report shows; the task that ran builds it.

    `run` is the content of run.json and the source of every key figure; the paths only draw. `agent` and `baselines`
    are the test backtests over the same bars, baselines in the order in which they are to be shown. All fields but
    `run` may be left out: their sections are then left out too.
    """

    run: Mapping[str, Any]
    agent: Trajectory | None = None
    baselines: Sequence[Trajectory] = ()
    band: Band | None = None
    journal: Sequence[Mapping[str, Any]] = ()  # lines of metrics.jsonl
    stress: Sequence[StressRow] = ()
    seeds: Sequence[SeedRow] = ()
    several: Literal["seed", "path"] = "seed"  # what the rows of `seeds` differ in
    audit: Sequence[AuditRow] = ()
    elsewhere: int = 0  # further test windows of the agent, of other dates or symbols, that the ledger has
    test_openings: int | None = None  # looks at this test window by the ledger, this one included
    configurations_tried: int | None = None  # distinct configurations that were tried on it
    results_beside: int = 0  # runs that were left out, and seeds that only others showed, which count as tried too
    notes: Sequence[str] = ()  # survivorship, unadjusted rolls, missing dividends, ...
    window: Literal["test", "validation"] = "test"  # what the paths and the first screen's figures are of
    beside: str = "buy_and_hold"  # the baseline of the stress table
    config: str = ""  # the composed configuration as YAML
    currency: str = ""  # of the account
    held: bool = True  # whether positions, orders and costs are known; False: returns alone
    risk_free: float | FloatArray = 0.0  # a bar, or of each bar; for the rolling Sharpe ratio
    places: Mapping[str, str] = field(default_factory=dict)  # block of `run` -> where the file has it, if elsewhere
    definitions: Mapping[str, str] = field(default_factory=dict)  # measure -> formula, beside the built-in ones
