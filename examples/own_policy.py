"""A rule of ten lines, judged like an agent: baselines, intervals, costs, stress and verdict.

python examples/own_policy.py
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wealtharena import Study

SETTINGS = (
    "asset=forex", "env.action=weights", "data=ecb", "data.start=2012-01-01", "evaluation.bootstrap_draws=2000",
)  # fmt: skip


class Reversal:
    """Leans against what moved over the last twenty bars; sees what every agent sees."""

    name = "reversal"

    def __init__(self, study: Study) -> None:
        symbols, names = study.view.features.panel.symbols, study.view.features.names
        self.symbols, self.columns = len(symbols), len(names)
        self.place = names.index("log_return_20")

    def reset(self, batch: int = 1) -> None:
        """Forget nothing: the rule has no memory."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return target weights [N, A]; observations [N, D] begin with the scaled features, symbol by symbol."""
        seen = observation[:, : self.symbols * self.columns].reshape(-1, self.symbols, self.columns)
        against = -seen[:, :, self.place].astype(np.float64)
        return against / np.maximum(np.abs(against).sum(axis=1, keepdims=True), 1e-9)


def main() -> None:
    study = Study.of(None, *SETTINGS)
    rule = Reversal(study)
    print("validation, growth:", round(study.backtest(rule).equity[-1] / study.spec.env.initial_cash, 4))
    found = study.judge(rule, tried=1)  # opens the test window; say so if this is your tenth rule
    print("test, Sharpe ratio:", round(found.metrics["sharpe"], 2), "verdict:", found.verdict.status)
    for reason in found.verdict.reasons[:3]:
        print("-", reason)
    print(study.report(found, "outputs/own_policy/report.html"))


if __name__ == "__main__":
    main()
