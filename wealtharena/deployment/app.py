"""The REST service: verified agents behind HTTP. Imports neither torch nor ray."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from wealtharena.deployment import answers, openapi
from wealtharena.deployment.board import Board
from wealtharena.deployment.fairness import BusyError, Lane
from wealtharena.deployment.gauges import exposition
from wealtharena.deployment.guard import Audit, BodyTooLargeError, Guard
from wealtharena.deployment.keys import Keys
from wealtharena.deployment.limits import RateLimiter
from wealtharena.deployment.lines import log_without_waiting
from wealtharena.deployment.meters import CONTENT_TYPE, Meters
from wealtharena.deployment.page import front_page
from wealtharena.deployment.parsing import SMALL, FaultError, PartsLimit, check_kind, parse_large
from wealtharena.deployment.protocol import LOBBY
from wealtharena.deployment.schemas import AgentDetail, AgentList, Health, PredictAnswer, PredictBody, Ready
from wealtharena.deployment.settings import Settings
from wealtharena.deployment.watching import Watch, mark_of, oldest_age
from wealtharena.deployment.watching_accounts import Accounts
from wealtharena.errors import CheckpointError, DataError, WealthArenaError
from wealtharena.files import hold_folder
from wealtharena.prediction.agent import ServedAgent, UnfitAnswerError
from wealtharena.prediction.cleaning import warm
from wealtharena.prediction.inputs import InputError
from wealtharena.prediction.manager import ProductionModelManager

logger = logging.getLogger("wealtharena.deployment")
BODY_SECONDS = 20
SWITCH_SECONDS = 0.002  # after which a thread that computes lets the others answer
AgentId = Annotated[
    str, Path(max_length=64, description="agent id such as `cryptocurrencies`, or an asset class such as `crypto`")
]
_CODES = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}


def create() -> Guard:
    """Return the application of a worker process, as its environment tells it to be; uvicorn calls this."""
    settings = Settings.from_environment()
    hold_folder(settings.runtime)  # also when the process that made it is gone
    log_without_waiting()
    sys.setswitchinterval(SWITCH_SECONDS)
    LOBBY.per_address = settings.connections_per_address
    service = build(settings)
    gc.collect()
    gc.freeze()  # what lives as long as the process is not looked through again and again
    return service


def build(settings: Settings) -> Guard:
    """Return the guarded application."""
    service = Service(settings)
    api = FastAPI(
        title="WealthArena", version="1", lifespan=service.lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    service.add_routes(api)
    _add_errors(api)
    return Guard(api, service.keys, service.limiter, service.meters, service.audit, settings.max_body_bytes)


@dataclass
class Pages:
    """Pages that are made once for what `state` returns, however often they are asked for.

    What they show changes with it and with nothing else: each part is replaced when anything in it changes.
    """

    state: Callable[[], tuple[object, ...]]
    _of: tuple[object, ...] = ()
    _made: dict[str, bytes] = field(default_factory=dict)

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Return a page, made now where it is not that of the present state."""
        state = self.state()
        if len(state) != len(self._of) or any(a is not b for a, b in zip(state, self._of, strict=True)):
            self._of, self._made = state, {}
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


class Service:
    """The routes and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.manager = ProductionModelManager(settings.checkpoints)
        self.keys = Keys(settings.keys_file, settings.keyed, settings.runtime / "keyed")
        self.limiter = RateLimiter(settings.runtime, settings.rate_per_minute)
        self.meters = Meters()
        self.audit = Audit(settings.audit_file)
        self.lane = Lane()
        self.board = Board(settings.paper)
        self.pages = Pages(lambda: (self.manager.loaded, self.manager.problems, self.keys.ring))
        self._ends = False
        self.keys.refresh()
        self.watches = (
            Watch("key", self.keys.refresh, settings.poll_seconds),
            Watch("registry", self._renew, settings.poll_seconds, mark_of(settings.runtime)),
        )
        try:
            self._take_up()
        except OSError as error:
            logger.error("the registry cannot be read: %s", error.strerror)

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Watch for promotions, and for keys, while the application lives."""
        tasks = [asyncio.create_task(watch.run()) for watch in self.watches]
        tasks.append(asyncio.create_task(asyncio.to_thread(self._warm, tuple(self.manager.loaded))))
        try:
            yield
        finally:
            self._ends = True
            for task in tasks[:-1]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.audit.lines.flush, seconds=2.0)

    def _renew(self) -> None:
        self._warm(self._take_up())

    def _warm(self, agents: Iterable[str]) -> None:
        """Spare the first question about bars of each agent what can be done beforehand."""
        for agent in agents:
            served = self.manager.serving(agent)
            if served is not None and not self._ends:
                with contextlib.suppress(WealthArenaError):  # who asks is told of it
                    warm(served.metadata)

    def _take_up(self) -> tuple[str, ...]:
        """Serve what the registry says now, and log what of it can't be served; return the agents that changed."""
        before = self.manager.loaded
        changed = tuple(self.manager.refresh())
        for agent in changed:
            problem = self.manager.problems.get(agent)
            answers_anew = self.manager.serving(agent) is not before.get(agent)
            self.meters.reloaded(agent, failed=problem is not None and not answers_anew)
            if problem is not None:
                logger.error("%s%s: %s", agent, "" if answers_anew else " goes on with what it had", problem)
        return changed

    def watched(self) -> float:
        """Return the seconds since this worker last got through looking at registry and keys."""
        return max(watch.age() for watch in self.watches)

    def add_routes(self, api: FastAPI) -> None:
        """Register every route."""
        api.get("/health", response_model=Health, tags=["service"], summary="Does the process live?")(self.health)
        api.get(
            "/ready", response_model=Ready, tags=["service"], summary="Do agents answer?", responses=openapi.NOT_READY
        )(self.ready)
        api.get("/agents", response_model=AgentList, tags=["agents"], summary="All agents", responses=openapi.ERRORS)(
            self.agents
        )
        api.get(
            "/agents/{agent_id}",
            response_model=AgentDetail,
            tags=["agents"],
            summary="One agent",
            responses=openapi.ERRORS,
        )(self.agent)
        api.post(
            "/agents/{agent_id}/predict",
            response_model=PredictAnswer,
            tags=["agents"],
            summary="Target weights",
            openapi_extra=openapi.request_body(PredictBody),
            responses=openapi.ERRORS,
        )(self.predict)
        api.get("/metrics", response_class=Response, tags=["service"], summary="Prometheus", responses=openapi.TEXT)(
            self.metrics
        )
        Accounts(self.board, lambda: self.keys.ring.keyed).add_routes(api)
        api.get("/", response_class=HTMLResponse, include_in_schema=False)(self.page)
        api.get("/docs", response_class=HTMLResponse, include_in_schema=False)(self.docs)
        api.get("/openapi.json", include_in_schema=False)(self.schema)
        self.api = api

    async def health(self) -> Response:
        """Return 200 as long as the process answers at all."""
        return _json(Health(status="ok"))

    async def ready(self, request: Request) -> Response:
        """Return 200 once at least one agent answers somebody, 503 else. Only who may ask the agents is told their names."""
        loaded = {agent: served.pointer.version for agent, served in self.manager.loaded.items()}
        known: bool = request.state.known
        status = "ready" if loaded else "no agent is promoted"
        if self.keys.lost:
            status = "nobody is answered: the file of keys is gone or cannot be read"
        body = Ready(
            status=status,
            watched_seconds_ago=round(self.watched(), 3),
            agents=loaded if known else None,
            problems=dict(self.manager.problems) if known else None,
        )
        return _json(body, status=200 if status == "ready" else 503)

    async def agents(self) -> Response:
        """Return every agent: what is on its stages, and what answers for it."""
        content = self.pages.get("agents", lambda: to_json(answers.agent_list(self.manager)))
        return Response(content, media_type="application/json")

    async def agent(self, agent_id: AgentId) -> Response:
        """Return what an agent takes, what it holds and why, and its record against the baselines."""
        served = self._served(agent_id)
        name = f"agents/{served.metadata.agent}"
        content = self.pages.get(name, lambda: to_json(answers.detail(self.manager, served)))
        return Response(content, media_type="application/json")

    async def predict(self, agent_id: AgentId, request: Request) -> Response:
        """Return target weights for one observation or a batch; every prediction of an answer is of one version."""
        served = self._served(agent_id)
        check_kind(request.headers)
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) <= SMALL:
            body = PredictBody.model_validate_json(await _whole(request))
            self._check_size(body)
            if answers.has_bars(body):
                with self.lane.seat(request.state.owner):
                    answer = await self._in_turn(request, lambda: self._answer(served, body))
            else:
                answer = self._answer(served, body)
        else:
            with self.lane.seat(request.state.owner):
                raw = await _whole(request)
                answer = await self._in_turn(request, lambda: self._answer(served, self._parse(served, raw)))
        self.meters.predictions(served.pointer.agent, served.pointer.version, len(answer["predictions"]))
        spreads = [item["spread"] for item in answer["predictions"] if item["spread"] is not None]
        request.state.audit = {
            "agent": served.pointer.agent,
            "version": served.pointer.version,
            "predictions": len(answer["predictions"]),
            **({"spread": round(max(spreads), 6)} if spreads else {}),
        }
        return Response(to_json(answer), media_type="application/json")

    async def _in_turn(self, request: Request, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `work` makes in a thread, when it is the turn of the request's owner."""
        async with self.lane.turn(request.state.owner):
            return await asyncio.to_thread(work)

    def _parse(self, served: ServedAgent, raw: bytes) -> PredictBody:
        meta, most = served.metadata, self.settings.max_batch
        PartsLimit.of(batch=most, assets=len(meta.symbols), window=meta.window, states=len(meta.states)).check(raw)
        body = parse_large(raw, max_batch=most)
        self._check_size(body)
        return body

    def _check_size(self, body: PredictBody) -> None:
        found, most = answers.size(body), self.settings.max_batch
        if found > most:
            raise InputError("batch", f"has {found} observations, at most {most} are taken")

    def _answer(self, served: ServedAgent, body: PredictBody) -> dict[str, Any]:
        return answers.predict(self.manager, served, body, max_stale_bars=self.settings.max_stale_bars)

    async def metrics(self) -> Response:
        """Return the counters of all workers."""
        watched = max(self.watched(), oldest_age(self.settings.runtime))
        content = await asyncio.to_thread(self.meters.page, self.manager.loaded, self.manager.problems, watched=watched)
        accounts = await asyncio.to_thread(lambda: exposition(self.board.views(), self.board.unreadable()))
        return Response(content + accounts.encode(), media_type=CONTENT_TYPE)

    async def page(self) -> Response:
        """Return the page for a person."""
        return HTMLResponse(self.pages.get("page", lambda: front_page(self.manager).encode()))

    async def docs(self, request: Request) -> Response:
        """Return the API's documentation as a page that loads nothing from elsewhere."""
        address = str(request.base_url).rstrip("/")
        made = self.pages.get("docs", lambda: openapi.docs_page(self._document(), openapi.ADDRESS).encode())
        return HTMLResponse(made.replace(openapi.ADDRESS.encode(), escape(address).encode()))

    async def schema(self) -> Response:
        """Return the OpenAPI document, with examples that work on the agents of this moment."""
        content = self.pages.get("schema", lambda: to_json(self._document()))
        return Response(content, media_type="application/json")

    def _document(self) -> dict[str, Any]:
        return openapi.document(self.api, self.manager, keyed=self.keys.ring.keyed)

    def _served(self, agent_id: str) -> ServedAgent:
        served = self.manager.serving(agent_id)
        if served is not None:
            return served
        try:
            served = self.manager.serving(self.manager.store.resolve(agent_id))
        except CheckpointError:
            raise HTTPException(404, "there is no such agent; GET /agents lists them") from None
        if served is None and self.manager.store.resolve(agent_id) in self.manager.problems:
            raise HTTPException(503, "this agent is set aside, or its version can't be taken up")
        if served is None:
            raise HTTPException(404, "this agent has nothing in production or on paper")
        return served


async def _whole(request: Request) -> bytes:
    """Return the body; HTTPException where it does not arrive in time."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.body()
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None


def _json(model: Any, *, status: int = 200) -> Response:
    return Response(to_json(model), status_code=status, media_type="application/json")


def _error(request: Request, status: int, message: str, problems: list[dict[str, str]] | None = None) -> Response:
    code = _CODES.get(status, "invalid_input" if status == 422 else "error")
    body = {"code": code, "message": message, "request_id": request.state.request_id, "problems": problems or []}
    return Response(to_json(body), status_code=status, media_type="application/json")


def _add_errors(api: FastAPI) -> None:
    """Turn every error into the one shape that all errors have."""

    @api.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        response = _error(request, error.status_code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @api.exception_handler(InputError)
    async def _input(request: Request, error: InputError) -> Response:
        text = openapi.printable(f"{error.reason}; {error.hint}" if error.hint else error.reason)
        field = openapi.printable(error.field)[:256]
        return _error(request, 422, "the request can't be used", [{"field": field, "message": text}])

    @api.exception_handler(DataError)
    async def _data(request: Request, error: DataError) -> Response:
        return _error(request, 422, "the request can't be used", [{"field": "bars", "message": str(error)}])

    @api.exception_handler(ValidationError)
    @api.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: ValidationError | RequestValidationError) -> Response:
        return _error(request, 422, "the request can't be used", openapi.problems(error))

    @api.exception_handler(UnfitAnswerError)
    async def _unfit(request: Request, _: UnfitAnswerError) -> Response:
        return _error(request, 503, "the agent's answer is no portfolio within its limits; it is set aside")

    @api.exception_handler(FaultError)
    async def _fault(request: Request, error: FaultError) -> Response:
        found = openapi.problems(error.error, place=error.place, offset=error.offset)
        return _error(request, 422, "the request can't be used", found)

    @api.exception_handler(BusyError)
    async def _busy(request: Request, error: BusyError) -> Response:
        response = _error(request, 429 if error.own else 503, str(error))
        response.headers.update({"retry-after": "1", "connection": "close"})
        return response

    @api.exception_handler(BodyTooLargeError)
    async def _large(request: Request, error: BodyTooLargeError) -> Response:
        response = _error(request, 413, str(error))
        response.headers["connection"] = "close"
        return response

    @api.exception_handler(ClientDisconnect)
    async def _gone(request: Request, _: ClientDisconnect) -> Response:
        return _error(request, 400, "the client went away before its request was whole")

    @api.exception_handler(Exception)
    async def _failure(request: Request, _: Exception) -> Response:
        return _error(request, 500, "the service failed; its log has the request id")
