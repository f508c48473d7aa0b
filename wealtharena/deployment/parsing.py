"""From a request's bytes to its typed body: bounded, ended by the first fault, and never long in one piece.

A small body is parsed where it arrives. A large one is parsed in a thread, part by part, since each call into the parser
holds up every other thread of the process for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException

from wealtharena.deployment.schemas import Bar, Observation, PredictBody
from wealtharena.prediction.inputs import InputError

SMALL = 16_384  # bytes that may be parsed where they arrive
MAX_KEYS = 16  # of any object but weights
MAX_SYMBOLS = 1000
_PIECE = 256
_BARS = TypeAdapter(list[Bar])
_BARS_AT_MOST = 50_000  # 2 MiB hold no more
Place = tuple[str | int, ...]  # of a part within the body


@dataclass(frozen=True)
class PartsLimit:
    """What a request to one agent can be made of: counted in its bytes, before anything is built from them."""

    lists: int
    objects: int

    @classmethod
    def of(cls, *, batch: int, assets: int, window: int, states: int) -> PartsLimit:
        """Return the bounds for an agent of that shape."""
        return cls(lists=2 + batch * (1 + assets * (window + 1) + states), objects=2 + 4 * batch + _BARS_AT_MOST)

    def check(self, raw: bytes) -> None:
        """Raise InputError where `raw` opens more lists or objects than there can be."""
        if raw.count(b"[") > self.lists or raw.count(b"{") > self.objects:
            raise InputError("body", "has more parts than a request to this agent can have")


def check_kind(headers: Mapping[str, str]) -> None:
    """Raise HTTPException (415) unless the headers promise JSON that is sent as it is."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body must be application/json")
    packed = headers.get("content-encoding", "").strip().lower()
    if packed not in ("", "identity"):
        raise HTTPException(415, "the body must be sent as it is: it is not unpacked, so leave Content-Encoding out")


class FaultError(Exception):
    """The first part of a body that can't be used: `error` is of a list's piece from `offset` on, or of one part, at `place`."""

    def __init__(self, error: ValidationError, place: Place, *, offset: int | None = None) -> None:
        super().__init__()
        self.error, self.place, self.offset = error, place, offset


def parse_large(raw: bytes, *, max_batch: int) -> PredictBody:
    """Return the body; InputError, ValidationError or FaultError names the first part that can't be used."""
    try:
        tree = from_json(raw)
    except ValueError as error:
        raise InputError("body", "is not JSON in UTF-8") from error
    if isinstance(tree, dict):
        _check_keys(tree, "body", ())
        batch = tree.get("batch")
        if isinstance(batch, list):
            if len(batch) > max_batch:
                raise InputError("batch", f"has {len(batch)} observations, at most {max_batch} are taken")
            tree["batch"] = [_observation(item, ("batch", i)) for i, item in enumerate(batch)]
        _shorten(tree, ())
    return PredictBody.model_validate(tree)


def _observation(item: object, at: Place) -> Observation:
    if isinstance(item, dict):
        _check_keys(item, _name(at), at)
        _shorten(item, at)
    try:
        return Observation.model_validate(item)
    except ValidationError as error:
        raise FaultError(error, at) from error


def _check_keys(found: Mapping[str, Any], name: str, at: Place) -> None:
    """Refuse objects with more keys than any has: each unknown one would be a fault of its own."""
    if len(found) > MAX_KEYS:
        raise InputError(name, f"has more than {MAX_KEYS} fields")
    for key, most in (("portfolio", MAX_KEYS), ("state", MAX_KEYS)):
        part = found.get(key)
        if isinstance(part, dict) and len(part) > most:
            raise InputError(_name((*at, key)), f"has more than {most} fields")
    portfolio = found.get("portfolio")
    weights = portfolio.get("weights") if isinstance(portfolio, dict) else None
    if isinstance(weights, dict) and len(weights) > MAX_SYMBOLS:
        raise InputError(_name((*at, "portfolio", "weights")), f"has more than {MAX_SYMBOLS} symbols")


def _shorten(item: dict[str, Any], at: Place) -> None:
    """Put typed bars in the place of an observation's raw ones, some at a time."""
    bars = item.get("bars")
    if not isinstance(bars, list):
        return
    typed: list[Bar] = []
    for start in range(0, len(bars), _PIECE):
        piece = bars[start : start + _PIECE]
        for i, bar in enumerate(piece):
            if isinstance(bar, dict) and len(bar) > MAX_KEYS:
                raise InputError(_name((*at, "bars", start + i)), f"has more than {MAX_KEYS} fields")
        try:
            typed += _BARS.validate_python(piece)
        except ValidationError as error:
            raise FaultError(error, (*at, "bars"), offset=start) from error
    item["bars"] = typed


def _name(at: Place) -> str:
    return ".".join(map(str, at))
