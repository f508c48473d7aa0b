"""The OpenAPI document with examples that work, and a page that shows it without loading anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ValidationError

from wealtharena.deployment import answers
from wealtharena.deployment.schemas import ErrorBody, PredictBody, Ready
from wealtharena.deployment.style import STYLE
from wealtharena.prediction.agent import ServedAgent
from wealtharena.prediction.manager import ProductionModelManager

MAX_PROBLEMS = 20
ADDRESS = "http://address-of-this-service"  # stands in the page until it is known how it was asked for
_REASONS = {
    400: "the request is not HTTP that can be read",
    401: "no API key, or an unknown one",
    403: "not from this machine, or a kill switch, while there are no keys",
    404: "no such agent, or it is not promoted",
    405: "the path has no such method",
    408: "the body did not arrive in time",
    413: "the body is too large",
    415: "the body is not application/json, or it is compressed",
    421: "not addressed to localhost, while there are no keys",
    422: "a field can't be used; `problems` names it",
    429: "too many requests of this key; Retry-After says when",
    503: "too many requests of all at once, or the agent is set aside",
    500: "the service failed",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": text} for status, text in _REASONS.items()
}
HALTED: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorBody, "description": "the account is halted or to be frozen: nothing would be closed"}
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Ready, "description": "no agent is promoted yet, or the file of keys is gone or cannot be read"}
}
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "exposition format"},
    **{status: ERRORS[status] for status in (401, 403, 421, 429)},
}
_DESCRIPTION = (
    "Target weights of promoted agents. Every answer names the version, its stage, its verdict and whether it was trained "
    "on SIMULATED data. With API keys in force, send `Authorization: Bearer <key>`."
)


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the operation's body; the route parses it itself, straight from the bytes."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def problems(
    error: ValidationError | RequestValidationError, *, place: Sequence[str | int] = (), offset: int | None = None
) -> list[dict[str, str]]:
    """Return each wrong field by its path, without the value that the client sent.

    `place` is where the part stands that the error is of; with `offset` it is a list of which a piece was looked at.
    """
    found = []
    for entry in list(error.errors(include_url=False) if isinstance(error, ValidationError) else error.errors())[
        :MAX_PROBLEMS
    ]:
        path = list(entry["loc"])
        if offset is not None and path and isinstance(path[0], int):
            path[0] += offset
        field = ".".join(printable(str(part)[:64]) for part in (*place, *path)) or "body"
        message = entry["msg"].removeprefix("Value error, ")
        found.append(
            {"field": field[:256], "message": "is not JSON in UTF-8" if entry["type"] == "json_invalid" else message}
        )
    return found


def printable(text: str) -> str:
    """Return a client's text so that it can be written: without halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def document(api: FastAPI, manager: ProductionModelManager, *, keyed: bool) -> dict[str, Any]:
    """Return the OpenAPI document of this moment."""
    made = get_openapi(title=api.title, version=api.version, description=_DESCRIPTION, routes=api.routes)
    schemas = made["components"]["schemas"]
    body = PredictBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(body.pop("$defs"))
    schemas["PredictBody"] = body
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    operation = made["paths"]["/agents/{agent_id}/predict"]["post"]
    loaded = dict(sorted(manager.loaded.items()))
    if loaded:
        requests, replies = {}, {}
        for agent, served in loaded.items():
            request = example(served)
            requests[agent] = {"summary": f"one observation of {agent}", "value": request}
            reply = answers.predict(manager, served, PredictBody.model_validate(request), max_stale_bars=None)
            replies[agent] = {"summary": f"{agent} {served.pointer.version}", "value": json.loads(json.dumps(reply))}
            batch = {"batch": [request, {"features": request["features"]}]}
            requests[f"{agent}_batch"] = {"summary": f"two observations of {agent}", "value": batch}
        operation["requestBody"]["content"]["application/json"]["examples"] = requests
        operation["responses"]["200"]["content"]["application/json"]["examples"] = replies
    for path in ("/agents/{agent_id}", "/agents/{agent_id}/predict"):
        for operation in made["paths"][path].values():
            operation["parameters"][0]["examples"] = {
                agent: {"value": agent} for agent in loaded or ("cryptocurrencies",)
            }
    if keyed:
        made["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, operations in made["paths"].items():
            if path not in ("/health", "/ready"):
                for operation in operations.values():
                    operation["security"] = [{"bearer": []}, {"header": []}]
    return made


def example(served: ServedAgent) -> dict[str, Any]:
    """Return a request that the agent answers: its last recorded observation."""
    policy = served.policy
    features = policy.probe.features[-1].astype(float)
    features[features != features] = 0.0
    symbols = policy.metadata.symbols
    row = policy.probe.portfolio[-1].tolist()
    weights = {symbol: round(value, 6) for symbol, value in zip(symbols, row, strict=False) if abs(value) >= 1e-6}
    portfolio = {
        "weights": weights,
        "cash": round(row[-3], 6),
        "drawdown": round(row[-2], 6),
        "leverage": round(row[-1], 6),
    }
    return {
        "features": [[[float(f"{x:.6g}") for x in bar] for bar in symbol] for symbol in features],
        "portfolio": portfolio,
    }


def docs_page(made: dict[str, Any], address: str) -> str:
    """Return the document as a page for a person, with commands that reach the service at `address`."""
    parts = []
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(address, path, method.upper(), operation))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>WealthArena API</title><style>{STYLE}</style><body><header><h1>WealthArena API</h1>"
        f"<p class=lead>{escape(_DESCRIPTION)}</p><nav><a href='/'>Agents</a> <a href='/openapi.json'>openapi.json</a></nav></header>"
        f"<main class=docs>{''.join(parts)}</main></body></html>"
    )


def _operation(address: str, path: str, method: str, operation: dict[str, Any]) -> str:
    statuses = "".join(
        f"<li><code>{code}</code> {escape(reply['description'])}</li>" for code, reply in operation["responses"].items()
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    agents = next((one.get("examples") for one in operation.get("parameters", ())), None) or {"cryptocurrencies": {}}
    shown = path.replace("{agent_id}", next(iter(agents)))
    command = f"curl -s {address}{shown}"
    extra = ""
    if method == "POST":
        first = next(iter(body.get("examples", {}).values()), None)
        command += " -H 'content-type: application/json' -d @request.json"
        if first is not None:
            extra = f"<details><summary>request.json</summary><pre tabindex=0>{escape(json.dumps(first['value']))}</pre></details>"
    description = escape(operation.get("description", ""))
    return (
        f"<section class=card><h2><span class=method>{method}</span> <code>{escape(path)}</code></h2><p>{description}</p>"
        f"<pre tabindex=0>{escape(command)}</pre>{extra}<details><summary>Answers</summary><ul>{statuses}</ul></details></section>"
    )
