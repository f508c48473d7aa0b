"""Time of a report by length of the record: band, report.html and plots/*.png of seeded random walks.

python benchmarks/report.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.reporting.made_up import report_data
from wealtharena.reporting import plots, report
from wealtharena.reporting.band import equity_band

RECORDS = (("daily, 1 year", 252, "D"), ("daily, 10 years", 2520, "D"), ("hourly, 2 years", 17_520, "h"))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    print(f"{'record':<18}{'band s':>9}{'html s':>9}{'png s':>9}{'total s':>9}{'html kB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        for name, bars, unit in RECORDS:
            data = report_data(bars=bars, unit=unit)
            assert data.agent is not None
            agent = data.agent
            band = seconds(lambda agent=agent: equity_band(agent, rng=np.random.default_rng(0)))
            html = seconds(lambda data=data: report.write(page, data))
            png = seconds(lambda data=data: plots.write(Path(folder, "plots"), data))
            size = page.stat().st_size / 1000
            print(f"{name:<18}{band:>9.2f}{html:>9.2f}{png:>9.2f}{band + html + png:>9.2f}{size:>9.0f}")


if __name__ == "__main__":
    main()
