"""Where a part of the spec stands in conf/, which is where a user sets it, and where conf's keys stand in the spec."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

MOVED: Final = {"asset.universe": "universe", "env.reward": "reward"}  # stands in conf/ beside the part that takes it
SHARED: Final = ("costs", "limits", "instrument")  # blocks of the asset that are handed to the environment too
_HOMES: Final = (*MOVED.items(), *((f"env.{name}", f"asset.{name}") for name in SHARED))


def home(key: str) -> str:
    """Return the key of conf/ for a place in the spec."""
    return _moved(key, _HOMES)


def takes_entries(model: type[BaseModel], key: str) -> bool:
    """Return whether a key of conf/ stands for a mapping of names that people choose."""
    return _values_of(model, key) is not None


def takes_values(model: type[BaseModel], key: str) -> bool:
    """Return whether a key of conf/ stands for a mapping of such names to plain values: numbers or texts."""
    kind = _values_of(model, key)
    plain = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    return plain in (float, int, str)


def _values_of(model: type[BaseModel], key: str) -> Any:
    """Return of what type the values of a mapping are, by its key in conf/; None where it is none."""
    field = field_of(model, _moved(key, [(there, inside) for inside, there in MOVED.items()]).split("."))
    origin = None if field is None else typing.get_origin(field.annotation)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return typing.get_args(field.annotation)[1] if field is not None and is_mapping else None


def field_of(model: type[BaseModel], loc: Sequence[str]) -> FieldInfo | None:
    """Return the field that a location names, through nested models; None inside lists and mappings."""
    field: FieldInfo | None = None
    current: type[BaseModel] | None = model
    for part in loc:
        if current is None:
            return None
        field = current.model_fields.get(part)
        current = _model_of(field.annotation) if field else None
    return field


def _model_of(annotation: Any) -> type[BaseModel] | None:
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((item for item in options if isinstance(item, type) and issubclass(item, BaseModel)), None)


def _moved(key: str, homes: Sequence[tuple[str, str]]) -> str:
    for before, after in homes:
        if key == before or key.startswith(f"{before}."):
            return after + key[len(before) :]
    return key
