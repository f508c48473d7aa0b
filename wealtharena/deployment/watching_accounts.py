"""The routes of the trading view: the page, what changes on it as server-sent events, the accounts, the kill switch."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import FastAPI, Path, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from wealtharena.deployment import openapi
from wealtharena.deployment.board import Board, changed
from wealtharena.deployment.board import to_json as as_json
from wealtharena.deployment.schemas import AccountList, KillAnswer, KillBody

EVERY_SECONDS: Final = 1.0  # between two looks at the accounts
STREAM_SECONDS: Final = 12.0  # after which a stream ends and is asked for anew, so that a server can stop
_STILL: Final = b"event: still\ndata: 0\n\n"
Name = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


@dataclass(frozen=True, eq=False)
class Accounts:
    """The trading view of a service."""

    board: Board
    keyed: Callable[[], bool]  # whether keys are in force

    def add_routes(self, api: FastAPI) -> None:
        """Register every route."""
        api.get("/trading", response_class=HTMLResponse, include_in_schema=False)(self.page)
        api.get("/trading/stream", include_in_schema=False)(self.stream)
        api.get(
            "/trading/accounts",
            response_model=AccountList,
            tags=["trading"],
            summary="All accounts",
            responses=openapi.ERRORS,
        )(self.accounts)
        api.post(
            "/trading/{agent_id}/{account}/kill",
            response_model=KillAnswer,
            status_code=202,
            tags=["trading"],
            summary="Throw an account's kill switch",
            openapi_extra=openapi.request_body(KillBody),
            responses=openapi.ERRORS,
        )(self.kill)

    async def page(self) -> Response:
        """Return the page for a person."""
        return HTMLResponse(await asyncio.to_thread(self.board.page, keyed=self.keyed()))

    async def accounts(self) -> Response:
        """Return how every account stands: equity, positions, newest orders and interventions."""
        views = await asyncio.to_thread(self.board.views)
        return Response(to_json({"accounts": [as_json(view) for view in views]}), media_type="application/json")

    async def stream(self) -> Response:
        """Return what changes on the page as it changes: one event a change, its data the new parts by their ids."""
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=headers)

    async def _events(self) -> AsyncIterator[bytes]:
        until, shown = time.monotonic() + STREAM_SECONDS, dict[str, str]()
        yield b"retry: 500\n\n"
        while True:
            parts = await asyncio.to_thread(self.board.parts)
            news = changed(shown, parts)
            yield b"data: " + json.dumps(news).encode() + b"\n\n" if news else _STILL
            shown = parts
            if time.monotonic() >= until:
                return
            await asyncio.sleep(EVERY_SECONDS)

    async def kill(self, agent_id: Name, account: Name, request: Request) -> Response:
        """Throw the switch: `freeze` sends nothing more, `flatten` closes everything. Only with an API key.

        The process that trades obeys at its next close at the latest, and stays halted until a person releases it there.
        """
        if not self.keyed():
            raise HTTPException(403, "a kill switch needs an API key: create one with serve.action=create_key")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "the body must be application/json")
        body = KillBody.model_validate_json(await request.body())
        thrown = await asyncio.to_thread(self.board.throw, agent_id, account, body.command)
        if not thrown:
            raise HTTPException(404, "there is no such account; GET /trading/accounts lists them")
        facts: dict[str, Any] = {"agent": agent_id, "account": account, "command": body.command}
        request.state.audit = facts
        return Response(to_json(facts), status_code=202, media_type="application/json")
