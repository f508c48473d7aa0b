"""The routes of the trading view: the page, what changes on it as server-sent events, the accounts, the kill switch."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import FastAPI, Path, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from wealtharena.deployment import openapi
from wealtharena.deployment.board import Board, FrozenError, HaltedError, drawdown, grown
from wealtharena.deployment.parsing import check_kind
from wealtharena.deployment.schemas import AccountList, KillAnswer, KillBody
from wealtharena.prediction.inputs import InputError
from wealtharena.trading.reading import AccountView

logger = logging.getLogger("wealtharena.deployment")
EVERY_SECONDS: Final = 1.0  # between two looks at the accounts
STREAM_SECONDS: Final = 12.0  # after which a stream ends and is asked for anew, so that a server can stop
MAX_NAME: Final = 8_000  # of what is sent back in a header, well below what a head may have
_HALTED: Final = "the account is halted and sends nothing: release it at the machine, then close everything"
_FROZEN: Final = "the switch is thrown already, to freeze: remove the file KILL at the machine, then close everything"
_UNWRITTEN: Final = (
    "the service cannot write the switch's file: throw it at the machine, by a file KILL in the account's folder"
)
_MARK: Final = 10  # hex digits that tell a part from others
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
            responses=openapi.ERRORS | openapi.HALTED,
        )(self.kill)

    async def page(self) -> Response:
        """Return the page for a person."""
        return HTMLResponse(await asyncio.to_thread(self.board.page, keyed=self.keyed()))

    async def accounts(self) -> Response:
        """Return how every account stands: equity, positions, newest orders and interventions."""
        views = await asyncio.to_thread(self.board.views)
        lost = [f"{agent}/{account}" for agent, account in self.board.unreadable()]
        content = {"accounts": [as_json(view) for view in views], "unreadable": lost}
        return Response(to_json(content, inf_nan_mode="null"), media_type="application/json")

    async def stream(self, request: Request) -> Response:
        """Return what changes on the page as it changes: one event a change, its data the new parts by their ids.

        A browser that asks anew says what it was sent last, and is sent what has changed since.
        """
        events = self._events(request.headers.get("last-event-id", ""))
        return StreamingResponse(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _events(self, last: str = "") -> AsyncIterator[bytes]:
        until, shown = time.monotonic() + STREAM_SECONDS, None
        yield b"retry: 500\n\n"
        while True:
            parts = await asyncio.to_thread(self.board.parts)
            news = changed(already(parts, last) if shown is None else shown, parts)
            yield _event(news, named(parts)) if news else _STILL
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
        check_kind(request.headers)
        raw = await request.body()
        body = KillBody.model_validate_json(raw)
        _check_once(raw)
        try:
            thrown = await asyncio.to_thread(self.board.throw, agent_id, account, body.command)
        except FrozenError:
            raise HTTPException(409, _FROZEN) from None
        except HaltedError:
            raise HTTPException(409, _HALTED) from None
        except OSError as error:
            logger.error("the kill switch of %s/%s cannot be thrown: %s", agent_id, account, error.strerror)
            raise HTTPException(503, _UNWRITTEN) from None
        if not thrown:
            raise HTTPException(404, "there is no such account; GET /trading/accounts lists them")
        facts: dict[str, Any] = {"agent": agent_id, "account": account, "command": body.command}
        request.state.audit = facts
        return Response(to_json(facts), status_code=202, media_type="application/json")


def _check_once(raw: bytes) -> None:
    """Raise InputError where a field stands in a body twice: which of two commands is meant nobody knows."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise InputError("body", "has a field twice")
        return found

    json.loads(raw, object_pairs_hook=once)


def as_json(view: AccountView) -> dict[str, Any]:
    """Return an account as the API shows it."""
    return {
        "agent": view.agent,
        "account": view.account,
        "epoch": view.epoch,
        "broker": view.facts.get("broker"),
        "live": view.live,
        "version": view.facts.get("version"),
        "checkpoints": view.names,
        "standing": view.standing,
        "currency": view.currency,
        "state": view.state,
        "reason": view.reason,
        "kill_switch": view.switch,
        "bars": view.bars,
        "bar": view.bar,
        "equity": view.equity,
        "cash": view.cash,
        "drawdown": drawdown(view),
        "total_return": grown(view.equity, view.opened_with),
        "flows": view.flows,
        "positions": [vars(one) for one in view.positions],
        "held": dict(view.held),
        "orders": [vars(one) for one in view.orders],
        "interventions": [{**vars(one), "numbers": dict(one.numbers)} for one in view.interventions],
    }


def _event(news: Mapping[str, str], name: str) -> bytes:
    """Return an event; it bears the name of all that is shown then, unless that would be too long for a browser's header."""
    told = f"id: {name}\n" if len(name) <= MAX_NAME else "id\n"
    return f"{told}data: {json.dumps(news)}\n\n".encode()


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that are not as they were."""
    return {name: text for name, text in now.items() if before.get(name) != text}


def named(parts: Mapping[str, str]) -> str:
    """Return what tells these parts from any others, one mark each in their order, so that a browser can say what it shows."""
    return ",".join(hashlib.sha256(f"{name}={text}".encode()).hexdigest()[:_MARK] for name, text in parts.items())


def already(parts: Mapping[str, str], shown: str) -> dict[str, str]:
    """Return the parts that a browser shows, by what it was told that they are named."""
    marks = set(shown.split(","))
    return {name: text for name, text in parts.items() if named({name: text}) in marks}
