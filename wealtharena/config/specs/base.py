"""The base of all typed configuration."""

from __future__ import annotations

import datetime as dt
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_DIGITS: Final = re.compile(r"\s*[+-]?[\d.]+\s*")
_NUMBERS: Final = frozenset({int, float})
_DATES: Final = frozenset({dt.date})
Items = TypeVar("Items", bound="tuple[Any, ...]")


class Typed(BaseModel):
    """A model that takes neither truth values nor dates for numbers, and no numbers for dates, which Python and pydantic do."""

    @field_validator("*", mode="before")
    @classmethod
    def _in_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """Spell out true and false where nothing but numbers is taken: they count as 1 and 0; refuse a number for a date."""
        if info.field_name in _fields_of(cls, _NUMBERS):
            return _spelt_out(value)
        if info.field_name in _fields_of(cls, _DATES):
            _refuse_numbers(value)
        return value


class Spec(Typed):
    """A frozen, fully typed piece of configuration; unknown keys, NaN, infinity and values of another kind are refused.

    Types, ranges and units stand in the spec; default values stand in `conf/` only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@cache
def _fields_of(spec: type[BaseModel], kinds: frozenset[type]) -> frozenset[str]:
    """Return the fields of a spec that take values of some kinds only: one, or lists or mappings of them."""
    leaves = {name: _leaves(field.annotation) for name, field in spec.model_fields.items()}
    return frozenset(name for name, found in leaves.items() if found & kinds and found <= {*kinds, type(None), ...})


def _leaves(annotation: Any) -> set[Any]:
    inner = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if not inner or origin is typing.Literal:
        return {annotation}
    if origin is Annotated:
        inner = inner[:1]
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        inner = inner[1:]
    return {leaf for item in inner for leaf in _leaves(item)}


def _spelt_out(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return [_spelt_out(item) for item in value]
    return {key: _spelt_out(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _refuse_numbers(value: Any) -> None:
    """Raise where a number stands for a date, or digits do: they would be counted in seconds since 1970."""
    if isinstance(value, list | tuple):
        for item in value:
            _refuse_numbers(item)
    elif isinstance(value, int | float) or (isinstance(value, str) and _DIGITS.fullmatch(value)):
        raise PydanticCustomError("date_type", "Input should be a date")


@dataclass(frozen=True)
class InWords:
    """What the pattern of a text allows, as it is said to whoever typed another text; stands in the annotation."""

    allowed: str


Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), InWords("lower-case letters, digits and _, a letter first")]


def _is_a_day(text: str) -> str:
    """Refuse what is no day: dates are compared as text, and 02/01/2025 stands before every year."""
    if not _DAY.fullmatch(text):
        raise ValueError("must be a date, written as 2025-01-02")
    dt.date.fromisoformat(text)
    return text


Day = Annotated[str, AfterValidator(_is_a_day)]


def _each_once(items: Items) -> Items:
    for place, item in enumerate(items):
        if item in items[:place]:
            raise PydanticCustomError("repeated", "Names {item} twice", {"item": item})
    return items


EACH_ONCE: Final = AfterValidator(_each_once)
Names = Annotated[tuple[str, ...], EACH_ONCE]
OneNameAtLeast = Annotated[tuple[str, ...], Field(min_length=1), EACH_ONCE]


class RefusedBlocksError(ValueError):
    """What specs of their own say against blocks of a mapping: by the block's name the spec and its complaints."""

    def __init__(self, blocks: Mapping[str, tuple[type[BaseModel], ValidationError]]) -> None:
        super().__init__(", ".join(blocks))
        self.blocks = blocks
