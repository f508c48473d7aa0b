"""The compiled loops line by line in Python, for NUMBA_DISABLE_JIT=1: coverage can count their lines then, a fault costs no compiling.

What emits machine code has no Python of its own; each has a twin here that does the same to the same arrays.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

from wealtharena.envs import logarithm, tiles

TILE = tiles.TILE


def gather(source: Any, places: Any, first: int, shift: int, target: Any, at: int, apart: int) -> None:
    for r in range(TILE):
        _place(source, places[first + r] + shift, target, at + r, apart)


def turn(source: Any, first: int, step: int, target: Any, at: int, apart: int) -> None:
    for r in range(TILE):
        _place(source, first + r * step, target, at + r, apart)


def _place(source: Any, row: int, target: Any, at: int, apart: int) -> None:
    target[at : at + TILE * apart : apart] = source[row : row + TILE]


def move(source: Any, first: int, target: Any, at: int, count: int) -> None:
    target.reshape(-1, copy=False)[at : at + count] = source.reshape(-1, copy=False)[first : first + count]


def narrow(source: Any, first: int, target: Any, at: int) -> None:
    target.reshape(-1, copy=False)[at : at + TILE] = source[first : first + TILE]


def bare(array: Any) -> Any:
    return array


def _bits(number: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


def _number(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])


def put_in_place() -> None:
    """Let the loops call the twins."""
    for twin in (gather, turn, move, narrow, bare):
        setattr(tiles, twin.__name__, twin)
    for twin in (_bits, _number):
        setattr(logarithm, twin.__name__, twin)


def install(config: pytest.Config) -> None:
    """Put the twins in place for a session; dividing by zero is what it is in machine code, no warning."""
    put_in_place()
    config.addinivalue_line("filterwarnings", r"ignore::RuntimeWarning:wealtharena\.(envs|agents\.direct)\.")
