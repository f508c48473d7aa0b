from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from tests.deployment.rooms import FEATURES, Client, client
from tests.registry.shelf import AGENT, SYMBOLS, save, stocked
from wealtharena.deployment import keys
from wealtharena.registry import ModelCheckpoint, history, promote


@pytest.fixture
def service(tmp_path: Path) -> Client:
    stocked(tmp_path)
    return client(tmp_path)


def refused(response: object) -> dict[str, str]:
    body = response.json()
    assert response.status_code == 422, body
    assert body["code"] == "invalid_input"
    return {problem["field"]: problem["message"] for problem in body["problems"]}


def test_a_prediction_names_its_version_stage_and_verdict(service: Client) -> None:
    answer = service.predict("crypto", features=FEATURES).json()
    assert answer["agent"] == AGENT
    assert (answer["version"], answer["stage"], answer["verdict"], answer["simulated"]) == (
        "v1",
        "production",
        "promotable",
        False,
    )
    (prediction,) = answer["predictions"]
    assert prediction["weights"] == pytest.approx({"BTC-USD": 0.5, "ETH-USD": 0.2, "SOL-USD": 0.1})
    assert prediction["flat_portfolio_assumed"]
    assert service.predict("etf", features=FEATURES).json()["simulated"]


def test_a_request_that_means_another_version_is_refused(service: Client) -> None:
    """The state of an agent with memory was taken by whatever version stood there since."""
    answers = service.predict(AGENT, features=FEATURES).json()["version"]
    assert service.predict(AGENT, features=FEATURES, version=answers).status_code == 200
    refused = service.predict(AGENT, features=FEATURES, version="before")
    assert refused.status_code == 422
    (problem,) = refused.json()["problems"]
    assert problem["field"] == "version"
    assert f"{answers} answers" in problem["message"]


def test_a_batch_is_answered_in_order(service: Client) -> None:
    up = np.zeros((3, 2, 2))
    up[0, 1, 0] = 2.0
    batch = [{"features": FEATURES}, {"features": up.tolist(), "portfolio": {"weights": {"BTC-USD": 0.5}}}]
    first, second = service.predict(batch=batch).json()["predictions"]
    assert first["weights"]["BTC-USD"] == pytest.approx(0.5)
    assert second["weights"]["BTC-USD"] == pytest.approx(0.6)
    assert (first["flat_portfolio_assumed"], second["flat_portfolio_assumed"]) == (True, False)


def bars(count: int = 40, **changes: object) -> list[dict[str, object]]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        {
            "timestamp": (today - timedelta(days=count - i)).isoformat(),  # the newest bar is over
            "symbol": symbol,
            "close": 100.0 + i,
            **changes,
        }
        for i in range(count)
        for symbol in SYMBOLS
    ]


def test_bars_are_turned_into_features_by_the_service(service: Client) -> None:
    answer = service.predict(bars=bars()).json()
    expected = 0.5 + 0.05 * np.log(139 / 138)
    assert answer["predictions"][0]["weights"]["BTC-USD"] == pytest.approx(expected, abs=1e-6)
    assert answer["predictions"][0]["as_of"] == bars()[-1]["timestamp"][:19]


@pytest.mark.parametrize(
    "written",
    [
        lambda day: day.replace("+00:00", "+09:00"),
        lambda day: day.replace("+00:00", "+02:00"),
        lambda day: datetime.fromisoformat(day).astimezone(timezone(timedelta(hours=-5))).isoformat(),
    ],
)
def test_a_daily_bar_is_of_a_written_midnights_date_or_of_its_instants(
    service: Client, written: Callable[[str], str]
) -> None:
    given = [{**bar, "timestamp": written(str(bar["timestamp"]))} for bar in bars()]
    (answer,) = service.predict(bars=given).json()["predictions"]
    (expected,) = service.predict(bars=bars()).json()["predictions"]
    assert (answer["as_of"], answer["weights"]) == (expected["as_of"], expected["weights"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"features": [[[NaN, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}', "features.0.0.0"),
        ('{"features": [[[0, Infinity], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}', "features.0.0.1"),
        ('{"features": [[[0, 1e999], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}', "features.0.0.1"),
        ('{"features": [[[0, 1e300], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}', "features"),
        ('{"features": [[[0, 0], [0, 0]], [[0, 0], [0, 0]]]}', "features"),
        ('{"features": [[[0, 0], [0, 0]], [[0, 0]], [[0, 0], [0, 0]]]}', "features.1"),
        ('{"features": [[[0, 0], [0, 0]], [[0, 0], [0]], [[0, 0], [0, 0]]]}', "features.1.1"),
        ('{"features": [[["0", 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]}', "features.0.0.0"),
        ('{"features": 3}', "features"),
        ("{}", "body"),
        ("[]", "body"),
        ("", "body"),
        ("{", "body"),
        ('{"features": [], "bars": []}', "bars"),
        ('{"weights": []}', "weights"),
        ('{"batch": []}', "batch"),
        ('{"batch": [{"features": [[[0]]]}]}', "batch.0.features"),
    ],
)
def test_a_bad_body_is_refused_by_the_fields_name(service: Client, body: str, field: str) -> None:
    assert field in refused(service.raw(body))


@pytest.mark.parametrize(
    ("portfolio", "field"),
    [
        ({"weights": {"DOGE": 0.1}}, "portfolio.weights.DOGE"),
        ({"weights": {"BTC-USD": 1e9}}, "portfolio.weights.BTC-USD"),
        ({"weights": {}, "drawdown": 0.5}, "portfolio.drawdown"),
        ({"weights": {}, "leverage": -1}, "portfolio.leverage"),
        ({"weights": {}, "cash": 1e9}, "portfolio.cash"),
        ({"money": 1}, "portfolio.money"),
    ],
)
def test_a_bad_portfolio_is_refused_by_the_fields_name(
    service: Client, portfolio: dict[str, object], field: str
) -> None:
    assert field in refused(service.predict(features=FEATURES, portfolio=portfolio))
    assert f"batch.0.{field}" in refused(service.predict(batch=[{"features": FEATURES, "portfolio": portfolio}]))


def test_a_portfolio_whose_parts_contradict_is_answered_with_a_note(service: Client) -> None:
    odd = {"features": FEATURES, "portfolio": {"weights": {"BTC-USD": 0.5}, "cash": 9.0}}
    even = {"features": FEATURES, "portfolio": {"weights": {"BTC-USD": 0.5}, "cash": 0.5}}
    first, second = service.predict(batch=[odd, even]).json()["predictions"]
    (note,) = first["notes"]
    assert "add up to 9.5 of equity, not to 1" in note
    assert second["notes"] == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (bars(10), "bars.BTC-USD"),
        (bars()[:-1], None),
        (bars()[:-30], "bars.BTC-USD"),
        ([row for row in bars() if row["symbol"] != "SOL-USD"], "bars.SOL-USD"),
        (bars() + bars()[:1], "bars.BTC-USD"),
        ([{**row, "symbol": "DOGE"} for row in bars()], "bars.DOGE"),
        (bars(close="1"), "bars.0.close"),
        (bars(timestamp="someday"), "bars.0.timestamp"),
        (bars(timestamp="0001-01-01T00:00:00Z"), "bars.0.timestamp"),
        (bars(volume=-1), "bars.0.volume"),
    ],
)
def test_bad_bars_are_refused_by_the_fields_name(
    service: Client, given: list[dict[str, object]], field: str | None
) -> None:
    response = service.predict(bars=given)
    if field is None:
        assert response.status_code == 200
    else:
        assert field in refused(response)


def test_a_batch_and_a_body_have_limits(tmp_path: Path) -> None:
    stocked(tmp_path)
    service = client(tmp_path, max_batch=2, max_body_bytes=5_000)
    assert service.predict(batch=[{"features": FEATURES}] * 2).status_code == 200
    assert "at most 2" in refused(service.predict(batch=[{"features": FEATURES}] * 3))["batch"]
    assert service.raw(" " * 5_001).status_code == 413
    lying = service.request(
        "POST", f"/agents/{AGENT}/predict", content=iter_bytes(6), headers={"content-type": "application/json"}
    )
    assert lying.status_code == 413
    assert lying.json()["code"] == "too_large"


async def iter_bytes(kilobytes: int):
    for _ in range(kilobytes):
        yield b" " * 1024


def test_only_json_is_read(service: Client) -> None:
    response = service.request(
        "POST", f"/agents/{AGENT}/predict", content=b"{}", headers={"content-type": "text/plain"}
    )
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/agents/nobody", 404), ("/agents/commodities", 404), ("/agents/%2e%2e", 404)],
)
def test_what_is_not_there_is_404_in_the_same_shape(service: Client, path: str, status: int) -> None:
    response = service.get(path)
    assert response.status_code == status
    assert set(response.json()) == {"code", "message", "request_id", "problems"}


def test_a_wrong_method_is_405(service: Client) -> None:
    assert service.request("DELETE", "/agents").status_code == 405
    assert service.request("HEAD", "/agents/crypto/predict").status_code == 405


@pytest.mark.parametrize("path", ["/health", "/ready", "/agents", "/", "/nothing"])
def test_a_head_request_is_answered_as_the_same_get(service: Client, path: str) -> None:
    """As uptime monitors and `curl -I` ask."""
    head, get = service.request("HEAD", path), service.get(path)
    assert head.status_code == get.status_code
    assert {*head.headers} == {*get.headers}
    assert [line["method"] for line in service.audit[-2:]] == ["HEAD", "GET"]


def test_every_answer_carries_the_security_headers(service: Client) -> None:
    for path in ("/", "/docs", "/agents", "/nothing", "/health"):
        headers = service.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "server" not in headers


def test_a_failure_inside_shows_no_trace_and_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stocked(tmp_path)
    service = client(tmp_path)

    def explode(*_: object, **__: object) -> None:
        raise RuntimeError(f"secret of {tmp_path}")

    monkeypatch.setattr("wealtharena.deployment.app.answers.predict", explode)
    response = service.predict(features=FEATURES)
    assert response.status_code == 500
    assert set(response.json()) == {"code", "message", "request_id", "problems"}
    assert "secret" not in response.text
    assert str(tmp_path) not in response.text
    assert response.json()["request_id"] in caplog.text


@pytest.mark.slow
def test_a_key_has_its_own_rate(tmp_path: Path) -> None:
    stocked(tmp_path)
    alice, bob = (keys.create_key(tmp_path / "keys.json", name) for name in ("alice", "bob"))
    service = client(tmp_path, rate_per_minute=3)
    replies = [service.get("/agents", headers={"x-api-key": alice}) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 21
    assert service.get("/agents", headers={"x-api-key": bob}).status_code == 200
    other_worker = client(tmp_path, rate_per_minute=3)
    assert other_worker.get("/agents", headers={"x-api-key": alice}).status_code == 429


def test_the_audit_line_has_who_and_what_but_never_the_key(tmp_path: Path) -> None:
    stocked(tmp_path)
    secret = keys.create_key(tmp_path / "keys.json", "alice")
    service = client(tmp_path)
    service.headers = {"authorization": f"Bearer {secret}"}
    reply = service.predict(features=FEATURES)
    service.get("/agents?key=" + secret)
    service.get("/agents/a%0ab")
    first, second, third = service.audit
    assert (first["key"], first["status"], first["agent"], first["version"]) == ("alice", 200, AGENT, "v1")
    assert first["request_id"] == reply.headers["x-request-id"]
    assert second["path"] == "/agents"
    assert third["path"] == "/agents/a\nb"
    assert secret not in json.dumps(service.audit)


def test_the_counters_know_routes_not_paths(service: Client) -> None:
    service.predict(features=FEATURES)
    service.get("/made-up-path")
    text = service.get("/metrics").text
    assert 'wealtharena_requests_total{method="POST",route="/agents/{agent_id}/predict",status="200"} 1.0' in text
    assert f'wealtharena_predictions_total{{agent="{AGENT}",version="v1"}} 1.0' in text
    assert "made-up-path" not in text
    assert (
        'wealtharena_agent_info{agent="etf",version="s1",stage="paper",verdict="unproven",simulated="true"} 1' in text
    )


def test_the_examples_of_the_openapi_document_work(service: Client) -> None:
    made = service.get("/openapi.json").json()
    operation = made["paths"]["/agents/{agent_id}/predict"]["post"]
    requests = operation["requestBody"]["content"]["application/json"]["examples"]
    replies = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert set(requests) == {AGENT, f"{AGENT}_batch", "etf", "etf_batch"}
    for name, shown in requests.items():
        reply = service.predict(name.removesuffix("_batch"), **shown["value"])
        assert reply.status_code == 200
        if name in replies:
            assert reply.json() == replies[name]["value"]


def test_ready_says_whether_anything_answers(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    empty = client(tmp_path)
    assert empty.get("/health").status_code == 200
    assert empty.get("/ready").status_code == 503
    assert empty.get("/ready").json()["agents"] == {}
    assert empty.predict(features=FEATURES).status_code == 404
    assert "Nothing promoted" in empty.get("/").text


def test_the_page_shows_each_agent_with_its_marks(tmp_path: Path) -> None:
    store = stocked(tmp_path)
    hostile = "<script>alert(1)</script>"
    save(
        store,
        "h1",
        agent="commodities",
        verdict="unproven",
        described={"verdict": {"status": "unproven", "reasons": [hostile]}},
    )
    promote(store, "commodities", "h1", force_reason=hostile)
    page = client(tmp_path).get("/").text
    for text in (
        "Cryptocurrencies",
        "In production",
        "Promotable",
        "SIMULATED",
        "Buy and hold",
        "BTC-USD",
        "Forced into production",
    ):
        assert text in page
    assert "<script" not in page
    assert "src=" not in page
    assert "Currency pairs" in page


def test_page_and_answer_say_first_why_a_verdict_is_doubted(tmp_path: Path) -> None:
    store = ModelCheckpoint(tmp_path / "checkpoints")
    save(
        store, "good", verdict="promotable", described={"verdict": {"status": "promotable", "reasons": ["it is good"]}}
    )
    doubt = "adopted, and the ledger does not know the verdict of its run"
    digest = history.saved(history.read_history(store.root, agent=AGENT), "good")
    adopted = {"event": "adopt", "agent": AGENT, "version": "good", "manifest_sha256": digest, "doubt": doubt}
    history.append(store.root, adopted)
    promote(store, AGENT, "good")
    service = client(tmp_path)
    page = service.get("/").text
    assert ">Unproven<" in page
    answer = service.get(f"/agents/{AGENT}").json()
    assert (answer["serving"]["verdict"], answer["verdict_reasons"]) == ("unproven", [doubt, "it is good"])
    assert f"<h3>Why unproven</h3><ul><li>{doubt}</li><li>it is good</li></ul>" in page


@pytest.mark.slow
def test_an_agent_whose_answer_is_no_portfolio_is_503_and_the_others_answer(tmp_path: Path) -> None:
    store = stocked(tmp_path)
    save(store, "v2", verdict="promotable", weights=(0.5, 0.2, 0.1), slope=1e3)
    promote(store, AGENT, "v2")
    service = client(tmp_path)
    assert service.predict(features=FEATURES).status_code == 200
    large = np.full((3, 2, 2), 1e3).tolist()
    for features in (large, FEATURES):
        reply = service.predict(features=features)
        assert reply.status_code == 503
        assert set(reply.json()) == {"code", "message", "request_id", "problems"}
    assert service.predict("etf", features=FEATURES).status_code == 200
    assert "set aside" in service.get("/").text
