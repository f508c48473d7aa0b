import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date

import pytest
from hydra._internal.hydra import Hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from wealtharena.config import compose, config_hash, parse, paths
from wealtharena.config.composition import _by_hydra, compose_raw, composing, groups, known_mode
from wealtharena.config.paths import conf_dir, sweeps_dir
from wealtharena.config.problems import UNREADABLE
from wealtharena.errors import ConfigError

GROUPS = {
    *("task", "asset", "universe", "data", "algo", "env", "reward", "features", "split", "model", "compute"),
    *("tracking", "risk", "sweep", "evaluation", "experiment", "debug"),
}
# their files set what other groups set too, or go with one class alone
AROUND = ("algo", "asset", "broker", "debug", "experiment", "task", "universe", "zoo")
APART = [(f"{group}={choice}",) for group in AROUND for choice in groups()[group]]
TOGETHER = [  # a choice of each of the other groups at once: they touch nothing of each other's
    tuple(f"{group}={choice}" for group, choice in zip(row_of, row, strict=True) if choice)
    for row_of in [[group for group in groups() if group not in AROUND]]
    for row in itertools.zip_longest(*(groups()[group] for group in row_of))
]
AGENTS = {
    "stocks": "asx_stocks",
    "forex": "currency_pairs",
    "crypto": "cryptocurrencies",
    "etf": "etf",
    "commodities": "commodities",
}


def test_every_group_of_the_design_has_a_choice() -> None:
    assert set(groups()) >= GROUPS
    assert all(groups()[name] for name in GROUPS)


@pytest.mark.slow
@pytest.mark.parametrize("choices", [*APART, *TOGETHER], ids=lambda choices: choices[0])
def test_every_file_of_conf_and_sweeps_composes_and_parses(choices: tuple[str, ...]) -> None:
    for_it = ["asset=stocks", "asset.instrument.lot_size=1"] if choices == ("broker=ib",) else []  # no coins, no parts
    if choices[0].startswith("universe="):  # of its own class only
        for_it = [f"asset={FORMS[str(compose_raw(choices).universe.calendar)][2]}"]
    assert compose([*for_it, *choices]).asset.universe.symbols


def test_no_file_of_conf_and_sweeps_is_left_out() -> None:
    every = {f"{group}={choice}" for group, choices in groups().items() for choice in choices}
    assert {choice for choices in (*APART, *TOGETHER) for choice in choices} == every


@pytest.mark.parametrize("asset", AGENTS)
def test_each_asset_brings_its_own_universe_simulator_and_agent(asset: str) -> None:
    raw = compose_raw([f"asset={asset}"])
    spec = parse(raw, overrides=())
    simulator = OmegaConf.load(conf_dir() / "data" / "simulator" / f"{asset}.yaml")
    assert spec.asset.name == spec.asset.market == asset
    assert spec.asset.agent == AGENTS[asset]
    assert 10 <= len(spec.asset.universe.symbols) <= 20
    assert raw.data.simulator.calibrated_on == simulator.calibrated_on
    assert list(spec.data.simulator.annual_volatility) == list(simulator.annual_volatility)
    assert spec.asset.account_currency == ("AUD" if asset == "stocks" else "USD")
    assert spec.asset.limits.long_only == (asset not in ("forex", "commodities"))


@pytest.mark.parametrize(
    ("asset", "bps"), [("stocks", 10), ("forex", 1), ("crypto", 10), ("etf", 5), ("commodities", 8)]
)
def test_commission_and_half_spread_add_up_to_the_class_s_cost(asset: str, bps: float) -> None:
    costs = compose([f"asset={asset}"]).asset.costs
    assert costs.commission_bps + costs.half_spread_bps == pytest.approx(bps)


def test_a_contract_moves_equity_by_its_size_in_dollars() -> None:
    asset = compose(["asset=commodities"]).asset
    multipliers = asset.instrument.multipliers
    assert multipliers["GC=F"] * 1.0 == 100  # 100 oz quoted in dollars
    assert multipliers["ZC=F"] * 450 == pytest.approx(5000 * 4.50)  # 5000 bushels quoted in cents
    assert multipliers["KC=F"] * 200 == pytest.approx(37_500 * 2.00)  # 37500 lb quoted in cents
    assert multipliers["HO=F"] * 2.5 == pytest.approx(42_000 * 2.50)  # 42000 gallons quoted in dollars
    assert multipliers["SB=F"] * 20 == pytest.approx(112_000 * 0.20)  # 112000 lb quoted in cents
    assert multipliers["CC=F"] * 8000 == pytest.approx(10 * 8000)  # 10 tonnes quoted in dollars
    wide = compose(["asset=commodities", "universe=commodities_20"]).asset
    assert wide.instrument.multipliers == multipliers
    assert set(multipliers) == set(wide.universe.symbols) > set(asset.universe.symbols)


@pytest.mark.slow
def test_the_size_of_a_contract_that_is_not_traded_is_no_part_of_a_configuration() -> None:
    plain = config_hash(compose(["asset=commodities"]))
    assert config_hash(compose(["asset=commodities", r"+asset.instrument.multipliers={KE\=F:50}"])) == plain
    assert config_hash(compose(["asset=commodities", r"++asset.instrument.multipliers={GC\=F:10}"])) != plain


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (("asset=etf", "algo=ppo"), "tilt"),
        (("asset=stocks", "algo=sac"), "tilt"),
        (("asset=commodities", "algo=a2c"), "tilt"),
        (("asset=commodities", "env.action=weights"), "weights"),
        (("asset=stocks", "asset.action=auto"), "auto"),
        (("asset=etf", "algo=dqn"), "auto"),
        (("asset=etf", "algo=bc"), "auto"),
        (("asset=forex", "algo=ppo"), "tilt"),
        (("asset=crypto", "algo=direct"), "tilt"),
        (("asset=crypto", "algo=ppo", "asset.action=auto"), "auto"),
    ],
)
def test_a_class_that_prefers_tilts_has_them_where_nothing_else_was_asked_for_and_the_algorithm_can(
    words: tuple[str, ...], action: str
) -> None:
    assert compose(words).env.action == action


def test_a_class_prefers_tilts_or_nothing() -> None:
    with pytest.raises(ConfigError, match=r"asset\.action=allocation is neither auto nor tilt"):
        compose(["asset=etf", "asset.action=allocation"])


def test_a_universe_of_choice_replaces_the_asset_s_own_and_sets_the_account() -> None:
    spec = compose(["asset=stocks", "universe=nyse"])
    assert spec.asset.universe.name == "nyse"
    assert spec.asset.account_currency == "USD"


def test_the_environment_is_handed_the_asset_s_rules_and_the_reward() -> None:
    spec = compose(["asset=etf", "asset.costs.commission_bps=9", "asset.limits.max_weight=0.3", "reward.scale=7"])
    assert spec.env.costs == spec.asset.costs
    assert spec.env.costs.commission_bps == 9
    assert spec.env.limits.max_weight == 0.3
    assert spec.env.instrument == spec.asset.instrument
    assert spec.env.reward.scale == 7


def test_a_simulator_parameter_can_be_set_beside_the_class_s_own() -> None:
    spec = compose(["asset=crypto", "data=simulated", "data.simulator.predictability=0.01"])
    assert spec.data.source == "simulated"
    assert spec.data.simulator.predictability == 0.01


@pytest.mark.slow
def test_presets_win_over_groups_and_the_command_line_wins_over_presets() -> None:
    assert compose(["experiment=us_stocks"]).asset.agent == "us_stocks"
    assert compose(["experiment=us_stocks"]).asset.universe.name == "nyse"
    assert compose(["experiment=us_stocks", "universe=asx_large"]).asset.universe.name == "asx_large"
    assert compose(["experiment=frictionless"]).env.costs.commission_bps == 0
    assert compose(["experiment=frictionless", "asset.costs.commission_bps=3"]).env.costs.commission_bps == 3


@pytest.mark.slow
def test_a_new_asset_class_is_one_yaml_and_no_code(tmp_path, monkeypatch) -> None:
    import shutil

    from wealtharena.config import composition

    shutil.copytree(conf_dir(), tmp_path / "conf")
    (tmp_path / "conf" / "asset" / "bonds.yaml").write_text(
        "defaults:\n  - etf\n  - override /universe@_global_.universe: bonds\n\nname: bonds\nagent: bonds\n"
    )
    (tmp_path / "conf" / "universe" / "bonds.yaml").write_text(
        "name: bonds\nsymbols: [TLT, IEF]\ncalendar: XNYS\ncurrency: USD\nuniverse_as_of: '2025-01-02'\nmax_symbols: null\n"
    )
    monkeypatch.setattr(composition, "conf_dir", lambda: tmp_path / "conf")
    spec = compose(["asset=bonds"])
    assert (spec.asset.name, spec.asset.market, spec.asset.agent) == ("bonds", "etf", "bonds")
    assert spec.asset.universe.symbols == ("TLT", "IEF")


def test_specs_are_frozen() -> None:
    spec = compose()
    with pytest.raises(ValidationError):
        spec.seed = 3


def test_a_spec_survives_json() -> None:
    spec = compose(["asset=forex"])
    assert json.loads(spec.model_dump_json())["algo"]["name"] == "ppo"


@pytest.mark.slow
def test_every_search_space_is_a_choice_from_any_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in sweeps_dir().glob("*.yaml"):
        assert compose([f"sweep={path.stem}"]).sweep.name != "none"
    assert compose(["sweep=none"]).sweep.name == "none"


def test_no_default_value_stands_in_a_spec() -> None:
    """A default in Python would hide a value that conf/ forgot; parts of a search space are optional by nature."""
    from wealtharena.config.specs.experiment import ExperimentSpec
    from wealtharena.config.specs.sweep import DimensionSpec

    seen: list[str] = []

    def walk(model, path) -> None:
        for name, field in model.model_fields.items():
            if not field.is_required():
                seen.append(f"{path}{name}")
            if hasattr(field.annotation, "model_fields"):
                walk(field.annotation, f"{path}{name}.")

    walk(ExperimentSpec, "")
    assert seen == []
    assert not all(field.is_required() for field in DimensionSpec.model_fields.values())


@pytest.mark.slow
def test_two_threads_compose_one_after_the_other() -> None:
    """Hydra keeps what it composes for in one place: a second thread found it taken, or took it for its own."""
    with ThreadPoolExecutor(1) as pool:
        with composing(()):
            beside = pool.submit(_by_hydra, ("asset=etf", "model=gru"))
            assert wait([beside], timeout=0.5).not_done
        found = beside.result(timeout=60)
    assert (found.asset.name, found.model.name) == ("etf", "gru")


def test_composing_leaves_a_running_hydra_job_alone() -> None:
    from hydra.core.global_hydra import GlobalHydra

    before = GlobalHydra.instance().hydra
    compose(["asset=etf"])
    assert GlobalHydra.instance().hydra is before


def test_parse_takes_what_hydra_composed() -> None:
    assert parse(compose_raw(["seed=5"]), overrides=["seed=5"]).seed == 5


@pytest.mark.slow
def test_configuration_loads_no_heavy_library() -> None:
    code = (
        "import sys; from wealtharena.config import compose; compose(['asset=crypto']); import wealtharena;"
        "print([name for name in ('torch', 'ray', 'wandb', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


LINES: list[list[str]] = [
    [],
    ["seed=3"],
    ["algo=sac", "algo.gamma=0.5", "asset=etf"],
    ["asset=etf", "data.symbols=[SPY,'ON']", "data.start=2020-01-01", "data.path=null"],
    ["experiment=us_tech", "asset=forex", "seed=1"],
    ["debug=fast", "train.env_steps=7"],
    ["data/simulator=crypto", "data.simulator.bars=99"],
    ["+asset.instrument.currencies={SHEL.L: GBP}"],
    ["+nothing.here=1"],
    ["~algo.gamma"],
    ["++seed=5"],
    ["seed=1,2"],
    ["asset=[etf,crypto]"],
    ["asset={name: etf}"],
    ["asset=null"],
    ["asset=crpto"],
    ["algo@algo=sac"],
    ["algo.clpi=0.1"],
    ["algo=1"],
    ["universe.currency=${nowhere}"],
    ["data.path=${oc.env:NO_SUCH_VARIABLE}"],
    ["data.path=[a"],
    ["seed=1", "seed=2"],
    ["asset=etf", "asset=crypto"],
    ["hydra.run.dir=elsewhere"],
    ["options/train=train"],
    ["train={env_steps: 5}"],
    ["paths.checkpoints=${data.root}/x"],
]


def outcome(made: Callable[[list[str]], DictConfig], overrides: list[str]) -> object:
    try:
        cfg = made(list(overrides))
    except (HydraException, OmegaConfBaseException, *UNREADABLE) as error:
        return type(error), str(error)
    return OmegaConf.to_container(cfg, resolve=False), OmegaConf.is_struct(cfg), OmegaConf.is_readonly(cfg)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", LINES, ids=" ".join)
def test_what_is_made_of_a_kept_composition_is_what_hydra_makes(overrides: list[str]) -> None:
    """Also its refusals, word for word; twice, since the first may be the one that is kept."""
    expected = outcome(_by_hydra, overrides)
    assert outcome(compose_raw, overrides) == expected
    assert outcome(compose_raw, overrides) == expected


def test_a_change_of_one_composition_reaches_no_other() -> None:
    first = compose_raw(["asset=etf"])
    before = first.seed
    first.seed = before + 1
    assert compose_raw(["asset=etf"]).seed == before


# calendar of a universe -> how its symbols are written, the currency of the quotes, and a class that trades them
FORMS = {
    "XASX": (r"[A-Z0-9]{3,4}\.AX", "AUD", "stocks"),
    "XNYS": (r"[A-Z]{1,5}(-[A-Z])?", "USD", "etf"),
    "24/7": (r"[A-Z0-9]{2,6}-USD", "USD", "crypto"),
    "weekday24": (r"[A-Z]{6}", "USD", "forex"),
    "CMES": (r"[A-Z]{2}=F", "USD", "commodities"),
}
CURRENCIES = {*("USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "SGD", "MXN", "ZAR")}


@pytest.mark.slow
@pytest.mark.parametrize("name", groups()["universe"])
def test_a_universe_is_well_formed_and_says_its_date_and_what_it_leaves_out(name: str) -> None:
    """No member was ever fetched here: what can be known without a network is looked at."""
    form, currency, asset = FORMS[str(compose_raw([f"universe={name}"]).universe.calendar)]
    universe = compose([f"asset={asset}", f"universe={name}"]).asset.universe
    assert universe.name == name
    assert universe.currency == currency
    assert [symbol for symbol in universe.symbols if not re.fullmatch(form, symbol)] == []
    assert len(set(universe.symbols)) == len(universe.symbols)
    asked = name.rpartition("_")[2]
    assert len(universe.symbols) == int(asked) if asked.isdecimal() else 10 <= len(universe.symbols) <= 20
    assert date.fromisoformat(universe.universe_as_of) > date(2020, 1, 1)
    assert "# Left out: " in (conf_dir() / "universe" / f"{name}.yaml").read_text()
    if universe.calendar == "weekday24":
        pairs = {(symbol[:3], symbol[3:]) for symbol in universe.symbols}
        assert {code for pair in pairs for code in pair} <= CURRENCIES
        assert [pair for pair in pairs if pair[0] == pair[1] or pair[::-1] in pairs] == []


def test_a_universe_of_fifty_holds_the_smaller_one_of_its_exchange() -> None:
    for large, small in (("asx_50", "asx_large"), ("etf_25", "etf_core"), ("fx_20", "fx_majors")):
        members, few = (set(compose_raw([f"universe={name}"]).universe.symbols) for name in (large, small))
        assert few <= members, (large, few - members)


@pytest.mark.slow
def test_every_class_has_a_preset() -> None:
    classes = {compose([f"experiment={name}"]).asset.name for name in groups()["experiment"] if name != "none"}
    assert classes == set(AGENTS)


def test_hydra_looks_for_a_mode_only_where_something_sets_one(tmp_path, monkeypatch) -> None:
    own, block = Hydra.get_mode, "# @package _global_\nhydra:\n  mode: MULTIRUN\n"
    (tmp_path / "preset.yaml").write_text(block)
    for words in (["hydra.mode=RUN"], ["++hydra.mode=RUN"], [f"experiment={tmp_path / 'preset.yaml'}"]):
        with known_mode(words):
            assert Hydra.get_mode is own, words
    with known_mode(["asset=etf", "experiment=us_stocks"]):
        assert Hydra.get_mode is not own
        assert Hydra.get_mode(None, config_name="config", overrides=[]) is None
    assert Hydra.get_mode is own
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "both.yaml").write_text(block)
    monkeypatch.setenv("WEALTHARENA_CONFIG_DIR", str(tmp_path / "conf"))
    with known_mode(["experiment=both"]):
        assert Hydra.get_mode is own


@pytest.mark.slow
def test_a_file_of_one_s_own_that_would_never_be_read_is_refused(tmp_path, monkeypatch):
    """Ours would win, and what was written there would be left out in silence."""
    monkeypatch.setenv("WEALTHARENA_CONFIG_DIR", str(tmp_path))
    (tmp_path / "algo").mkdir()
    mine = tmp_path / "algo" / "ppo.yaml"
    mine.write_text("name: ppo\nlearning_rate: 0.5\n")
    with pytest.raises(ConfigError, match=r"ppo.yaml would never be read.*algo=my_ppo"):
        compose(["asset=crypto"])
    paths._check_names.cache_clear()
    mine.write_bytes((conf_dir() / "algo" / "ppo.yaml").read_bytes())  # a copy says the same
    assert compose(["asset=crypto"]).algo.name == "ppo"
    mine.rename(tmp_path / "algo" / "my_ppo.yaml").write_text("defaults: [ppo]\nlearning_rate: 0.5\n")
    assert compose(["asset=crypto", "algo=my_ppo"]).algo.learning_rate == 0.5
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    paths._check_names.cache_clear()
    with pytest.raises(ConfigError, match=r"config.yaml would never be read.*experiment="):
        compose(["asset=crypto"])
    paths._check_names.cache_clear()


def test_parents_that_tests_correct_quicker_are_corrected() -> None:
    """`tests/quicker.py` sets those anew that are wrong, where the library sets all."""
    whole, other = OmegaConf.create({"a": {"b": [1, {"c": 2}]}, "d": 3}), OmegaConf.create({})
    inner = (whole.a, whole._get_node("d"), whole.a.b, whole.a.b._get_node(0), whole.a.b[1])
    for node in inner:
        node._set_parent(other)
    whole._re_parent()
    assert [node._get_parent() for node in inner] == [whole, whole, whole.a, whole.a.b, whole.a.b]
    assert all(node._get_parent() is not other for node in inner)
