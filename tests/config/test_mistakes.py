import re

import pytest

from wealtharena.config import compose
from wealtharena.config.suggest import did_you_mean, nearest
from wealtharena.errors import ConfigError


def complaint(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    return str(caught.value)


def test_a_value_out_of_range_names_key_value_range_and_a_fix() -> None:
    assert complaint("algo.clip=3") == f"algo.clip=3 must be between 0 and 1; try algo.clip={compose().algo.clip:g}"


def test_a_step_is_said_and_a_name_that_is_key_and_group_once() -> None:
    assert complaint("evaluation.cscv_blocks=5").startswith("evaluation.cscv_blocks=5 must be a multiple of 2; try ")
    assert complaint("evaluation.cscv_blocks=30").startswith("evaluation.cscv_blocks=30 must be between 4 and 20")
    assert complaint("paths.data=x").endswith("did you mean data?")


def test_an_excluded_bound_is_said_to_be_excluded() -> None:
    assert complaint("algo.gamma=1").startswith("algo.gamma=1 must be between 0 and 1, 1 excluded; try algo.gamma=")


@pytest.mark.parametrize("cash", ["1e300", "1e-300", "0"])
def test_an_account_beyond_what_sums_can_hold_is_refused(cash: str) -> None:
    """None of its orders was filled, and cash, or nothing, was told to be the cause."""
    assert complaint(f"env.initial_cash={cash}").startswith(f"env.initial_cash={float(cash):g} must be between")


def test_one_sided_ranges_are_said_as_such() -> None:
    assert complaint("train.env_steps=0").startswith("train.env_steps=0 must be at least 1; try train.env_steps=")
    assert "reward.scale=0 must be above 0" in complaint("reward.scale=0")


def test_the_fix_is_the_value_of_the_chosen_files() -> None:
    assert complaint("asset=etf", "asset.costs.commission_bps=-1").endswith("try asset.costs.commission_bps=3")
    assert complaint("asset=stocks", "asset.costs.commission_bps=-1").endswith("try asset.costs.commission_bps=7")


def test_all_problems_are_named_at_once_and_each_once() -> None:
    lines = complaint(
        "algo.gamma=3", "train.env_steps=abc", "reward.name=foo", "asset.costs.commission_bps=-1"
    ).splitlines()
    assert len(lines) == 4
    assert [line.partition("=")[0] for line in lines] == [
        "algo.gamma",
        "asset.costs.commission_bps",
        "reward.name",
        "train.env_steps",
    ]
    assert all("; try " in line for line in lines)


def test_wrong_types_say_what_is_wanted() -> None:
    assert "seed=abc must be a whole number" in complaint("seed=abc")
    assert "asset.chain=yahoo must be a list, such as [a,b]; try 'asset.chain=[yahoo]'" in complaint(
        "asset.chain=yahoo"
    )
    assert "data.end=soon must be a date" in complaint("data.end=soon")
    assert "env.random_start=perhaps must be true or false" in complaint("env.random_start=perhaps")
    assert "train=5 stands for several keys" in complaint("train=5")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "nan"])
def test_no_number_that_is_no_number_gets_through(value: str) -> None:
    assert "algo.learning_rate" in complaint(f"algo.learning_rate={value}")
    assert "reward.scale" in complaint(f"reward.scale={value}")  # no upper bound would stop it


@pytest.mark.parametrize(
    ("word", "told"),
    [("multipliers.X=0", "above 0"), ("lot_sizes.X=-1", "at least 0")],
)
def test_a_contract_has_a_size(word: str, told: str) -> None:
    assert f"must be {told}" in complaint(f"+asset.instrument.{word}")


@pytest.mark.parametrize("name", ["learner", "engine", "baselines", "__init__", "on_policy.engine", "../ppo"])
def test_only_an_algorithm_is_an_algorithm(name: str) -> None:
    said = complaint(f"algo.name='{name}'")
    assert said.startswith(f"there is no {name!r} in wealtharena/agents/algorithms/; ")
    assert len(said.splitlines()) == 1


def test_a_misspelt_choice_names_the_near_one_and_all_there_are() -> None:
    said = complaint("asset=crpto")
    assert "asset=crpto is not a choice; did you mean asset=crypto?" in said
    assert "commodities, crypto, etf, forex, stocks" in said
    assert "did you mean algo=sac?" in complaint("algo=saac")


def test_a_misspelt_group_or_key_names_the_near_one() -> None:
    assert complaint("aset=crypto") == "unknown key aset; did you mean asset?"
    assert complaint("train.env_step=10") == "unknown key train.env_step; did you mean train.env_steps?"
    assert "did you mean train.env_steps" in complaint("env_steps=10")


@pytest.mark.slow
def test_a_key_added_with_a_plus_is_refused_not_dropped() -> None:
    assert complaint("+unknown.key=1").startswith("unknown key unknown")
    assert complaint("+algo.clpi=0.1") == "unknown key algo.clpi; did you mean algo.clip?"
    assert complaint("+env.costs.commission_bps=1") == "unknown key env.costs; did you mean asset.costs?"
    assert complaint("+algo.gamma=0.9") == "algo.gamma exists already; leave out the +"


@pytest.mark.parametrize("added", ["+algo=sac", "++algo=sac", "+model=gru"])
def test_a_group_that_is_added_is_one_that_is_there(added: str) -> None:
    group = added.lstrip("+")
    assert complaint(added) == f"{group.partition('=')[0]} is a group that is there; write {group}"


def test_overrides_in_one_pair_of_quotes_are_several() -> None:
    """What was proposed is quotes within the quotes, which makes one override of them for good."""
    said = complaint("asset=crypto train.env_steps=100")
    assert (
        said == "'asset=crypto train.env_steps=100' are several overrides in one; leave out the quotes around them all"
    )
    assert "are several" not in complaint("data.symbols=a b=c")


def test_a_number_with_separators_of_thousands_is_told_as_one_number() -> None:
    """`-m` would have trained twice: for 100 steps, and for none."""
    said = "train.env_steps=1,000,000 lists several values; write train.env_steps=1_000_000"
    assert complaint("train.env_steps=1,000,000") == said
    assert compose(["train.env_steps=1_000_000"]).train.env_steps == 1_000_000


def test_a_part_that_is_taken_out_is_missed() -> None:
    assert complaint("~asset").startswith("asset is missing")
    assert complaint("~algo.gamma") == "algo.gamma is missing; set algo.gamma=..."


def test_several_values_point_to_a_multirun() -> None:
    assert "-m asset=crypto,forex" in complaint("asset=crypto,forex")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("universe.symbols=[]", "universe.symbols=[] must have at least 1 entry; try universe.symbols=[BTC-USD,"),
        ("data.symbols=[]", "data.symbols=[] must have at least 1 entry; try data.symbols=null"),
        ("features.names=[]", "features.names=[] must have at least 1 entry; try features.names=["),
        ("asset.account_currency=x", "asset.account_currency=x must have at least 3 letters; try "),
        (
            "zoo.dates=[2020-01-01,2020-01-02,2020-01-03]",
            "zoo.dates=[2020-01-01,2020-01-02,2020-01-03] must have at most 2",
        ),
        ("data.simulator.annual_volatility=[0.1]", "data.simulator.annual_volatility has too few values; try data."),
    ],
)
def test_a_list_or_a_text_of_another_length_is_refused_in_words(word: str, told: str) -> None:
    assert complaint(word).startswith(told)


@pytest.mark.parametrize("key", ["asset.instrument.currencies", "train.callbacks", "backtest.checkpoints"])
def test_an_empty_value_is_no_hint(key: str) -> None:
    assert complaint(f"{key}=3").endswith(f"; leave {key} out")


def test_a_symbol_that_is_no_text_is_the_only_thing_said_of_its_list() -> None:
    assert len(complaint("data.symbols=[600519]").splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("data.symbols", "BTC-USD"),
        ("universe.symbols", "BTC-USD"),
        ("asset.chain", "yahoo"),
        ("features.names", "rsi_14"),
        ("data.macro.series", "DGS10"),
        ("evaluation.baselines", "cash"),
        ("evaluation.verdict.beats", "cash"),
        ("tracking.mirrors", "tensorboard"),
        ("train.callbacks", "mine:Watch"),
        ("backtest.checkpoints", "x"),
        ("paper.checkpoints", "x"),
        ("deploy.checkpoints", "x"),
        ("deploy.agents", "crypto"),
    ],
)
def test_what_a_list_names_twice_is_named_with_the_list_without_it(key: str, name: str) -> None:
    assert complaint(f"{key}=['{name}','{name}']") == f"{key}=[{name},{name}] names {name} twice; try {key}=[{name}]"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("seed=true", "a whole number"),
        ("env.window=false", "a whole number"),
        ("train.patience=true", "a whole number"),
        ("reward.scale=true", "a number"),
        ("model.hidden=[true]", "a whole number"),
        ("evaluation.stress.cost_factors=[true,3]", "a number"),
        ("+asset.instrument.lot_sizes.a=true", "a number"),
        ("risk=default risk.gross.max_gross=true", "a number"),
        ("algo.clip=true", "a number"),
    ],
)
def test_true_and_false_are_no_numbers(word: str, kind: str) -> None:
    said = complaint(*word.split())
    assert re.match(rf"\S+=(true|false) must be {kind}; ", said), said


@pytest.mark.parametrize("word", ["data.start=0", "data.end=1704067200", "data.end='86400'", "data.simulator.end=0.0"])
def test_a_number_is_no_date(word: str) -> None:
    """Seconds since 1970 were read where they make whole days: bars from 1970 on."""
    assert re.match(r"\S+=[\d.]+ must be a date, such as 2024-12-31; ", complaint(word))


def test_true_and_false_stay_where_they_are_asked_for() -> None:
    assert compose(["env.random_start=true"]).env.random_start is True
    assert compose(["train.test=false"]).train.test is False


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        (
            "paper.account='a b'",
            "paper.account=a b must be 1 to 32 of letters, digits, - and _; try paper.account=default",
        ),
        ("serve.key_name=", "serve.key_name= must be 1 to 64 of letters, digits, and . _ @ -, such as alice; "),
        ("asset.agent=X", "asset.agent=X must be lower-case letters, digits and _, a letter first; try asset.agent="),
    ],
)
def test_what_a_text_may_hold_is_said_in_words(word: str, allowed: str) -> None:
    assert complaint(word).startswith(allowed)


def test_an_override_that_cannot_be_read_is_quoted() -> None:
    assert complaint("paper") == "'paper' sets no key; did you mean broker=paper or task=paper?"
    assert complaint("asset=crypto", "help") == "'help' sets no key; write key=value or group=choice; --help lists them"
    assert complaint("train.callbacks=[a").startswith("cannot read the override 'train.callbacks=[a'")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("data.symbols=[GC=F,CL=F]", 'data.symbols=["GC=F","CL=F"]'),
        ("data.symbols=[BHP.AX, ^AXJO]", 'data.symbols=[BHP.AX,"^AXJO"]'),
        ("data.symbols=[M&M.NS]", 'data.symbols=["M&M.NS"]'),
        ("asset.benchmark=^GSPC", 'asset.benchmark="^GSPC"'),
        ("+asset.instrument.currencies={GC=F: EUR}", r"+asset.instrument.currencies={GC\=F: EUR}"),
    ],
)
def test_symbols_that_have_to_stand_in_quotes_are_shown_so(word: str, written: str) -> None:
    """Names that ship in the universes here could not be typed, and the message spoke of blanks and commas."""
    assert complaint(word) == f"cannot read the override {word!r}; write '{written}'"
    spec = compose([written])
    told = (*(spec.data.symbols or ()), spec.asset.benchmark, *spec.asset.instrument.currencies)
    assert {"GC=F", "^AXJO", "M&M.NS", "^GSPC"} & set(told)


def test_an_interpolation_that_leads_nowhere_is_named() -> None:
    assert complaint("universe.currency=${nowhere}").startswith("universe.currency cannot be resolved")


def test_an_algorithm_without_a_module_is_an_error() -> None:
    assert "did you mean ppo" in complaint("algo.name=ppoo")


def test_nearest_ignores_case_and_gives_nothing_for_nonsense() -> None:
    assert nearest("PPO", ["ppo", "sac"]) == ["ppo"]
    assert nearest("zzzz", ["ppo", "sac"]) == []
    assert did_you_mean("zzzz", ["ppo", "sac"]) == "known: ppo, sac"


@pytest.mark.parametrize(
    ("typed", "way_out"),
    [
        ("data.start=20240101", "try data.start=2024-01-01"),
        ("data.symbols=[600519]", "'data.symbols=[\"600519\"]'"),
        ("data.symbols=[NAN]", "'data.symbols=[\"NAN\"]'"),
        ("data.symbols=[true]", "'data.symbols=[\"TRUE\"]'"),
    ],
)
def test_what_yaml_took_for_something_else_is_answered_with_how_to_write_it(typed: str, way_out: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([typed])
    assert way_out in str(caught.value)
    assert "datetime" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (("universe=nasdaq",), "choose asset=stocks or asset=etf, or a universe of crypto"),
        (("experiment=us_tech", "asset=crypto"), "choose asset=stocks or asset=etf"),
        (("asset=stocks", "universe=fx_20"), "choose asset=forex"),
        (("asset=etf", "universe=commodities_20"), "choose asset=commodities"),
    ],
)
def test_a_universe_of_another_class_is_refused(words: tuple[str, ...], way_out: str) -> None:
    assert way_out in complaint(*words)


def test_a_universe_whose_calendar_was_set_is_taken_as_it_is() -> None:
    assert compose(["asset=etf", "universe.calendar=24/7"]).asset.universe.calendar == "24/7"
    assert compose(["asset=etf", "universe=nyse"]).asset.market == "etf"


@pytest.mark.slow
def test_a_preset_beside_a_choice_that_lacks_its_keys_is_one_line_about_the_two() -> None:
    said = complaint("zoo=crypto_direct", "algo=ppo")
    assert said.startswith("zoo=crypto_direct sets algo.")
    assert said.endswith(", which algo=ppo does not have; leave out algo=ppo, or zoo=crypto_direct")
    assert len(said.splitlines()) == 1
    typed = complaint("zoo=crypto_direct", "algo=ppo", "+algo.members=3")
    assert "unknown key algo.members; it is there under algo=direct" in typed
