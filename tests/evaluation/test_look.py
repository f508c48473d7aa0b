import ast
import json
from pathlib import Path

import numpy as np
import pytest

import wealtharena
from tests.evaluation import worlds
from wealtharena.config import compose
from wealtharena.errors import FirewallError
from wealtharena.evaluation import evaluate, firewall, look
from wealtharena.evaluation.ledger import Ledger, RunIdentity
from wealtharena.evaluation.splits import make_folds


def a_look(tmp_path, *, config_hash="c1", asset="crypto", extra=(), run_id="r1"):
    spec = compose([f"asset={asset}", f"paths.ledger={tmp_path}/ledger.jsonl", *extra])
    features = worlds.features(300)
    sealed = firewall.seal(features, make_folds(spec.split.model_copy(update={"purge_bars": 2}), features.bars))
    return look.Look(spec, sealed, RunIdentity(run_id, config_hash, spec.asset.agent, "train"))


def test_every_stream_has_its_own_salt():
    salts = list(look.STREAMS.values())
    assert len(set(salts)) == len(salts)
    assert look.stream(3, "audit").random() == look.stream(3, "audit").random()
    assert look.stream(3, "audit").random() != look.stream(3, "challenge").random()


def test_no_task_makes_its_random_numbers_from_a_number_of_its_own():
    """A salt that stands in a task is one that a second task can use again without anybody seeing it."""
    for file in (Path(wealtharena.__file__).parent / "tasks").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "default_rng":
                assert not isinstance(node.args[0], ast.List), f"{file.name}:{node.lineno}: use evaluation.look.stream"


def test_a_look_writes_before_it_shows_and_says_what_it_showed(tmp_path):
    seen = a_look(tmp_path)
    (view,) = seen.open()
    entries = [json.loads(line) for line in Path(tmp_path, "ledger.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in entries] == ["open"]
    facts = seen.facts(audit="passed", degenerate="it churns", seeds=3)
    assert (facts.openings, facts.trials.count, facts.seeds, facts.audit) == (1, 1, 3, "passed")
    assert facts.degenerate == "on validation it churns", "of this window nobody has said so"
    assert facts.simulated is False
    assert view.test == seen.sealed.folds[0].test
    assert seen.open_all().bars == view.features.bars
    assert seen.facts(audit=None).openings == 1, "the same run takes its look up again"


def test_a_look_that_cannot_be_written_down_shows_nothing(tmp_path):
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(FirewallError, match="cannot be written"):
        a_look(tmp_path).open()


@pytest.mark.parametrize(
    ("rates", "raised"),
    [
        ((100, 0), False),
        ((100, 100), False),
        ((100, 300), True),
        ((-500, 0), False),
        (("DFF", 0), False),
        (("DFF", 300), True),
    ],
)
def test_a_hurdle_is_raised_where_a_rate_above_that_of_cash_is_named(tmp_path, rates, raised):
    named = (f"asset.costs.cash_bps_per_year={rates[0]}", f"asset.risk_free_bps_per_year={rates[1]}")
    seen = a_look(tmp_path, extra=named)
    assert seen.facts(audit=None).hurdle_raised is raised


def test_what_has_no_configuration_is_no_trial(tmp_path):
    Ledger(tmp_path / "ledger.jsonl").record_trial(
        RunIdentity("r0", "other", "crypto", "train"), window=a_look(tmp_path).sealed.window, sharpe=0.1
    )
    assert a_look(tmp_path, config_hash="").facts(audit=None).trials.count == 1


def test_the_result_of_a_look_is_in_the_ledger(tmp_path):
    seen = a_look(tmp_path)
    seen.open()
    played = worlds.trajectory(np.random.default_rng(0).normal(0.001, 0.01, 60))
    found = evaluate.judge(
        [played],
        {"buy_and_hold": played},
        evaluation=seen.spec.evaluation,
        facts=seen.facts(audit=None),
        rng=seen.rng(),
    )
    seen.showed(found)
    last = json.loads(Path(tmp_path, "ledger.jsonl").read_text().splitlines()[-1])
    assert (last["kind"], last["config_hash"]) == ("result", "c1")
    assert last["sharpe_annual"] == pytest.approx(found.metrics["sharpe"])
    assert (last["frequency"], last["symbols"]) == ("1d", ["S0", "S1", "S2"])


def test_of_two_groups_that_are_judged_at_once_the_later_knows_of_the_earlier(tmp_path):
    """What a group showed was written after its judgement, so that neither counted the other."""
    first, second = a_look(tmp_path), a_look(tmp_path, run_id="r2")
    for seen in (first, second):
        seen.open()
    assert first.counted((None,))(0.5, (0.5,)).left_out == ()
    assert second.counted((None,))(1.5, (1.5,)).left_out == (first.identity.run_id,)
    assert first.counted((None,))(0.5, (0.5,)).left_out == ("r2",)
    assert sum('"result"' in line for line in (tmp_path / "ledger.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("extra", "costless"),
    [
        ((), False),
        (("experiment=frictionless",), True),
        (("asset.costs.commission_bps=0",), False),
        (("asset.costs.commission_bps=0.001", "asset.costs.half_spread_bps=0.001"), True),
        (("asset.costs.commission_bps=0", "asset.costs.half_spread_bps=0"), True),
        (("asset.costs.commission_bps=0", "asset.costs.half_spread_bps=0.05"), False),
    ],
)
def test_whether_orders_cost_anything_is_a_fact_of_the_judgement(tmp_path, extra, costless):
    assert a_look(tmp_path, extra=extra).facts(audit=None).costless is costless


@pytest.mark.parametrize(
    ("extra", "assumed"),
    [
        ((), None),
        (("asset.costs.carry_bps_per_year=3000", "asset.limits.long_only=false"), "All shorts are paid 30.00% a year"),
        (("asset.costs.carry_bps_per_year=3000", "asset.limits.long_only=true"), None),
        (("asset.costs.carry_bps_per_year=-3000",), "All longs are paid 30.00% a year"),
        (("asset.costs.cash_bps_per_year=3000",), None),
        (("asset.costs.cash_bps_per_year=3000", "asset.limits.long_only=false"), "All shorts are paid 29.50% a year"),
        (("asset.costs.cash_bps_per_year=50", "asset.limits.long_only=false"), None),
        (("asset.costs.cash_bps_per_year=DFF", "asset.limits.long_only=false"), None),
        (("asset.costs.cash_bps_per_year=VIXCLS", "asset.limits.long_only=false"), "All shorts are paid VIXCLS"),
        (("asset.costs.cash_bps_per_year=VIXCLS",), None),
        (
            ("asset.costs.cash_bps_per_year=IR3TIB01TRM156N", "asset.limits.long_only=false"),
            "All shorts are paid IR3TIB01TR",
        ),
        (("asset.costs.cash_bps_per_year=IR3TIB01USM156N", "asset.limits.long_only=false"), None),
        (
            (
                "asset.account_currency=EUR",
                "asset.costs.cash_bps_per_year=IR3TIB01EZM156N",
                "asset.limits.long_only=false",
            ),
            None,
        ),
        (
            ("asset.account_currency=AUD", "asset.costs.cash_bps_per_year=DFF", "asset.limits.long_only=false"),
            "All shorts are paid DFF for what they were sold for",
        ),
    ],
)
def test_what_is_paid_by_a_number_that_was_set_is_a_fact_of_the_judgement(extra, assumed):
    found = compose(["asset=etf", *extra]).asset.assumed
    assert found is None if assumed is None else found.startswith(assumed)
