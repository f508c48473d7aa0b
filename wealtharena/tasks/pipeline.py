"""From a spec to sealed data: what training, search, backtest and audit have in common."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from wealtharena import data, features
from wealtharena.config import config_hash
from wealtharena.config.composition import chosen_on, members_of
from wealtharena.config.specs.asset import LITTLE, AssetSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import macro
from wealtharena.data.panel import Panel
from wealtharena.data.quality import left_in
from wealtharena.envs import baselines
from wealtharena.envs.market import bars_without_price, resolve_fill
from wealtharena.errors import DataError
from wealtharena.evaluation import firewall
from wealtharena.evaluation.audit import AuditReport, require_bars
from wealtharena.evaluation.splits import Fold, Windows, make_folds
from wealtharena.evaluation.strictness import kept_faults, kinder_market, looser_leak_test
from wealtharena.features.computing import warmup_bars
from wealtharena.features.panel import FeaturePanel
from wealtharena.shown import some

log = logging.getLogger(__name__)

# Currencies whose interest was mostly within a few per cent of each other since the euro, and what pays none. A peg is not here:
# it moves by less than its carry.
_NEAR: Final = frozenset({"USD", "EUR", "JPY", "GBP", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "SGD", "XAU", "XAG",
                         "XPT", "XPD"})  # fmt: skip
_NAMED: Final = 5  # symbols
_STILL: Final = 0.01  # volatility a year below which a symbol is held for its interest
_INTEREST: Final = 0.01  # a year, more than cash earns
_FEW_BARS: Final = 60  # of a training, or of its validation: a quarter of daily ones


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data behind the firewall, and what may be said about it."""

    sealed: firewall.SealedPanel
    about: Mapping[str, Any]  # run.json's `data`
    fill: str  # next_open or next_close
    notes: tuple[str, ...]
    repeat: str  # overrides that ask for the same source again
    uncharged: str | None = None  # what holding costs, or cash earns, and nobody charged, in words
    faults: tuple[str, ...] = ()  # what is wrong with the bars and was left in, in words

    @property
    def folds(self) -> tuple[Fold, ...]:
        return self.sealed.folds

    @property
    def windows(self) -> Windows:
        """Return when its bars are trained on, chosen by and tested on."""
        return Windows(self.sealed.folds, self.sealed.timestamps)


def open_features(spec: ExperimentSpec) -> FeaturePanel:
    """Return the features of the whole history that the spec asks for; raises DataError where it is too short."""
    computed = features.load(spec.asset, spec.data, spec.features, seed=spec.seed)
    if computed.bars < 2:
        raise DataError(
            f"{spec.asset.name}: behind the {computed.warmup_bars} bars that the slowest feature needs {computed.bars} is left",
            hint="take a longer history (data.start, data.end) or fewer slow features",
        )
    return computed


def prepare(spec: ExperimentSpec, *, windows: Windows | None = None) -> Prepared:
    """Load, compute features, cut into folds and seal; nothing that is returned shows a test row.

    `windows` are those of another configuration that this one is compared with; without them `split` cuts.
    """
    return sealed_off(spec, open_features(spec), windows=windows)


def split_of(prepared: Prepared) -> dict[str, Any]:
    """Return run.json's `split`: first and last dates of the last fold's training and validation, and of all tests."""
    sealed, last = prepared.sealed, prepared.folds[-1]
    return {
        "train": list(sealed.dates(last.train)[0]) if len(last.train) == 1 else sealed.dates(last.train),
        "validation": list(sealed.dates((last.validation,))[0]),
        "test": [sealed.dates(prepared.folds[0].test)[0][0], sealed.dates(last.test)[-1][1]],
    }


def require_audit(spec: ExperimentSpec, prepared: Prepared) -> None:
    """Raise DataError where what a training may see is too short to be audited, or to be played, before anything is trained on it."""
    require_bars(prepared.sealed.training(0).features.with_lead(), spec.features, spec.env)
    longest = min(max(segment.bars for segment in fold.train) for fold in prepared.folds)
    if longest <= spec.env.window:
        raise DataError(
            f"{longest} bars to train on leave no step for env.window={spec.env.window}",
            hint="widen data.start and data.end, or take a smaller env.window or split.test_share",
        )


def sealed_off(spec: ExperimentSpec, computed: FeaturePanel, *, windows: Windows | None = None) -> Prepared:
    """Return features at hand behind the wall; let go of your own references to them afterwards."""
    panel = computed.panel
    for asked, name in _baselines_asked_for(spec):
        baselines.require(name, panel, benchmark=spec.asset.benchmark, asked=f"{asked}={name}")
    folds = make_folds(spec.split, computed.bars) if windows is None else windows.among(panel.timestamps)
    fill = resolve_fill(spec.env.fill, panel)
    return Prepared(
        sealed=firewall.seal(computed, folds),
        about={
            **describe(panel, currency=spec.asset.account_currency),
            "fill": fill,  # here too, where a version of the registry takes it along and a pin holds it
            "costs": spec.env.costs.model_dump(mode="json"),
        },
        fill=fill,
        notes=(
            *notes(spec, panel),
            *untrained(panel, folds),
            *short(folds),
            *looks_back(spec, computed.names),
            *searched(spec, computed, folds),
        ),
        repeat=data.repeat_overrides(panel, spec.data),
        uncharged=uncharged(spec.asset, panel) or unlimited(spec, panel) or like_cash(spec.asset, panel, folds),
        faults=() if panel.simulated else kept_faults(spec.data.quality, left_in(panel.notes)),
    )


def _baselines_asked_for(spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    """Yield key and name of each baseline without which there is nothing to do; `evaluation.baselines` are played where they can be."""
    for name in spec.evaluation.verdict.beats:
        yield "evaluation.verdict.beats", name
    if spec.task == "train" and (record := spec.algo.recorded()) is not None:
        yield "algo.record", record
    if spec.task == "backtest" and spec.backtest.baseline is not None:
        yield "backtest.baseline", spec.backtest.baseline


def identity(spec: ExperimentSpec, prepared: Prepared) -> str:
    """Return the configuration's hash with the end that `today` came to.

    So the command that repeats a run is the same configuration as the one that was typed, and no further trial.
    """
    found = {"end": dt.date.fromisoformat(prepared.about["end"])}
    return config_hash(spec.model_copy(update={"data": spec.data.model_copy(update=found)}))


def describe(panel: Panel, *, currency: str) -> dict[str, Any]:
    """Return run.json's `data` block: what was traded, where it came from, and the money that equity is counted in."""
    days = panel.timestamps.astype("datetime64[D]").astype(str)
    return {
        "source": panel.source,
        "simulated": panel.simulated,
        "fingerprint": panel.fingerprint,
        "symbols": list(panel.symbols),
        "start": str(days[0]),
        "end": str(days[-1]),
        "bars": panel.bars,
        "frequency": panel.frequency,
        "currency": currency,
        "leaks": list(panel.leaks),
        "survivors": panel.survivors,
    }


def doubts(
    spec: ExperimentSpec, prepared: Prepared, *, first_row: int, audit: AuditReport | None = None
) -> dict[str, Any]:
    """Return what speaks against believing a judgement of the rows from `first_row` on, as fields of `Facts`."""
    about = prepared.about
    begins = str(prepared.sealed.timestamps[first_row])[:10]
    vintages = macro.by_vintages(spec.data.macro.series, prepared.notes)
    looser = () if about["simulated"] else looser_leak_test(spec.data, vintages=vintages)
    return {
        "leaks": (*looser, *about["leaks"], *(audit.suspicions if audit else ())),
        "hindsight": None if about["simulated"] else hindsight(spec.asset, about["symbols"], begins),
        "survivors": about["survivors"],
        "uncharged": prepared.uncharged,
        "faults": prepared.faults,
        "searched": None if about["simulated"] else spec.zoo.seen_into(dt.date.fromisoformat(begins)),
    }


def hindsight(asset: AssetSpec, symbols: Sequence[str], begins: str) -> str | None:
    """Return how the symbols were chosen where that was after `begins` (a date) or is not known, else None.

    Currencies and futures are exempt: their lists are short and old, and a member does not vanish by losing.
    """
    if asset.market in ("forex", "commodities"):
        return None
    others = sorted(set(symbols) - set(members_of(asset.universe)))
    if others:
        return f"{others[0]} is no member of universe {asset.universe.name}, and nothing says when it was chosen"
    chosen = chosen_on(asset.universe)
    if chosen <= begins:
        return None
    return f"its members are those of {chosen}, the window begins on {begins}"


def uncharged(asset: AssetSpec, panel: Panel) -> str | None:
    """Return, in words, what holding costs and nobody charged, where that may be all of a result; None where nothing is known of.

    The interest of a currency that inflates makes its drift: who sells it earns what he would have to pay. A share falls by
    its dividend, which who is short of it owes.
    """
    if panel.simulated:
        return None
    # whatever `carry_bps_per_year` says: one number for all pairs and years is none of theirs
    if asset.market == "forex":
        far = [symbol for symbol in panel.symbols if not {symbol[:3], symbol[3:]} <= _NEAR]
        if far:
            return (
                f"No carry of their own is charged, and of {some(far, _NAMED)} it may be all that is earned: interest there is far from that of"
                " other currencies, or they are pegged (leave such pairs out, as universe=fx_majors does)"
            )
    if not asset.limits.long_only and _lacks_dividends(asset, panel):
        return "The source has no dividends, and who is short of shares owes them (asset.limits.long_only=false)"
    return None


def unlimited(spec: ExperimentSpec, panel: Panel) -> str | None:
    """Return, in words, that a volume which may be there was left out, without which no order is too large; None where none was.

    Of currencies nobody knows one, and none is asked for.
    """
    if panel.simulated or spec.asset.market == "forex" or spec.data.volume_unit != "none" or not panel.volume_left_out:
        return None
    return (
        "Volume is left out (data.volume_unit=none), so that no order is too large, none is cut and none moves a price"
    )


def like_cash(asset: AssetSpec, panel: Panel, folds: Sequence[Fold]) -> str | None:
    """Return, in words, which symbol earns over the tests what cash should and does not; None where none does.

    Bills are held for their interest. Where cash earns nothing, that is a return without risk, and a Sharpe ratio of any size.
    """
    if panel.simulated or panel.cash is not None or asset.instrument.margin_futures:
        return None
    tests = [segment for fold in folds for segment in fold.test]
    rows = slice(min(segment.start for segment in tests), max(segment.stop for segment in tests))
    value, paid = panel.close[rows] * panel.to_account[rows], panel.dividends[rows] * panel.to_account[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = (value[1:] + paid[1:]) / value[:-1] - 1.0
    for symbol, own in zip(panel.symbols, returns.T, strict=True):
        known = own[np.isfinite(own)]
        if known.size < _FEW_BARS or known.std() * panel.bars_per_year**0.5 >= _STILL:
            continue
        more = float(known.mean()) * panel.bars_per_year - asset.costs.cash_number / 1e4
        if more > _INTEREST:
            return (
                f"{symbol} hardly moves and earned {more:.1%} a year more than cash does here, so that interest counts as skill"
                " (set asset.costs.cash_bps_per_year, to a dated rate such as DFF)"
            )
    return None


def _lacks_dividends(asset: AssetSpec, panel: Panel) -> bool:
    there = panel.has_dividends or panel.dividends_in_prices or panel.simulated
    return asset.market in ("stocks", "etf") and not there


def untrained(panel: Panel, folds: Sequence[Fold]) -> tuple[str, ...]:
    """Return a note on symbols that have bars in a test window and none in the training before it."""
    there = np.isfinite(panel.close)
    missing: set[str] = set()
    for fold in folds:
        seen, asked = (
            np.any([there[piece.start : piece.stop].any(axis=0) for piece in pieces], axis=0)
            for pieces in (fold.train, fold.test)
        )
        missing |= {symbol for symbol, unseen in zip(panel.symbols, asked & ~seen, strict=True) if unseen}
    listed = ", ".join(symbol for symbol in panel.symbols if symbol in missing)
    return (f"The agent was never trained on {listed}: no bar of it lies in the training window.",) if missing else ()


def short(folds: Sequence[Fold]) -> tuple[str, ...]:
    """Return a note on the fewest bars of all folds to train on and to choose by, where they are next to none."""
    train = min(sum(segment.bars for segment in fold.train) for fold in folds)
    validation = min(fold.validation.bars for fold in folds)
    few = ((train, "train on", "is learned"), (validation, "choose a checkpoint by", "is chosen"))
    return tuple(
        f"Only {bars} bars to {what}: what {so} from so few is chance; a longer history (data.start) or another `split` has more."
        for bars, what, so in few
        if bars < _FEW_BARS
    )


def looks_back(spec: ExperimentSpec, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note where features of training rows behind a test window still look into it."""
    split, longest = spec.split, warmup_bars(names)
    if split.name != "cpcv" or split.purge_bars + split.embargo_bars >= longest:
        return ()
    return (
        f"Features look back up to {longest} bars, split.embargo_bars={split.embargo_bars} takes out fewer: those of training rows"
        f" behind a test window still hold what happened in it. Set split.embargo_bars={longest}.",
    )


def searched(spec: ExperimentSpec, computed: FeaturePanel, folds: Sequence[Fold]) -> tuple[str, ...]:
    """Return what is to be said of settings that a search has found; nothing where there are none."""
    first = min(segment.start for fold in folds for segment in fold.test)
    begins = computed.panel.timestamps[first].astype("datetime64[D]").astype(dt.date)
    said = spec.zoo.words(None if computed.panel.simulated else begins)
    return (said,) if said else ()


def notes(spec: ExperimentSpec, panel: Panel) -> tuple[str, ...]:
    """Return what a reader must be told about the data before believing a figure."""
    found = [*panel.notes]
    if _lacks_dividends(spec.asset, panel):
        found.append("The source has no dividends: returns of shares and funds are understated, the benchmark's too.")
    if spec.asset.instrument.rolls == "unadjusted" and not panel.simulated:
        found.append(
            "Futures rolls are not adjusted: the gap at each roll is counted as a gain or loss that nobody could have had."
        )
    rolls = spec.asset.instrument.rolls
    if spec.asset.market == "commodities" and rolls != "unadjusted" and not panel.simulated:
        found.append(
            f"That no price jumps at a roll is what asset.instrument.rolls={rolls} says: nothing has checked it."
        )
    if said := struck_off_and_back(spec, panel):
        found.append(said)
    if said := too_small(spec, len(panel.symbols)):
        found.append(said)
    if spec.asset.costs.trades_for_nothing:
        found.append(f"Orders cost next to nothing here: {LITTLE} (asset.costs). No account trades so.")
    if kinder := kinder_market(spec.asset):
        found.append(kinder)
    wanted, symbol = "benchmark" in spec.evaluation.baselines, spec.asset.benchmark
    if wanted and symbol is not None and symbol not in panel.symbols:
        found.append(
            f"There is no line of the benchmark: no bars of {symbol} are among these symbols (asset.benchmark names one of them)."
        )
    if spec.asset.risk_free_per_year == 0.0 and panel.cash is None:
        found.append(
            "Cash is assumed to earn 0 %: ratios are of whole returns, no interest is taken off (asset.costs.cash_bps_per_year)."
        )
    return tuple(dict.fromkeys(found))


def too_small(spec: ExperimentSpec, symbols: int) -> str:
    """Return what is to be said where `env.min_trade_weight` is more than orders of tilts usually are; "" where it is not.

    An order goes a part of the way, so that of an equal share no more than that part is ever asked for at once.
    """
    tilt, least = spec.env.tilt, spec.env.min_trade_weight
    if tilt is None or least <= (order := tilt.rate * (1.0 - tilt.band) * tilt.equal_share(symbols)):
        return ""
    return (
        f"env.min_trade_weight={least:g} is more than the {order:.2g} that an order from nothing to an equal share of {symbols} symbols"
        f" asks for (env.trade_rate={tilt.rate:g} of the way): the agent and its anchor hardly ever trade. Take less, or env.trade_rate=1."
    )


def struck_off_and_back(spec: ExperimentSpec, panel: Panel) -> str:
    """Return what is to be said of symbols that are struck off though they are priced again later; "" where none is.

    So is a share among those of other exchanges whose bars go on through its own exchange's holiday, or night.
    """
    limits, present = spec.asset.limits, np.isfinite(panel.close)
    listed = np.logical_or.accumulate(present, axis=0)
    later = np.logical_or.accumulate(present[::-1], axis=0)[::-1]
    rests = np.where(listed & later, bars_without_price(present), 0)
    off = rests == limits.delisting_bars
    if not off.any():
        return ""
    names = [name for name, times in zip(panel.symbols, off.any(axis=0), strict=True) if times]
    shown = f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
    first = str(panel.timestamps[off.any(axis=1).argmax()])[:10]
    often = "once, on" if off.sum() == 1 else f"{int(off.sum())} times, first on"
    return (
        f"{shown}: struck off {often} {first}, after {limits.delisting_bars} bars without a price, and"
        f" priced again later: what is held is closed {limits.delisting_haircut:.0%} below its last price each time. Where its"
        f" exchange only rested, set asset.limits.delisting_bars={int(rests.max()) + 1} or more."
    )
