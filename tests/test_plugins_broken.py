"""A broken plugin of a package is told of in one line that names it: nothing spread, nothing guessed, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.trading.desks import a_world, account, go
from wealtharena.config import compose, plugins
from wealtharena.data import provider
from wealtharena.data.loading import load as load_bars
from wealtharena.envs import rewards
from wealtharena.envs.baselines import Baseline, spec_of
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.tracking.mirror import Ending, Guarded
from wealtharena.trading import answers, guard
from wealtharena.trading.broker import Opening
from wealtharena.trading.situation import Breach

Offer = Callable[[str, str, str], None]
PROVIDER = """
import pandas as pd
from wealtharena.data import provider
from wealtharena.data.bars import RawBars, raw_table

class Provider(provider.Provider):
    name, title = "{name}", "Stranger"

    def fetch(self, symbol, start, end, interval):
        table = raw_table(pd.DataFrame({{"timestamp": pd.date_range("2020-01-01", periods=9), "close": 1.0}}))
        {body}
        return RawBars(self.name, symbol, interval, table, "USD", "none", "splits", self._clock())
"""


BROKER = """
import dataclasses
from typing import Literal
import numpy as np
from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.trading.broker import Event, Fill
from wealtharena.trading.brokers import paper

class Settings(BrokerSpec):
    name: Literal["mine"]

def why_not(spec):
    return {why_not}

def open_broker(opening):
    return Broker(paper.open_broker(opening))

class Broker:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    {body}
"""


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """Return `offer(room, name, source)`: a package that is found as an installed one is."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(room: str, name: str, source: str) -> None:
        package = tmp_path / f"strange_{name}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "plug.py").write_text(source)
        about = tmp_path / f"strange_{name}-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: strange-{name}\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[wealtharena.{room}]\n{name} = strange_{name}.plug\n")
        plugins._offered.cache_clear()
        plugins._of_package.cache_clear()

    yield put
    monkeypatch.undo()
    plugins._offered.cache_clear()
    plugins._of_package.cache_clear()
    for module in [module for module in sys.modules if module.startswith("strange_")]:
        del sys.modules[module]


def refused(room: str, name: str, call: Callable[[], Any]) -> str:
    with pytest.raises(WealthArenaError) as caught:
        call()
    assert plugins.title(room, name) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("room", "source", "told"),
    [
        ("data.providers", "def (:", "cannot be imported: SyntaxError"),
        ("data.providers", "raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("data.providers", "import no_such_module", "cannot be imported: No module named 'no_such_module'"),
        ("data.providers", "", "has no Provider"),
        ("agents.algorithms", "AlgorithmSpec = object", "has no ACTIONS"),
        (
            "agents.algorithms",
            "AlgorithmSpec = object\nACTIONS = ()\ndef build(): ...",
            "cannot be called as build(bench)",
        ),
        ("envs.baselines", "def weights(panel): ...", "cannot be called as weights(panel, row, spec)"),
        ("envs.anchors", "rule = 1", "cannot be called as rule(close, spec)"),
        ("trading.brokers", "", "has no Settings"),
        ("trading.risk", "Rule = object\ndef check(now): ...", "cannot be called as check(now, rule)"),
        (
            "tracking.mirrors",
            "def open_mirror(a, b): ...",
            "cannot be called as open_mirror(folder, identity, resume_step=)",
        ),
    ],
)
def test_a_module_that_lacks_what_its_kind_needs_is_refused_when_it_is_loaded(offer, room, source, told):
    offer(room, "mine", source)
    assert told in refused(room, "mine", lambda: plugins.load(room, "mine"))


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("other", "pass", "calls itself 'other'"),
        ("mine", "return None", "fetch returned a NoneType"),
        ("mine", "return table", "fetch returned a DataFrame"),
        (
            "mine",
            "table['timestamp'] = table['timestamp'].dt.tz_localize(None)",
            "its column timestamp is datetime64[ns]",
        ),
        ("mine", "table['close'] = table['close'].astype(object)", "its column close is object and not float64"),
        ("mine", "table = table[['timestamp', 'close']]", "its table has no column open"),
    ],
)
def test_a_source_that_answers_with_something_else_than_bars_is_named(offer, name, body, told):
    offer("data.providers", "mine", PROVIDER.format(name=name, body=body))
    spec = compose(["asset=crypto"])
    asked = spec.data.model_copy(update={"source": "mine", "symbols": ("A-USD",)})
    assert told in refused("data.providers", "mine", lambda: load_bars(spec.asset, asked, seed=0))


def test_what_a_plugin_is_must_be_of_its_kind(offer):
    offer("data.providers", "mine", "class Provider: ...")
    assert "no subclass of wealtharena.data.provider.Provider" in refused(
        "data.providers", "mine", lambda: provider.find("mine")
    )
    offer("trading.risk", "few", "class Rule: ...\ndef check(now, rule): ...")
    assert "Rule is no subclass" in refused(
        "trading.risk", "few", lambda: compose(["asset=crypto", "risk=default", "+risk.own.few={action:skip}"])
    )


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            "{action:flatten,symbols:1}",
            r"action=flatten must be one of skip, halt; give risk\.own\.few\.action another",
        ),
        ("{action:skip,symbols:0}", r"symbols=0 must be at least 1; give risk\.own\.few\.symbols another value"),
        ("{symbols:1}", r"risk\.own\.few\.action is missing; set \+risk\.own\.few\.action="),
        ("3", r"risk\.own\.few=3 stands for several keys; set one of them, as risk\.own\.few\.<name>="),
    ],
)
def test_what_a_package_s_rule_is_asked_for_wrongly_has_a_way_out(offer, block, said):
    source = """
from typing import Literal
from pydantic import Field
from wealtharena.config.specs.risk import RuleSpec

class Rule(RuleSpec):
    action: Literal["skip", "halt"]
    symbols: int = Field(ge=1)

def check(now, rule): ...
"""
    offer("trading.risk", "few", source)
    with pytest.raises(ConfigError, match=said):
        compose(["asset=crypto", "risk=default", f"+risk.own.few={block}"])


@pytest.mark.parametrize(
    "answer",
    ["[1.0]", "0.3", "None", "[[1], [0]]", "[[1], [0, 1]]", "['a', 'b']", "[1j, 0]", "pd.Series([1, 0], ['B', 'A'])"],
)
def test_weights_of_another_number_than_symbols_or_in_another_order_are_never_spread(offer, answer):
    offer("envs.baselines", "mine", f"import pandas as pd\ndef weights(panel, row, spec):\n    return {answer}\n")
    spec = compose(["asset=crypto"])
    rule = Baseline(spec_of("mine", evaluation=spec.evaluation, env=spec.env))
    panel: Any = SimpleNamespace(symbols=("A", "B"), begin_of=lambda row: 0)
    assert "not one of 2 symbols" in refused("envs.baselines", "mine", lambda: rule.weights(panel, 0))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "has no function mine"),
        ("def mine(ratio, before, after, first, second, rules):\n    return 1.0, first, second\n", "without @compiled"),
        (
            "from wealtharena.envs.compiled import compiled\n@compiled\ndef mine(ratio):\n    return 1.0\n",
            "three numbers",
        ),
        (
            "from wealtharena.envs.compiled import compiled\n@compiled\n"
            "def mine(ratio, before, after, first, second, rules):\n    rules[0] = 0.0\n    return 1.0, first, second\n",
            "three numbers: TypingError",
        ),
    ],
)
def test_a_reward_that_the_kernel_could_not_compile_is_refused_by_name(offer, source, told):
    if not hasattr(rewards.log, "py_func"):
        pytest.skip("nothing is compiled here")
    offer("envs.rewards", "mine", source)
    assert told in refused("envs.rewards", "mine", lambda: rewards._function("mine"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (True, "check returned a bool"),
        (Breach(np.ones(7, dtype=np.bool_), {}, np.zeros(2)), "Breach.symbols"),
        (Breach(np.full(2, np.nan), {}, np.zeros(2)), "Breach.symbols"),
        (Breach(np.ones(2, dtype=np.bool_), {}, np.full(2, np.nan)), "Breach.allowed"),
    ],
)
def test_a_rule_that_answers_with_no_breach_of_these_symbols_is_named(answer, told):
    assert told in refused("trading.risk", "mine", lambda: guard._check_breach("mine", answer, 2))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("capabilities = None", "capabilities answered with None and no Capabilities"),
        ("def submit(self, order): return None", "submit answered with None and no BookedOrder"),
        ("def submit(self): ...", "submit raised TypeError"),
        ("def submit(self, order): return 1 / 0", "submit raised ZeroDivisionError"),
        (
            "def submit(self, order): return dataclasses.replace(self.inner.submit(order), client_id='x')",
            "submit answered with the order 'x' for ",
        ),
        (
            "def submit(self, order): return dataclasses.replace(self.inner.submit(order), symbol='X')",
            "submit answered with an order in 'X' for one in ",
        ),
        (
            "def submit(self, order): return dataclasses.replace(self.inner.submit(order), status='done')",
            "submit answered with BookedOrder.status='done'",
        ),
        ("def positions(self): return [1.0]", "positions answered with a list and no mapping"),
        ("def positions(self): return {'A': float('nan')}", "positions answered with 'A': nan"),
        ("def positions(self): return {'A': np.float32(1)}", "positions answered with 'A': "),
        ("def positions(self): return {'A': 10**400}", "positions answered with 'A': 0x"),
        ("def positions(self): return {'A': 10**5000}", "positions answered with 'A': 0x"),
        ("def positions(self): return {'A': 2**63}", "positions answered with 'A': 0x"),
        ("def account(self): return None", "account answered with None and no Account"),
        (
            "def account(self): return dataclasses.replace(self.inner.account(), equity=float('nan'))",
            "account answered with Account.equity=nan",
        ),
        (
            "def account(self): return dataclasses.replace(self.inner.account(), bar='2020-01-01')",
            "account answered with Account.bar='2020-01-01' at the close ",
        ),
        ("def charges(self, since): return {'fees': 1.0}", "charges answered with 'fees', which is none of traded"),
        (
            "def order_by_client_id(self, name): return name",
            "order_by_client_id answered with a str and no BookedOrder",
        ),
        ("def fills(self, since): return (one for one in ())", "fills answered with a generator and no list of Fill"),
        (
            "def fills(self, since): return [dataclasses.replace(one, price='1') for one in self.inner.fills(since)]",
            "fills answered with Fill.price='1'",
        ),
        (
            "def fills(self, since): return [dataclasses.replace(one, bar='') for one in self.inner.fills(since)]",
            "fills answered with Fill.bar='' at the close ",
        ),
        ("def events(self, since): return [Event(np.int64(1), 'a', 'fee', '', 0.0, -1.0)]", "with Event.sequence="),
        ("def events(self, since): return [Event(1, 'a', 'split', '', 1.0, 0.0)]", "Event.units without a symbol"),
        ("def keep(self): raise SystemExit(3)", "keep raised SystemExit: 3"),
        ("def advance(self, market): raise KeyError('A')", "advance raised KeyError: 'A'"),
    ],
)
def test_a_broker_that_answers_with_what_it_may_not_is_named_and_nothing_of_it_booked(offer, tmp_path, body, told):
    offer("trading.brokers", "mine", BROKER.format(body=body, why_not=None))
    world, folder = a_world(), tmp_path / "account"

    def ours(broker: Any) -> Any:
        broker.close()
        return answers.opened("mine", Opening(folder, world.env, 1, "normal"))

    assert told in refused("trading.brokers", "mine", lambda: go(folder, world, wrap=ours))
    found = account(folder)
    assert len(found["closes"]) <= 1
    assert (found["fills"], found["positions"]) == ([], {})


@pytest.mark.slow
def test_a_broker_that_keeps_its_contract_trades_as_the_one_that_it_asks(offer, tmp_path):
    zeros = "def positions(self): return {'STRANGE': 0.0, **self.inner.positions()}"
    offer("trading.brokers", "mine", BROKER.format(body=zeros, why_not=None))
    world = a_world()

    def ours(broker: Any) -> Any:
        broker.close()
        return answers.opened("mine", Opening(tmp_path / "mine", world.env, 1, "normal"))

    go(tmp_path / "mine", world, wrap=ours)
    go(tmp_path / "paper", world)
    assert account(tmp_path / "mine") == account(tmp_path / "paper")


@pytest.mark.parametrize("source", ["raise RuntimeError('x')", BROKER.format(body="", why_not="1 / 0")])
def test_a_broken_broker_that_is_not_chosen_is_not_what_a_mistake_is_answered_with(offer, source):
    offer("trading.brokers", "mine", source)
    with pytest.raises(ConfigError) as caught:
        compose(["asset=forex", "broker=alpaca"])
    assert str(caught.value).startswith("broker=alpaca ")
    assert "broker=paper" in str(caught.value)
    assert "mine" not in str(caught.value)


def test_a_package_that_cannot_be_imported_is_not_what_a_mistake_is_answered_with(offer, tmp_path, request):
    offer("envs.rewards", "mine", "")
    package = tmp_path / "strange_mine"
    (package / "__init__.py").write_text("1 / 0")
    (package / "conf" / "broker").mkdir(parents=True)
    (package / "conf" / "broker" / "mine.yaml").write_text("url: [1")
    with (tmp_path / "strange_mine-1.dist-info" / "entry_points.txt").open("a") as file:
        file.write("[wealtharena.conf]\nmine = strange_mine.conf\n")
    plugins.conf_folders.cache_clear()
    request.addfinalizer(plugins.conf_folders.cache_clear)
    with pytest.raises(ConfigError, match=r"unknown key broker\.url; it is there under .*broker=webhook"):
        compose(["broker.url=3"])
    assert plugins.sources_offered("envs.rewards") == (package / "__init__.py", package / "plug.py")


def test_why_not_answers_with_a_text_or_none(offer):
    offer("trading.brokers", "mine", BROKER.format(body="", why_not="False"))
    told = refused("trading.brokers", "mine", lambda: compose(["asset=crypto", "broker=paper", "broker.name=mine"]))
    assert "why_not answered with a bool" in told


def test_what_build_and_open_broker_return_has_the_methods_that_are_called():
    told = refused(
        "agents.algorithms",
        "mine",
        lambda: plugins.check_answer("agents.algorithms", "mine", None, of="build", methods="iterate close"),
    )
    assert "build returned a NoneType, which has no iterate()" in told


def test_an_answer_of_ours_sends_nobody_to_a_package(offer):
    offer("trading.brokers", "mine", "")
    hints = [plugins.misused("trading.brokers", name, "x").hint for name in ("mine", "alpaca")]
    assert ["package" in hint for hint in hints] == [True, False]


def test_an_exception_in_a_plugin_names_it_wherever_it_comes_up(offer):
    offer("envs.baselines", "mine", "def weights(panel, row, spec):\n    return 1 / row\n")
    try:
        plugins.load("envs.baselines", "mine").weights(None, 0, None)
    except ZeroDivisionError as error:
        found = plugins.failure(error)
    assert "the plugin 'mine' (strange_mine.plug, line 2) failed: ZeroDivisionError" in str(found)
    assert plugins.failure(ZeroDivisionError("ours")) is None


def test_a_mirror_that_raises_is_ended_and_not_the_run():
    calls: list[str] = []

    def log(record: Any) -> None:
        calls.append("log")
        raise ValueError("no such thing")

    broken: Any = SimpleNamespace(log=log, finish=calls.append, whereabouts=lambda: "there", trouble=None)
    mirror = Guarded("mine", lambda: broken)
    mirror.log({"env_step": 1})
    mirror.log({"env_step": 2})
    mirror.finish(Ending((), {}, (), None, 0))
    assert calls == ["log"]
    assert mirror.trouble is not None
    assert "log raised ValueError: no such thing" in mirror.trouble
    assert mirror.whereabouts() is None
    never: Any = Guarded("mine", lambda: 1 / 0)
    assert never.trouble is not None
    titled: Any = SimpleNamespace(title="My Board")
    assert [one.title for one in (mirror, never, Guarded("mine", lambda: titled))] == ["mine", "mine", "My Board"]
