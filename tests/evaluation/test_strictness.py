"""What counts as looser than the rules that ship."""

import pytest

from wealtharena.config import compose
from wealtharena.config.specs.runs import VerdictSpec
from wealtharena.data import macro
from wealtharena.data.quality import left_in
from wealtharena.evaluation import strictness

OTHER = {  # key: a looser value, a stricter one
    "confidence": (0.9, 0.99),
    "min_dsr": (0, 0.99),
    "reject_dsr": (0.4, 0.6),
    "max_pbo": (1, 0.1),
    "max_drawdown": (-1, -0.2),
    "min_seeds": (1, 5),
    "min_years": (0.5, 2),
    "min_bars": (1, 500),
    "min_trades": (0, 50),
    "max_openings": (101, 10),
    "max_unfilled": (0.2, 0.05),
    "min_invested": (0.5, 0.95),
    "beats": (["cash"], ["cash", "buy_and_hold"]),
    "allow_simulated": (True, False),
    "allow_unadjusted_rolls": (True, False),
    "allow_hindsight": (True, False),
    "implausible": (50, 3),
    "require_audit": (False, True),
    "bootstrap_draws": (9999, 20000),
    "cscv_blocks": (14, 20),
}


def test_every_rule_has_a_direction_and_only_one():
    limits = sorted((*VerdictSpec.model_fields, *strictness.PRECISION))
    assert sorted(OTHER) == limits
    assert sorted((*strictness.HIGHER, *strictness.LOWER, *strictness.LONGER)) == limits


@pytest.mark.parametrize(
    ("typed", "notes", "told"),
    [
        (
            (),
            "quality of the bars: splits: 9 rows of 1 symbols (repair); missing_sessions: 2 rows of 1 symbols (warn)",
            (),
        ),
        (("data.quality.splits=warn",), "quality of the bars: spikes: 9 rows of 1 symbols (repair)", ()),
        (("data.quality.splits=warn",), "a note: splits: 9 rows of 1 symbols (warn)", ()),
        (
            ("data.quality.splits=warn",),
            "quality of the stored bars: stale: 1 rows of 1 symbols (repair); splits: 9 rows of 2 symbols (warn)",
            ("9 rows of 2 symbols (data.quality.splits=warn)",),
        ),
        (("data.quality.spike_sigmas=99",), "none", ("spikes, by data.quality.spike_sigmas 99 (12)",)),
        (("data.quality.spike_sigmas=6",), "none", ()),
    ],
)
def test_faults_that_are_left_in_the_bars_are_told_where_they_are_repaired_as_shipped(typed, notes, told):
    """A split that nobody adjusts for takes half from buying and holding, and whoever held anything else is ahead."""
    assert strictness.kept_faults(compose([*typed]).data.quality, left_in([notes])) == told


@pytest.mark.parametrize("key", OTHER)
def test_a_key_is_looser_in_its_own_direction_and_not_in_the_other(key):
    loose, strict = OTHER[key]
    ours = strictness.shipped_limits()
    assert [name.split()[0] for name in strictness.looser({**ours, key: loose})] == [key]
    assert strictness.looser({**ours, key: strict}) == ()
    assert strictness.looser({key: None})[0].startswith(f"{key} none ("), "what is no figure holds nothing"


def test_rules_that_ship_are_not_looser_and_one_that_did_not_exist_yet_is_not_asked():
    assert strictness.looser(strictness.limits_of(compose(["asset=etf"]).evaluation)) == ()
    assert strictness.looser_reason({"min_dsr": 0.95}) is None
    assert strictness.looser_reason({"min_dsr": 0, "beats": "cash", "require_audit": False}) == (
        "Judged by looser rules than ship: min_dsr 0 (0.95), beats cash ([buy_and_hold]), require_audit false (true)."
    )


def test_a_configuration_of_ones_own_does_not_move_what_ships(tmp_path, monkeypatch):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "easy.yaml").write_text("defaults: [default]\nverdict: {min_dsr: 0.1}\ncscv_blocks: 4\n")
    monkeypatch.setenv("WEALTHARENA_CONFIG_DIR", str(tmp_path))
    rules = strictness.limits_of(compose(["evaluation=easy"]).evaluation)
    assert strictness.looser(rules) == ("min_dsr 0.1 (0.95)", "cscv_blocks 4 (16)")


KINDER_WHERE_MORE = {"participation", "margin_futures", "delisting_bars"}
TAKEN = [
    (group, name)
    for group, names in (
        ("costs", strictness.COSTS), ("limits", strictness.LIMITS), ("instrument", strictness.INSTRUMENT),
    )
    for name in names
]  # fmt: skip


@pytest.mark.parametrize(("group", "name"), TAKEN)
def test_a_market_is_kinder_where_it_takes_less_or_denies_less_and_not_where_it_takes_more(group, name):
    asset = compose(["asset=stocks"]).asset
    part = getattr(asset, group)
    ships = getattr(part, name)
    less, more = (False, True) if isinstance(ships, bool) else (ships - 1, ships + 1)
    kind, hard = (more, less) if name in KINDER_WHERE_MORE else (less, more)

    def told(value):
        return strictness.kinder_market(asset.model_copy(update={group: part.model_copy(update={name: value})}))

    assert strictness.kinder_market(asset) is None
    assert told(hard) is None
    assert told(kind).startswith(f"The market is kinder than it ships: asset.{group}.{name} ")


@pytest.mark.parametrize("name", strictness.LEAK_LIMITS)
def test_data_that_are_asked_by_a_higher_limit_than_ships_are_told_and_by_the_shipped_one_not(name):
    data = compose(["data=auto"]).data
    ships = getattr(data.quality, name)

    def asked(value):
        return data.model_copy(update={"quality": data.quality.model_copy(update={name: value})})

    assert strictness.looser_leak_test(data) == ()
    assert strictness.looser_leak_test(asked(ships / 2)) == ()
    (told,) = strictness.looser_leak_test(asked(ships * 2))
    assert told.startswith("they were asked by looser limits than ship, " + name)


def test_a_lag_that_dates_nothing_is_no_doubt():
    """A series that was collected with its vintages is known by them, whatever its lag says."""
    data = compose(["data.macro.series=[UNRATE]", "data.macro.lag_days.UNRATE=30"]).data
    (told,) = strictness.looser_leak_test(data)
    assert told.startswith("UNRATE may be used before it was published, by data.macro.lag_days.UNRATE")
    assert strictness.looser_leak_test(data, vintages=["UNRATE"]) == ()


def test_notes_say_which_series_have_vintages():
    notes = ["macro UNRATE: joined by release vintages; it stands still", "macro DFF: no release vintages, taken as"]
    assert macro.by_vintages(["UNRATE", "DFF"], notes) == {"UNRATE"}
