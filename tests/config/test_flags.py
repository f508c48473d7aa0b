"""Where flags stand among the words of a command line, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from wealtharena.config import flags
from wealtharena.config.words import unread_word
from wealtharena.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("asset=crypto -m seed=1,2", "-m asset=crypto seed=1,2"),
        ("a=1 --cfg job b=2 --package algo c=3", "--cfg job --package algo a=1 b=2 c=3"),
        ("a=1 --info defaults b=2", "--info defaults a=1 b=2"),
        ("a=1 -p=algo --cfg=job b=2", "-p=algo --cfg=job a=1 b=2"),
        ("--shell-completion install=bash", "--shell-completion install=bash"),
        (
            "hydra.verbose=[wealtharena.data,ray] --cfg all --resolve",
            "--cfg all --resolve hydra.verbose=[wealtharena.data,ray]",
        ),
        ("hydra.verbose=True", "hydra.verbose=True"),
        ("job --cfg job", "--cfg job job"),
        ("a=1 a=1", "a=1 a=1"),
        ("", ""),
    ],
)
def test_flags_and_their_values_come_first_and_words_keep_their_order(typed: str, taken: str) -> None:
    assert flags.in_front(typed.split()) == taken.split()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--mutlirun seed=1", "unknown flag --mutlirun; did you mean --multirun"),
        ("seed=1 --multi", "unknown flag --multi; "),
        ("--asset crypto seed=1", "unknown flag --asset; keys and groups have no dashes: write asset=crypto"),
        (
            "--train.env-steps=5",
            "unknown flag --train.env-steps=5; keys and groups have no dashes: write train.env_steps=5",
        ),
        ("--seed --quiet", "unknown flag --seed; keys and groups have no dashes: write seed=<value>"),
        (
            "--total-timesteps 100",
            "unknown flag --total-timesteps; did you mean train.env_steps=<value>, without dashes?",
        ),
        ("--cuda", "unknown flag --cuda; did you mean compute=gpu, without dashes?"),
        ("seed=1 --cfg", "argument --cfg/-c: expected one argument; --help lists keys and flags"),
        ("--package seed", "--package says which part --cfg prints, and there is none; write --cfg job --package seed"),
        ("--cfg jobs a=1", "argument --cfg/-c: invalid choice: 'jobs'"),
        ("--shell-completion a=1", "--shell-completion does not say what to do; write --shell-completion install=bash"),
        ("-sc install", "--shell-completion does not say what to do"),
        ("--resolve a=1", "--resolve is for what --cfg prints, and there is none"),
        ("-m --cfg job", "-m and --cfg are two things to do; leave out --cfg"),
        ("hydra.verbose=maybe", "hydra.verbose=maybe: maybe is no module that logs; write true, false"),
        ("hydra.verbose=1", "hydra.verbose=1: 1 is no module that logs"),
        (
            "hydra.verbose=[wealtharena,nowhere.at.all]",
            "hydra.verbose=[wealtharena,nowhere.at.all]: nowhere.at.all is no",
        ),
        ("hydra.verbose=", "hydra.verbose=: nothing is no module that logs"),
    ],
)
def test_a_wrong_flag_is_one_line_with_a_way_out(typed: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        flags.in_front(typed.split())
    assert str(refused.value).startswith(told)
    assert refused.value.hint
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("data.symbols=[\u201cBTC-USD\u201d]", "'data.symbols=[\"BTC-USD\"]'"),
        ("\u2018data.symbols=[BTC-USD]\u2019", "'data.symbols=[BTC-USD]'"),
        ("\u201cseed=3\u201d", "seed=3"),
        ("\u2013-cfg", "--cfg"),
        ("\u2014multirun", "--multirun"),
        ("\u2013m", "-m"),
    ],
)
def test_what_a_page_has_made_of_quotes_and_dashes_is_said_as_on_a_keyboard(typed: str, meant: str) -> None:
    assert str(unread_word(typed)) == f"{typed!r} has quotes or dashes of a typesetter's; write {meant}"


def test_an_apostrophe_of_a_name_stays() -> None:
    assert "typesetter" not in str(unread_word("run=L\u2019Or\u00e9al"))
