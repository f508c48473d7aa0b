"""The compiled account against the torch one: the same money and the same gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.agents.direct.test_account import built, worlds
from tests.envs.markets import spec_of
from wealtharena.agents.direct.account import Bar, Path, Tape, Terms, entered, opened, scan, tilted
from wealtharena.agents.direct.floor import Anchors, Floor
from wealtharena.agents.networks.heads import TiltHead
from wealtharena.config.specs.tilt import TiltSpec
from wealtharena.envs.actions import Tilt
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import Market
from wealtharena.envs.observation import ANCHOR_COLUMNS, ObservationLayout
from wealtharena.envs.rules import Rules, rules_of

ACCOUNTS, STEPS = 4, 9
FLAT = {  # an account that holds nothing, and what is asked for lies within the band: neither long nor short
    "seed": 31824, "assets": 1, "opens": False, "margined": False, "gross": 0.5, "weight": 0.3, "long_only": False,
    "participation": 1e-3, "least": 0.0, "free": False, "dated": False, "open": False, "absent": 0.1, "factor": 0.5,
}  # fmt: skip


def random_accounts(market: Market, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    first = torch.tensor(rng.integers(0, market.length - STEPS, ACCOUNTS))
    asked = torch.tensor(rng.normal(0.0, 0.5, (ACCOUNTS, STEPS, len(market.symbols))))
    return first, asked, torch.tensor(rng.uniform(0.5, 3.0, ACCOUNTS))


def random_anchors(market: Market, rng: np.random.Generator, gross: float, tilt: TiltSpec, absent: float) -> Anchors:
    """Return anchors of a share of the gross limit each; the share `absent` of symbols and bars does not trade."""
    assets = len(market.symbols)
    weights = torch.tensor(rng.dirichlet(np.ones(assets + 1), market.length)[:, :assets]) * gross
    sigma = torch.tensor(rng.uniform(0.005, 0.05, weights.shape))
    sigma[torch.tensor(rng.random(weights.shape) < absent)] = 0.0
    return Anchors(weights, sigma, tilt)


def slopes(path: Path, asked: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the gradient of a random sum of all that the accounts did, but for those that were ruined."""
    alive = (path.equity > 0.0).all(dim=0)
    total = torch.zeros((), dtype=torch.float64)
    for one in path:
        total = total + (torch.tensor(rng.normal(size=one.shape)) * one)[:, alive].sum()
    asked.grad = None
    total.backward()
    assert asked.grad is not None
    return asked.grad.clone()


def compare(reference: Path, ours: Path, asked: Tensor, cash: float) -> None:
    alive = (reference.equity > 0.0).all(dim=0)
    for one, other in zip(reference, ours, strict=True):
        torch.testing.assert_close(one[:, alive] / cash, other[:, alive] / cash, rtol=1e-9, atol=1e-9)
    expected, found = (slopes(path, asked, np.random.default_rng(7)) for path in (reference, ours))
    torch.testing.assert_close(found / cash, expected / cash, rtol=1e-9, atol=1e-9)


def compiled(
    market: Market, rules: Rules, asked: Tensor, first: Tensor, factors: Tensor, *, anchors: Anchors | None = None,
    held: Tensor | None = None, through: bool = False,
) -> Path:  # fmt: skip
    found = Floor.of(market, rules.vector, anchors).trade(asked, first, factors=factors, held=held, through=through)
    return Path(*(one.movedim(-1, 0) for one in found))


@pytest.mark.slow
@given(worlds)
@settings(max_examples=60)
def test_the_compiled_account_is_torchs_with_its_gradient(world: dict[str, object]) -> None:
    market, spec, _ = built(world)
    first, asked, factors = random_accounts(market, np.random.default_rng(world["seed"]))
    asked.requires_grad_()
    rules = rules_of(spec, market.symbols, delisting=False)
    terms = Terms.of(rules)
    state = opened(terms, (ACCOUNTS,), asked.shape[-1])
    reference = scan(Tape.of(market).cut(first, STEPS + 1), asked.movedim(1, 0), terms, state=state, factor=factors)
    compare(reference, compiled(market, rules, asked, first, factors), asked, spec.initial_cash)


@pytest.mark.slow
# no band as wide as a limit on weights (0.3): one asset that leans against the limit would land on nothing at all, a kink where two slopes are right
@given(worlds, st.sampled_from([0.2, 1.0]), st.sampled_from([0.0, 0.25]), st.sampled_from([0.0, 0.2]), st.booleans())
@example(world=FLAT, rate=0.2, band=0.25, absent=0.0, through=True)
@settings(max_examples=60)
def test_so_it_is_where_orders_go_a_part_of_the_way_to_a_tilt(
    world: dict[str, object], rate: float, band: float, absent: float, through: bool
) -> None:
    market, spec, _ = built({**world, "least": 0.0})
    rng = np.random.default_rng(world["seed"])
    first, tilts, factors = random_accounts(market, rng)
    tilts.requires_grad_()
    rules = rules_of(spec, market.symbols, delisting=False)
    terms, assets = Terms.of(rules), len(market.symbols)
    tilt = tilt_of(rate, band)
    head = TiltHead(assets, spec.limits, replace(market.layout, tilt=tilt))
    anchors, rows = (
        random_anchors(market, rng, spec.limits.max_gross, tilt, absent),
        first[:, None] + torch.arange(STEPS),
    )
    weights, sigma = anchors.weights, anchors.sigma
    tape, by_bar = Tape.of(market).cut(first, STEPS + 1), tilts.movedim(1, 0)
    columns = weights[rows].movedim(1, 0), sigma[rows].movedim(1, 0)
    held = 0.9 * weights[first]
    begun = entered(opened(terms, (ACCOUNTS,), assets), held, Bar(*tape.bars[0].unbind(-2)))
    reference = scan(tape, tilted(head, by_bar, *columns, through=through), terms, state=begun, factor=factors)
    asked = head.asked(tilts, weights[rows], sigma=sigma[rows])
    ours = compiled(market, rules, asked, first, factors, anchors=anchors, held=held, through=through)
    compare(reference, ours, tilts, spec.initial_cash)


@pytest.mark.parametrize(("gross", "most"), [(1.0, 1.0), (0.1, 0.1), (1.0, 0.02), (3.0, 3.0)])
def test_what_a_tilt_leaves_alone_is_what_the_environment_and_a_network_leave(gross: float, most: float) -> None:
    assets = 4
    spec = spec_of(action="tilt", trade_rate=1.0, no_trade_band=0.5, limits={"max_gross": gross, "max_weight": most})
    layout = ObservationLayout(tuple("ABCD"), ANCHOR_COLUMNS, 1, spec.tilt)
    assert spec.tilt is not None
    weights = np.array([[0.0, 0.1, 0.5, 0.9]]) * min(gross, most, 1.0)
    idle = Anchors(torch.tensor(weights), torch.full((1, assets), 0.01), spec.tilt).idle()
    for off in (0.99, 1.01):
        seen = np.zeros((1, layout.size), np.float32)
        held, wanted = np.zeros((1, assets), np.float32), (off * idle).numpy().astype(np.float32)
        seen[:, layout.anchor], seen[:, layout.sigma] = weights, 0.01
        ours = TiltHead(assets, spec.limits, layout).ordered(
            *map(torch.tensor, (wanted, weights)), held=torch.tensor(held)
        )
        theirs = Led(assets, spec.limits, layout).weights(wanted, seen, held.copy())
        assert (ours.numpy() > 0.0).tolist() == (theirs > 0.0).tolist() == [[off > 1.0] * assets]


class Led(Tilt):
    """A tilt whose action is what the account is led to."""

    def wanted(self, actions, **_):
        return actions


def tilt_of(rate: float, band: float):
    tilt = spec_of(action="tilt").tilt
    assert tilt is not None
    return tilt.model_copy(update={"rate": rate, "band": band})


def falling() -> tuple[Market, Rules]:
    """Return a market whose fall to a tenth ruins whoever holds more than his equity, and rules under which he can."""
    world = {
        "seed": 0, "assets": 2, "opens": True, "margined": True, "gross": 3.0, "weight": 1.0, "long_only": False,
        "participation": 1.0, "least": 0.0, "free": True, "open": True, "absent": 0.0, "factor": 1.0,
    }  # fmt: skip
    market, spec, _ = built(world)
    bars = market.bars.copy()
    bars[5:, BAR.mark] *= 0.1
    spec = spec.model_copy(update={"limits": spec.limits.model_copy(update={"max_gross": 3.0})})
    return replace(market, bars=bars), rules_of(spec, market.symbols, delisting=False)


@pytest.mark.slow
def test_a_ruined_account_stays_as_it_is_and_has_no_gradient_afterwards() -> None:
    market, rules = falling()
    asked = torch.ones(1, STEPS, 2, dtype=torch.float64, requires_grad=True)
    path = compiled(market, rules, asked, torch.tensor([0]), torch.ones(1, dtype=torch.float64))
    assert path.equity[5, 0] < 0.0
    assert (path.equity[5:, 0] == path.equity[5, 0]).all()
    assert not path.traded[5:].any()
    path.equity[-1].sum().backward()
    assert asked.grad is not None
    assert asked.grad[0, 4].abs().sum() > 0.0
    assert not asked.grad[0, 5:].any()
    assert pytest.approx(0.0) == float(asked.grad[0, 6:].sum())
