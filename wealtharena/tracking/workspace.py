"""The W&B workspace of the project: panels for training, validation, the active part, comparison and sweeps.

For people with an account: `python -m wealtharena.tracking.workspace --entity <you> --project wealtharena` after
`wandb login` and `pip install "wealtharena[workspace]"`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from wealtharena.errors import ConfigError

_TEST = ("test/sharpe", "test/total_return", "test/max_drawdown", "test/turnover")
_ACTIVE = (  # of agents that tilt: the agent less its anchor, a year
    ("annual_return", "Return less the anchor's"),
    ("information_ratio", "Information ratio"),
    ("active_share", "Active share"),
    ("costs", "Costs less the anchor's"),
    ("kept_share", "Lambda: how much of what was learned is kept"),
)
_BASELINES = ("buy_and_hold", "equal_weight", "momentum")


def build(*, entity: str, project: str) -> Any:
    """Return the workspace, not saved yet; raises ConfigError where the package for it is not installed."""
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError as error:
        raise ConfigError("wandb-workspaces is not installed", hint='pip install "wealtharena[workspace]"') from error

    def line(title: str, *metrics: str) -> Any:
        return panels.LinePlot(title=title, x="env_step", y=list(metrics))

    sections = [
        ws.Section(
            name="Training",
            is_open=True,
            panels=[
                line("Episode return", "episode_return"),
                line("Policy loss", "policy_loss"),
                line("Value loss", "value_loss"),
                line("Entropy", "entropy"),
                line("Steps a second", "env_steps_per_second"),
            ],
        ),
        ws.Section(
            name="Validation",
            is_open=True,
            panels=[
                line("Sharpe", "validation/sharpe"),
                line("Total return", "validation/total_return"),
                line("Drawdown", "validation/max_drawdown"),
                line("Turnover", "validation/turnover"),
            ],
        ),
        ws.Section(
            name="Active part",
            is_open=True,
            panels=[
                *(panels.BarPlot(title=words, metrics=[f"active/{key}"], groupby="asset") for key, words in _ACTIVE),
                line("Lambda, by validation", "validation/kept_share"),
                line("What was learned less its anchor, t by validation", "validation/learned_t"),
            ],
        ),
        ws.Section(
            name="Comparison",
            is_open=True,
            panels=[
                *(panels.BarPlot(title=name.removeprefix("test/"), metrics=[name], groupby="asset") for name in _TEST),
                panels.BarPlot(
                    title="Sharpe against baselines",
                    metrics=["test/sharpe", *(f"baseline/{b}/sharpe" for b in _BASELINES)],
                ),
            ],
        ),
        ws.Section(name="Sweeps", panels=_sweeps(panels)),
    ]
    return ws.Workspace(name="WealthArena", entity=entity, project=project, sections=sections)


def _sweeps(panels: Any) -> list[Any]:
    """Return what shows which settings a sweep's measure came from."""
    columns = [f"c::{key}" for key in ("algo.learning_rate", "algo.gamma", "model.name", "env.reward.name")]
    axes = [panels.ParallelCoordinatesPlotColumn(metric=name) for name in (*columns, "validation/sharpe")]
    return [
        panels.ParallelCoordinatesPlot(columns=axes),
        panels.ParameterImportancePlot(with_respect_to="validation/sharpe"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Create the workspace in the account that `wandb login` knows."""
    parser = argparse.ArgumentParser(prog="python -m wealtharena.tracking.workspace", description=main.__doc__)
    parser.add_argument("--entity", required=True, help="your W&B user or team")
    parser.add_argument("--project", default="wealtharena")
    asked = parser.parse_args(arguments)
    try:
        saved = build(entity=asked.entity, project=asked.project).save()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"{saved.url}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
