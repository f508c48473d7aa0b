"""The torch account against the kernel: the same money, and a gradient that the kernel's differences confirm."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.envs.markets import EVERY_COST, market_of, random_panel, random_targets, spec_of
from wealtharena.agents.direct.account import Bar, Path, Tape, Terms, opened, scan
from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.envs.rules import rules_of
from wealtharena.envs.simulate import equity_paths, simulate

NEVER = 10_000  # bars without a price before a symbol is struck off


def a_spec(**changes: object) -> EnvSpec:
    limits = {"delisting_bars": NEVER, **changes.pop("limits", {})}
    return spec_of(**{"costs": EVERY_COST, "limits": limits, **changes})


def walked(market: Market, spec: EnvSpec, targets: torch.Tensor, *, factor: float = 1.0) -> Path:
    terms = Terms.of(rules_of(spec, market.symbols, delisting=False))
    whole = Tape.of(market).cut(torch.zeros(1, dtype=torch.long), market.length)
    return scan(whole, targets[:-1, None], terms, state=opened(terms, (1,), targets.shape[-1]), factor=factor)


worlds = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "assets": st.integers(1, 6),
        "opens": st.booleans(),
        "margined": st.booleans(),
        "gross": st.sampled_from([0.5, 1.0, 3.0]),
        "weight": st.sampled_from([0.3, 1.0]),
        "long_only": st.booleans(),
        "participation": st.sampled_from([1e-3, 0.1, 1.0]),
        "least": st.sampled_from([0.0, 0.05, 0.4]),
        "free": st.booleans(),
        "dated": st.booleans(),
        "open": st.booleans(),
        "absent": st.sampled_from([0.0, 0.1]),
        "thin": st.booleans(),
        "factor": st.sampled_from([0.5, 1.0, 3.0]),
    }
)


def built(world: dict[str, object]) -> tuple[Market, EnvSpec, np.ndarray]:
    rng = np.random.default_rng(world["seed"])
    assets = int(world["assets"])
    panel = random_panel(rng, assets=assets, opens=bool(world["opens"]))
    if world["open"]:
        panel = replace(panel, tradable=np.ones_like(panel.tradable))
    if world.get("thin"):  # bars in which hardly anything is traded, so that no order can be paid for
        assert panel.volume is not None
        panel = replace(panel, volume=panel.volume * np.where(rng.random(panel.close.shape) < 0.2, 1e-7, 1.0))
    missing = rng.random(panel.close.shape) < float(world["absent"])
    panel = replace(panel, close=np.where(missing, np.nan, panel.close), tradable=panel.tradable & ~missing)
    changes = {"costs": {}} if world["free"] else {}
    if world.get("dated"):
        panel = replace(panel, cash=rng.uniform(-0.5, 3.0, panel.bars))
        changes = {"costs": {**changes.get("costs", EVERY_COST), "cash_bps_per_year": "DFF"}}
    limits = {
        "max_gross": world["gross"],
        "max_weight": world["weight"],
        "long_only": world["long_only"],
        "participation": world["participation"],
    }
    spec = a_spec(
        limits=limits, min_trade_weight=world["least"], instrument={"margin_futures": world["margined"]}, **changes
    )
    return market_of(panel, spec), spec, random_targets(rng, panel.bars, assets)


@pytest.mark.slow
@given(worlds)
@settings(max_examples=100)
def test_the_account_is_the_kernels(world: dict[str, object]) -> None:
    market, spec, targets = built(world)
    factor = float(world["factor"])
    truth = simulate(market, targets, spec=spec, cost_factor=factor)
    ours = walked(market, spec, torch.tensor(targets), factor=factor)
    alive = np.cumprod(truth.equity > 0).astype(bool)  # ruin ends an account there, and has no gradient here
    scale = spec.initial_cash
    np.testing.assert_allclose(
        ours.equity[:, 0].numpy()[alive] / scale, truth.equity[alive] / scale, rtol=1e-9, atol=1e-9
    )
    steps = alive[1:]
    np.testing.assert_allclose(
        ours.traded[:, 0].numpy()[steps] / scale, truth.traded_value[steps] / scale, rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        ours.costs[:, 0].numpy()[steps] / scale, truth.costs[steps] / scale, rtol=1e-9, atol=1e-9
    )


@pytest.mark.slow
@given(worlds)
@settings(max_examples=25)
def test_the_gradient_is_the_slope_of_the_kernel(world: dict[str, object]) -> None:
    market, spec, targets = built({**world, "least": 0.0, "factor": 1.0, "gross": 3.0, "weight": 1.0})
    targets = 0.3 * targets
    torch_targets = torch.tensor(targets, requires_grad=True)
    walked(market, spec, torch_targets).equity[-1].sum().backward()
    gradient = torch_targets.grad.numpy()
    rng = np.random.default_rng(1)
    places = [
        (int(t), int(a))
        for t, a in zip(rng.integers(0, len(targets) - 1, 8), rng.integers(0, targets.shape[1], 8), strict=True)
    ]
    size = 1e-5
    for t, a in places:
        moved = np.repeat(targets[None], 4, axis=0)
        moved[:, t, a] += np.array([-2, -1, 1, 2]) * size
        ends = equity_paths(market, moved, spec=spec)
        if (ends <= 0).any():
            continue
        far, near = (ends[3, -1] - ends[0, -1]) / (4 * size), (ends[2, -1] - ends[1, -1]) / (2 * size)
        left, right = (ends[1, -1] - ends[0, -1]) / size, (ends[3, -1] - ends[2, -1]) / size
        if abs(far - near) > 1e-5 * (abs(near) + spec.initial_cash) or abs(left - right) > 1e-3 * (
            abs(near) + spec.initial_cash
        ):
            continue  # a kink lies between
        assert gradient[t, a] == pytest.approx(near, rel=1e-4, abs=1e-4 * spec.initial_cash)


def test_at_most_places_of_a_plain_market_there_is_no_kink_and_the_slopes_agree() -> None:
    rng = np.random.default_rng(3)
    panel = random_panel(rng, bars=30, assets=3, tradable=np.ones((30, 3), bool), volume=None, volume_unit="none")
    spec = a_spec(costs={**EVERY_COST, "impact_coefficient": 0}, limits={"max_gross": 2.0})
    market = market_of(panel, spec)
    targets = rng.uniform(-0.4, 0.4, (30, 3))
    asked = torch.tensor(targets, requires_grad=True)
    walked(market, spec, asked).equity[-1].sum().backward()
    slopes = np.zeros((29, 3))
    for t in range(29):
        for a in range(3):
            moved = np.repeat(targets[None], 2, axis=0)
            moved[:, t, a] += np.array([-1e-6, 1e-6])
            ends = equity_paths(market, moved, spec=spec)[:, -1]
            slopes[t, a] = (ends[1] - ends[0]) / 2e-6
    np.testing.assert_allclose(asked.grad[:-1].numpy(), slopes, rtol=1e-4, atol=1e-5 * spec.initial_cash)


def test_bars_are_named_as_in_the_kernel() -> None:
    assert Bar._fields == BAR._fields


def test_no_trade_has_a_finite_slope() -> None:
    rng = np.random.default_rng(0)
    spec = a_spec()
    market = market_of(random_panel(rng), spec)
    asked = torch.zeros(market.length, 3, dtype=torch.float64, requires_grad=True)
    walked(market, spec, asked).equity[-1].sum().backward()
    assert torch.isfinite(asked.grad).all()


@pytest.mark.slow
def test_accounts_in_one_batch_are_those_alone() -> None:
    rng = np.random.default_rng(5)
    spec = a_spec()
    market = market_of(random_panel(rng), spec)
    terms = Terms.of(rules_of(spec, market.symbols, delisting=False))
    first, wishes = torch.tensor([0, 7, 13]), torch.randn(10, 4, 3, 3, dtype=torch.float64)
    tape = Tape.of(market).cut(first, 11)
    together = scan(tape, wishes, terms, state=opened(terms, (4, 3), 3)).equity
    for member in range(4):
        for window in range(3):
            alone = Tape.of(market).cut(first[window : window + 1], 11)
            path = scan(alone, wishes[:, member, window : window + 1], terms, state=opened(terms, (1,), 3))
            torch.testing.assert_close(together[:, member, window], path.equity[:, 0], rtol=1e-12, atol=0.0)
