"""The account on a GPU against the compiled one. Where there is no GPU its kernel is interpreted, number by number."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.agents.direct.test_account import built, worlds
from tests.agents.direct.test_engine import engine
from tests.agents.direct.test_floor import falling, random_accounts, random_anchors, tilt_of
from wealtharena.agents.direct.engine import DirectEngine
from wealtharena.agents.direct.floor import Anchors, Floor, GpuFloor
from wealtharena.envs.market import Market
from wealtharena.envs.rules import Rules, rules_of
from wealtharena.envs.vector import RULE

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read where Triton is first imported, which is not before tests run


@pytest.fixture(autouse=True)
def kernel() -> Iterator[None]:
    pytest.importorskip("triton", reason="comes with torch's CUDA builds for Linux and: pip install -e '.[gpu]'")
    with np.errstate(divide="ignore", invalid="ignore"):  # of numbers that no branch takes
        yield


def traded(floor: Floor | GpuFloor, first: Tensor, asked: Tensor, factors: Tensor, **how) -> list[Tensor]:
    """Return equity, traded value, costs and the gradient of a random sum of them by what was asked for."""
    device = DEVICE if isinstance(floor, GpuFloor) else torch.device("cpu")
    asked = asked.to(device, copy=True).requires_grad_()
    how = {key: one.to(device) if isinstance(one, Tensor) else one for key, one in how.items()}
    found = floor.trade(asked, first.to(device), factors=factors.to(device), **how)
    rng, total = np.random.default_rng(7), torch.zeros((), dtype=torch.float64, device=device)
    for one in found:
        total = total + (torch.tensor(rng.normal(size=one.shape), device=device) * one).sum()
    total.backward()
    assert asked.grad is not None
    return [one.detach().cpu() for one in (*found, asked.grad)]


def compare(market: Market, rules: Rules, *work: Tensor, cash: float, anchors: Anchors | None = None, **how) -> None:
    floor = Floor.of(market, rules.vector, anchors)
    expected, found = (traded(one, *work, **how) for one in (floor, GpuFloor.of(floor, DEVICE)))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one / cash, other / cash, rtol=1e-9, atol=1e-9)


PRESSED = {  # thin volumes, whose impact scales orders down, from the first bar on
    "seed": 5, "assets": 5, "opens": False, "margined": False, "gross": 1.0, "weight": 1.0, "long_only": False,
    "participation": 1.0, "least": 0.05, "free": False, "dated": False, "open": True, "absent": 0.1, "thin": True,
    "factor": 1.0,
}  # fmt: skip


@pytest.mark.slow
@example(world=PRESSED, rate=None, band=0.0, through=False)
@given(worlds, st.sampled_from([None, 0.2, 1.0]), st.sampled_from([0.0, 0.25]), st.booleans())
@settings(  # to shrink takes minutes where it is interpreted
    max_examples=60 if DEVICE.type == "cuda" else 8, phases=[Phase.explicit, Phase.generate]
)
def test_the_account_on_a_gpu_is_the_compiled_one_with_its_gradient(
    world: dict[str, object], rate: float | None, band: float, through: bool
) -> None:
    market, spec, _ = built(world)
    rng = np.random.default_rng(world["seed"])
    work = random_accounts(market, rng)
    rules = rules_of(spec, market.symbols, delisting=False)
    if rate is None:
        compare(market, rules, *work, cash=spec.initial_cash)
        return
    anchors = random_anchors(market, rng, spec.limits.max_gross, tilt_of(rate, band), absent=0.2)
    held = 0.9 * anchors.weights[work[0]]
    compare(market, rules, *work, cash=spec.initial_cash, anchors=anchors, held=held, through=through)


@pytest.mark.slow
def test_what_an_update_held_is_free_once_it_is_over() -> None:
    market, spec, _ = built(PRESSED)
    first, asked, factors = (one.to(DEVICE) for one in random_accounts(market, np.random.default_rng(5)))
    rules = rules_of(spec, market.symbols, delisting=False)
    equity, traded, costs = GpuFloor.of(Floor.of(market, rules.vector), DEVICE).trade(
        asked.requires_grad_(), first, factors=factors
    )
    held = weakref.ref(equity)
    gc.disable()  # nobody collects a GPU's memory before it is full
    try:
        torch.autograd.grad((equity.sum() + costs.sum() + traded.sum()), asked)
        del equity, traded, costs
        assert held() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_a_ruined_account_stays_as_it_is_on_a_gpu_too() -> None:
    market, rules = falling()
    work = torch.tensor([0]), torch.ones(1, 9, 2, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    equity, *_ = traded(GpuFloor.of(Floor.of(market, rules.vector), DEVICE), *work)
    assert equity[0, 5] < 0.0
    compare(market, rules, *work, cash=float(rules.vector[RULE.initial_cash]))


COMPILED = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from wealtharena.agents.direct import gpu_kernel

for kernel in (gpu_kernel.forward, gpu_kernel.backward):
    for rate in (0.0, 0.2):
        fixed = {"TRADE_RATE": rate, "THROUGH": True, "BLOCK": 16}
        kinds = {"steps": "i32", "assets": "i32", "firsts": "*i64", **dict.fromkeys(fixed, "constexpr")}
        types = {name: kinds.get(name, "*fp64") for name in kernel.arg_names}
        source = ASTSource(kernel, types, constexprs={name: fixed[name] for name in types if name in fixed})
        print(len(compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1}).asm["ptx"]))
"""


@pytest.mark.slow
def test_it_compiles_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    """An interpreter takes what a compiler does not, such as names in annotations."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, env=environment, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 4


def trained(*overrides: str) -> DirectEngine:
    """Return an engine after two iterations."""
    made = engine(*overrides)
    for _ in range(2):
        made.iterate()
    made.close()
    return made


@on_a_gpu
@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("env.action=tilt", "algo.dropout=0.5", "model.hidden=[8]")])
def test_on_a_gpu_the_same_seed_gives_the_same_bits_and_a_training_goes_on_from_its_state(
    words: tuple[str, ...],
) -> None:
    words = ("compute=gpu", *words)
    one, other = trained(*words), trained(*words)
    resumed = engine(*words)
    resumed.set_state(one.get_state())
    for made in (other, resumed):
        made.iterate()
    for first, second in zip(other.online.parameters(), resumed.online.parameters(), strict=True):
        assert torch.equal(first, second)


@on_a_gpu
@pytest.mark.slow
def test_on_a_gpu_an_update_does_what_it_does_here() -> None:
    here, there = (engine("env.no_trade_band=0", f"compute={name}") for name in ("local", "gpu"))
    for _ in range(2):
        ours, theirs = here.iterate(), there.iterate()
        assert theirs == pytest.approx(ours, rel=1e-3, abs=1e-6)


@pytest.mark.skipif(DEVICE.type == "cuda", reason="needs a machine without a GPU")
def test_where_triton_compiles_nothing_it_is_said_why(caplog: pytest.LogCaptureFixture) -> None:
    assert not GpuFloor.possible()
    (said,) = caplog.messages
    assert "active drivers" in said
    assert "bar by bar in torch" in said


@on_a_gpu
@pytest.mark.slow
def test_without_triton_a_gpu_trades_by_torch_and_finds_the_same_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    built_in = engine("compute=gpu")
    monkeypatch.setattr(GpuFloor, "possible", lambda: False)
    by_torch = engine("compute=gpu")
    drawn = [one._drawn(one.chances[0]) for one in (built_in, by_torch)]
    slopes = [
        one.crew.slopes(one.online.stack(), [chance])[0]
        for one, chance in zip((built_in, by_torch), drawn, strict=True)
    ]
    torch.testing.assert_close(slopes[0].figures, slopes[1].figures, rtol=1e-9, atol=1e-9)
    for one, other in zip(slopes[0].gradients, slopes[1].gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
