from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from wealtharena.config import compose
from wealtharena.data.manners import Manners, redact, retry_after
from wealtharena.data.provider import BusyError, RefusalError, UnreachableError
from wealtharena.errors import ProviderError


@pytest.fixture(scope="module")
def spec():
    manners = compose(["data=yahoo"]).data.manners
    return manners.model_copy(update={"requests_per_second": 1000.0, "backoff_seconds": 1.0, "attempts": 4})


class Failing:
    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "bars"


def busy(wait=None):
    return BusyError("yahoo", "X", "busy", retry_after=wait)


def test_waits_double_and_follow_what_the_provider_asks(spec):
    waits = []
    attempt = Failing(busy(), busy(), busy(30.0))
    assert Manners("yahoo", spec, sleep=waits.append).call(attempt) == "bars"
    assert waits == [1.0, 2.0, 30.0]


def test_attempts_end(spec):
    attempt = Failing(*[busy() for _ in range(9)])
    with pytest.raises(BusyError):
        Manners("yahoo", spec, sleep=lambda _: None).call(attempt)
    assert attempt.calls == 4


def away():
    return UnreachableError("yahoo", "X", "the connection failed (ConnectError)")


def test_a_provider_that_cannot_be_reached_at_all_is_tried_once_more_and_soon(spec):
    slow = spec.model_copy(update={"backoff_seconds": 10.0})
    waits, attempt = [], Failing(*[away() for _ in range(9)])
    with pytest.raises(UnreachableError):
        Manners("yahoo", slow, sleep=waits.append).call(attempt)
    assert (attempt.calls, waits) == (2, [1.0])
    waits, attempt = [], Failing(*[away() for _ in range(9)])
    manners = Manners("yahoo", slow, sleep=waits.append)
    manners.answers = 1  # it has answered before: the network is there, and comes back
    with pytest.raises(UnreachableError):
        manners.call(attempt)
    assert (attempt.calls, waits) == (4, [10.0, 20.0, 40.0])


@pytest.mark.parametrize(
    "error", [RefusalError("yahoo", "X", "bad key"), ProviderError("yahoo", "X", "premium"), busy(1000.0)]
)
def test_a_refusal_and_a_long_pause_are_not_tried_again(spec, error):
    attempt = Failing(error)
    with pytest.raises(type(error)):
        Manners("yahoo", spec, sleep=pytest.fail).call(attempt)
    assert attempt.calls == 1


def test_the_budget_is_a_refusal_with_a_way_out(spec):
    manners = Manners("yahoo", spec.model_copy(update={"requests_per_run": 2}))
    manners.admit("X")
    manners.admit("X")
    with pytest.raises(RefusalError, match="budget of 2") as raised:
        manners.admit("X")
    assert "requests_per_run" in raised.value.hint


def test_requests_are_paced(spec):
    import time

    manners = Manners("yahoo", spec.model_copy(update={"requests_per_second": 20.0}))
    start = time.monotonic()
    for _ in range(4):
        manners.admit("X")
    assert time.monotonic() - start >= 0.14


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), (None, None)],
)
def test_retry_after_is_read_as_seconds(value, seconds):
    assert retry_after({} if value is None else {"Retry-After": value}) == seconds


def test_retry_after_is_read_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < retry_after({"retry-after": later}) <= 60


@pytest.mark.parametrize(
    "text",
    [
        "GET https://x/query?apikey=SECRET42&symbol=IBM",
        "api_key=SECRET42",
        "x_cg_demo_api_key=SECRET42",
        "crumb=SECRET42 and more",
        "Set-Cookie: SECRET42; Path=/",
        "detected your API key as SECRET42 and",
    ],
)
def test_nothing_like_a_key_is_left_in_a_message(text):
    assert "SECRET42" not in redact(text, ["SECRET42"])
    if "detected" not in text:
        assert "SECRET42" not in redact(text)


def test_messages_are_one_short_line_without_the_home_folder():
    told = redact(f"cannot read\n{Path.home()}/data " + "x" * 500)
    assert "\n" not in told
    assert str(Path.home()) + "/" not in told
    assert len(told) == 240
