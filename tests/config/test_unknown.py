"""What is said of a key for which there is no place: where it is, under which choice, or that it is there after all."""

import pytest

from tests.config.test_mistakes import complaint
from wealtharena.config.composition import defaults_for, groups
from wealtharena.config.suggest import _BY_WORD, _ELSEWHERE, by_another_name


@pytest.mark.parametrize("word", ["~data.start", "~data.start=2020-01-01", "~paper.speed"])
def test_a_null_that_is_to_be_taken_out_is_said_to_be_there(word: str) -> None:
    key = word[1:].partition("=")[0]
    assert complaint(word) == f"{key} is null, which cannot be taken out; leave out {word}: nothing is set there"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("risk.gross.action=halt",),
            "risk.gross.action is not there: risk.gross is null; it is there under risk=default",
        ),
        (("risk.drawdown.max_drawdown=0.1",), "risk.drawdown is null; it is there under risk=default"),
        (
            ("risk.drawdown.max_drawdwn=0.1",),
            "did you mean risk.drawdown.max_drawdown, which is there under risk=default?",
        ),
        (("algo=sac", "algo.clip=0.1"), "unknown key algo.clip; it is there under algo=a2c or algo=appo or algo=ppo"),
        (("algo=sac", "+algo.clip=0.1"), "unknown key algo.clip; it is there under algo=a2c or algo=appo or algo=ppo"),
        (("broker.live=true",), "unknown key broker.live; it is there under broker=alpaca or broker=ib"),
    ],
)
def test_a_key_of_another_choice_is_told_with_that_choice(words: tuple[str, ...], told: str) -> None:
    assert complaint(*words).endswith(told)
    choice = told.rpartition("under ")[2].rstrip("?").split(" or ")[-1]
    group = choice.partition("=")[0]
    rest = [word for word in words if not word.startswith(f"{group}=")]
    assert "unknown" not in str(outcome(choice, *rest)) or "dwn" in rest[0]  # the way out leads there


def outcome(*words: str) -> str:
    try:
        return complaint(*words)
    except pytest.fail.Exception:
        return "composed"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("asset.instrument.lot_sizes={a: 1}", "asset.instrument.lot_sizes has no such entry yet; add it with a +"),
        ("sweep.space.x.type=float", "sweep.space.x.type is no entry yet; add it with a +"),
        (
            "env.randomisation={enabeld: true}",
            "unknown key env.randomisation.enabeld; did you mean env.randomisation.enabled?",
        ),
        ("+risk.gross={action: halt, max_net: 1}", "risk.gross.max_gross is missing; set +risk.gross.max_gross=..."),
        ("risk.drawdwn.action=halt", "unknown key risk.drawdwn.action; did you mean risk.drawdown?"),
    ],
)
def test_what_has_to_be_added_is_told_with_its_plus(word: str, told: str) -> None:
    assert complaint(word).startswith(told)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told", "written"),
    [
        (("sweep=ppo", "sweep.space.algo.gamma.low=0.9"), "algo.gamma", "sweep.space={algo.gamma: {low: 0.9}}"),
        (
            ("asset=stocks", "asset.instrument.lot_sizes.BHP.AX=100"),
            "BHP.AX",
            "+asset.instrument.lot_sizes={BHP.AX: 100}",
        ),
    ],
)
def test_a_name_with_dots_is_told_how_it_is_written(words: tuple[str, ...], told: str, written: str) -> None:
    """With the + that was advised a range of a search, or a symbol of Sydney, became a block of a block."""
    assert complaint(*words).startswith(f"{told} is one name in ")
    assert complaint(*words).endswith(f"dots and all; write '{written}'")
    assert outcome(words[0], written) == "composed"


@pytest.mark.parametrize("word", ["broker.futures.GCF=x", "broker.futures={GCF: x}"])
def test_a_mapping_of_one_choice_takes_entries_too(word: str) -> None:
    assert complaint("broker=ib", word).endswith(f"add it with a + before it: '+{word}'")


def test_an_entry_that_is_added_as_told_is_taken() -> None:
    assert outcome("+asset.instrument.lot_sizes={a: 1}") == "composed"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("algo@foo=ppo", "algo is a group that is there, and has one place; write algo=ppo"),
        ("++algo@foo=ppo", "algo is a group that is there; write algo=ppo"),
        ("~algo=sac", "algo=sac is not chosen, so there is nothing to take out; leave out ~algo=sac"),
        ("~seed=5", "seed is 0, not 5; set it: seed=<value>"),
        ("hydra.launcher.n_jobs=2", "unknown key hydra.launcher.n_jobs; name the launcher that has it"),
        ("hydra.foo=2", "unknown key hydra.foo; look at Hydra's own keys with --cfg hydra"),
    ],
)
def test_what_is_there_in_another_way_is_said_to_be(word: str, told: str) -> None:
    assert complaint(word).startswith(told)


@pytest.mark.parametrize("group", ["broker=alpaca", "algo=sac"])
def test_the_name_of_another_choice_is_answered_with_that_choice(group: str) -> None:
    name, _, choice = group.partition("=")
    assert complaint(f"{name}.name={choice}") == (
        f"{name}.name={choice} names another choice without the settings that go with it; write {group}"
    )


def test_other_mistakes_stand_beside_the_name_of_another_choice() -> None:
    assert len(complaint("broker.name=alpaca", "train.env_steps=0").splitlines()) == 2


@pytest.mark.parametrize("word", ["=crypto", "+=crypto", "~=x", "++=1", "=", "~"])
def test_a_word_without_a_key_is_told_to_be_one(word: str) -> None:
    assert complaint(word) == f"{word} sets no key; write key=value or group=choice"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("algo.lr=0.1",), "algo.learning_rate"),
        (("env.commission=0.1",), "asset.costs.commission_bps"),
        (("total_timesteps=1000",), "train.env_steps"),
        (("backtest.start_date=2020-01-01",), "backtest.start"),
        (("start_date=2020-01-01",), "data.start"),
        (("asset.symbols=[BTC-USD]",), "data.symbols"),
        (("device=cuda",), "compute=gpu"),
        (("algo=sac", "algo.lr=0.1"), "algo.learning_rate"),
    ],
)
def test_what_other_libraries_call_otherwise_is_told_by_our_name(words: tuple[str, ...], meant: str) -> None:
    assert complaint(*words).endswith(f"; did you mean {meant}?")


def test_the_names_that_others_have_lead_to_keys_that_are_there() -> None:
    known = {*defaults_for(()), *groups()}
    led = {by_another_name(word, known) for word in _BY_WORD}
    assert led == set(_ELSEWHERE)
    assert not {word for word in _BY_WORD if word in known}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.start=2020", "2020-01-01"),
        ("data.end=2020", "2020-12-31"),
        ("data.start=2020-06", "2020-06-01"),
        ("data.end=2020-2", "2020-02-29"),
        ("data.start=2020/01/02", "2020-01-02"),
        ("data.start=2020.1.2", "2020-01-02"),
        ("data.end=202106", "2021-06-30"),
        ("data.end=20210630", "2021-06-30"),
        ("data.start=2020-13", "null"),
        ("data.start=2020130", "null"),
    ],
)
def test_a_day_of_another_form_a_month_and_a_year_are_told_as_a_date(word: str, told: str) -> None:
    assert complaint(word).endswith(f"; try {word.partition('=')[0]}={told}")
