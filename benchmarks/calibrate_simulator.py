"""Estimate the simulator's parameters from a folder of real bars, and compare what it then makes with them.

    python benchmarks/calibrate_simulator.py FOLDER            # print parameters and moments, a class at a time
    python benchmarks/calibrate_simulator.py FOLDER --write    # and put the parameters into conf/data/simulator/

FOLDER holds daily Parquet files in long form, named as in CLASSES. Estimated are volatility, correlation, regimes, GARCH,
tails, jumps, the overnight share and volume. Not estimated is the drift: decades would be needed; it is set to a Sharpe
ratio of 0.3, and to 0 for currencies.
"""

from __future__ import annotations

import argparse
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from wealtharena.config import compose
from wealtharena.data import calendars
from wealtharena.data.providers.simulated import simulate_market

CLASSES = {  # class -> file, symbols that are taken (a regular expression)
    "stocks": ("stocks_asx_daily", r".*\.AX"),
    "etf": ("etf_daily", r"(?!.*\.AX)(?!TQQQ).*"),
    "commodities": ("commodities_daily", r".*=F"),
    "crypto": ("crypto_daily", r".*-USD"),
    "forex": ("forex_oanda_daily", r"...USD"),
}
ASSUMED_SHARPE = 0.3
TURBULENT_SHARE = 0.2
JUMP_SIGMAS = 5.0
CONF = Path(__file__).parents[1] / "conf" / "data" / "simulator"


@dataclass(frozen=True)
class Sample:
    """Aligned daily bars of one class, [T, A] each, NaN where there is none."""

    close: pd.DataFrame
    open: pd.DataFrame
    spread: pd.DataFrame  # log(high / low)
    volume: pd.DataFrame
    bars_per_year: float

    @property
    def returns(self) -> pd.DataFrame:
        return self.close.pct_change(fill_method=None)


def read(path: Path, pattern: str) -> Sample:
    """Return the sample of a file; bars with a non-positive price or without a range of their own day are left out."""
    frame = pd.read_parquet(path)
    frame = frame[frame["symbol"].str.fullmatch(pattern) & (frame[["open", "high", "low", "close"]] > 0).all(axis=1)]
    frame = frame[frame["timestamp"].dt.day_of_week != 6] if "forex" in path.name else frame
    table = frame.pivot(index="timestamp", columns="symbol")
    years = (table.index[-1] - table.index[0]) / pd.Timedelta(days=365.25)
    return Sample(
        close=table["close"],
        open=table["open"],
        spread=np.log(table["high"] / table["low"]),
        volume=table["volume"],
        bars_per_year=(len(table) - 1) / years,
    )


def calibrate(sample: Sample, *, has_volume: bool, market: str) -> dict[str, object]:
    """Return the parameters of SimulatorSpec that the sample tells."""
    returns = sample.returns
    volatility = returns.std() * np.sqrt(sample.bars_per_year)
    regimes = _regimes(returns)
    calm = returns / np.sqrt((returns**2).mean()) / regimes["level"].to_numpy()[:, None]
    garch, residuals = _garch(calm)
    jumps = np.abs(residuals) > JUMP_SIGMAS
    overnight = np.log(sample.open / sample.close.shift())
    intraday = np.log(sample.close / sample.close.shift())
    share = float(((overnight**2).median() / (intraday**2).median()).median())
    low, high = (float(np.quantile(volatility, q)) for q in (0.1, 0.9))
    return {
        "annual_volatility": [round(low, 3), round(high, 3)],
        "annual_drift": 0.0 if market == "forex" else round(ASSUMED_SHARPE * float(volatility.median()), 3),
        "correlation": round(float(_off_diagonal(returns.corr())), 3),
        "garch_alpha": round(garch[0], 3),
        "garch_beta": round(garch[1], 3),
        "tail_dof": round(_tail(residuals[~jumps]), 1),
        "jump_probability": round(float(jumps.mean()), 4),
        "jump_sigmas": round(float(np.median(np.abs(residuals[jumps]))) if jumps.any() else 0.0, 1),
        "regime_persistence": round(regimes["persistence"], 3),
        "regime_volatility_ratio": round(regimes["ratio"], 2),
        "turbulent_share": TURBULENT_SHARE,
        "overnight_share": round(min(share, 0.9), 3) if share > 0.01 else 0.0,
        "volume": _two_digits(float(np.exp(np.log(sample.volume.median().clip(lower=1)).mean()))) if has_volume else 0,
        "volume_elasticity": round(_elasticity(sample), 2) if has_volume else 0,
    }


def _regimes(returns: pd.DataFrame) -> dict[str, object]:
    """Return the two regimes of the market's smoothed volatility: the upper fifth of days, and the rest."""
    unit = returns / np.sqrt((returns**2).mean())
    power = (unit**2).clip(upper=25).mean(axis=1)
    smooth = power.rolling(21, center=True, min_periods=10).mean()
    turbulent = smooth > smooth.quantile(1 - TURBULENT_SHARE)
    runs = turbulent.groupby((turbulent != turbulent.shift()).cumsum()).sum()
    high, low = float(power[turbulent].mean()), float(power[~turbulent].mean())
    level = np.where(turbulent, np.sqrt(high), np.sqrt(low))
    return {
        "ratio": float(np.sqrt(high / low)),
        "persistence": float(1 - runs.sum() / (runs**2).sum()),  # by a turbulent day's own spell: short ones are noise
        "level": pd.Series(level, index=returns.index),
    }


def _garch(unit: pd.DataFrame) -> tuple[tuple[float, float], np.ndarray]:
    """Return the median (alpha, beta) of GARCH(1,1) fits with Student's t, and all standardised residuals."""
    from arch import arch_model

    alphas, betas, residuals = [], [], []
    for name in unit:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = arch_model(100 * unit[name].dropna().clip(-12, 12), mean="Zero", dist="t").fit(disp="off")
        alphas.append(fit.params["alpha[1]"])
        betas.append(fit.params["beta[1]"])
        residuals.append(np.asarray(fit.std_resid)[50:])
    alpha, beta = float(np.median(alphas)), float(np.median(betas))
    return (alpha, min(beta, 0.98 - alpha)), np.concatenate(residuals)


def _tail(residuals: np.ndarray) -> float:
    dof, _, _ = stats.t.fit(residuals, floc=0.0)
    return float(np.clip(dof, 2.5, 30))


def _elasticity(sample: Sample) -> float:
    """Return the slope of log volume on log range, both less their medians over 61 days, pooled."""
    volume = np.log(sample.volume.where(sample.volume > 0))
    spread = np.log(sample.spread.where(sample.spread > 0))
    x, y = (frame - frame.rolling(61, center=True, min_periods=30).median() for frame in (spread, volume))
    both = (x.notna() & y.notna()).to_numpy()
    return float(np.polyfit(x.to_numpy()[both], y.to_numpy()[both], 1)[0])


def _two_digits(value: float) -> int:
    return int(float(f"{value:.1e}"))


def _off_diagonal(matrix: pd.DataFrame) -> float:
    values = matrix.to_numpy()
    return float(np.nanmean(values[~np.eye(len(values), dtype=bool)]))


def moments(close: pd.DataFrame, spread: pd.DataFrame, bars_per_year: float) -> dict[str, float]:
    """Return what a simulator should get right: medians over symbols."""
    returns = close.pct_change(fill_method=None)
    unit = returns / returns.std()
    absolute = unit.abs()
    return {
        "annual volatility": float((returns.std() * np.sqrt(bars_per_year)).median()),
        "correlation": float(_off_diagonal(returns.corr())),
        "excess kurtosis": float(unit.kurt().median()),
        "beyond 4 sigma, %": float(100 * (absolute > 4).mean().median()),
        "autocorrelation |r|, 1": float(absolute.apply(lambda column: column.autocorr(1)).median()),
        "autocorrelation |r|, 20": float(absolute.apply(lambda column: column.autocorr(20)).median()),
        "autocorrelation r, 1": float(unit.apply(lambda column: column.autocorr(1)).median()),
        "range / |return|": float((spread.mean() / returns.abs().mean()).median()),
    }


def simulated_moments(market: str, found: dict[str, object], assets: int) -> dict[str, float]:
    """Return the moments of a long simulation with the parameters found."""
    spec = compose([f"asset={market}", "data=simulated"])
    simulator = spec.data.simulator.model_copy(update={**found, "annual_volatility": tuple(found["annual_volatility"])})
    times = calendars.last_bar_times(spec.asset.universe.calendar, "1d", 8000, simulator.end)
    made = simulate_market(tuple("ABCDEFGHIJKL"[:assets]), simulator, times=times, rng=np.random.default_rng(1))
    years = (times[-1] - times[0]) / pd.Timedelta(days=365.25)
    return moments(pd.DataFrame(made.close), pd.DataFrame(np.log(made.high / made.low)), len(times) / years)


def write(market: str, found: dict[str, object]) -> None:
    """Replace the values of the parameters found in conf/data/simulator/<class>.yaml; other lines stay as they are."""
    path = CONF / f"{market}.yaml"
    text = path.read_text()
    for name, value in found.items():
        text = re.sub(rf"(?m)^{name}:[^#\n]*", f"{name}: {value}", text)
    path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    for market, (file, pattern) in CLASSES.items():
        sample = read(arguments.folder / f"{file}.parquet", pattern)
        found = calibrate(sample, has_volume=market != "forex", market=market)
        first, last = sample.close.index[0], sample.close.index[-1]
        found["calibrated_on"] = f"{file}, {sample.close.shape[1]} symbols, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        print(f"\n{market}")
        for name, value in found.items():
            print(f"  {name}: {value}")
        real = moments(sample.close, sample.spread, sample.bars_per_year)
        made = simulated_moments(market, found, sample.close.shape[1])
        print(f"  {'':26}{'real':>10}{'simulated':>12}")
        for name in real:
            print(f"  {name:26}{real[name]:10.3f}{made[name]:12.3f}")
        if arguments.write:
            write(market, found)


if __name__ == "__main__":
    main()
