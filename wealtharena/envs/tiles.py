"""Eight accounts' numbers of one symbol, turned from rows in memory into lanes, in registers.

Every account is at a bar of its own, so what it needs has to be gathered. Number by number that costs more than all the
trading rules together; as a tile of 8 x 8 it is eight loads, 24 shuffles and eight stores. LLVM splits the vectors
where a machine's registers are narrower.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

from wealtharena.envs.compiled import machine

Number = TypeVar("Number", bound=np.generic)

LINE: Final = 64  # bytes of a cache line
TILE: Final = 8  # numbers in a row, and rows
INDEX: Final = ir.IntType(64)
STAGES: Final = tuple(  # the places that each shuffle takes from the 16 numbers of two rows, lower and upper half
    tuple(
        tuple(n + half * step if n // step % 2 == 0 else n - step + TILE + half * step for n in range(TILE))
        for half in (0, 1)
    )
    for step in (1, 2, 4)
)


@machine
def gather(typing: Any, source: Any, places: Any, first: Any, shift: Any, target: Any, at: Any, apart: Any) -> Any:
    """Write number f of row r to `target[at + f * apart + r]`, f and r in 0..7; called from compiled code only.

    Row r is the eight numbers of `source` from `places[first + r] + shift` on. Nothing is checked: `source` and
    `target` (float64) and `places` (int64) must be one-dimensional and contiguous, and hold what is asked for.
    """

    def build(context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        numbers, places, lanes = (_data(context, builder, signature, values, n) for n in (0, 1, 4))
        _, _, first, shift, _, at, apart = values
        rows = [builder.load(builder.gep(places, [builder.add(first, INDEX(r))])) for r in range(TILE)]
        _turn(builder, numbers, [builder.add(row, shift) for row in rows], lanes, at, apart)
        return context.get_dummy_value()

    return types.void(source, places, types.int64, types.int64, target, types.int64, types.int64), build


@machine
def turn(typing: Any, source: Any, first: Any, step: Any, target: Any, at: Any, apart: Any) -> Any:
    """Do as `gather` does with rows that lie evenly: row r begins at `source[first + r * step]`."""

    def build(context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        numbers, lanes = (_data(context, builder, signature, values, n) for n in (0, 3))
        _, first, step, _, at, apart = values
        rows = [builder.add(first, builder.mul(step, INDEX(r))) for r in range(TILE)]
        _turn(builder, numbers, rows, lanes, at, apart)
        return context.get_dummy_value()

    return types.void(source, types.int64, types.int64, target, types.int64, types.int64), build


def _data(context: Any, builder: Any, signature: Any, values: list[Any], n: int) -> Any:
    """Return the pointer to the numbers of array argument n."""
    return context.make_array(signature.args[n])(context, builder, values[n]).data


def _turn(builder: Any, numbers: Any, rows: list[Any], lanes: Any, at: Any, apart: Any) -> None:
    """Emit the loads, the three stages of shuffles and the stores of one tile."""
    vector = ir.VectorType(ir.DoubleType(), TILE)
    shuffle = ir.IntType(32)

    def place(pointer: Any, offset: Any) -> Any:
        return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())

    tile = [builder.load(place(numbers, row), align=8) for row in rows]
    for step, masks in zip((1, 2, 4), STAGES, strict=True):
        turned = list(tile)
        for n in range(TILE):
            if n // step % 2 == 0:
                for half, mask in enumerate(masks):
                    chosen = ir.Constant(ir.VectorType(shuffle, TILE), [shuffle(m) for m in mask])
                    turned[n + half * step] = builder.shuffle_vector(tile[n], tile[n + step], chosen)
        tile = turned
    for f, numbers_f in enumerate(tile):
        builder.store(numbers_f, place(lanes, builder.add(at, builder.mul(apart, INDEX(f)))), align=8)


@machine
def move(typing: Any, source: Any, first: Any, target: Any, at: Any, count: Any) -> Any:
    """Copy `count` numbers from place `first` of `source` to place `at` of `target`, two arrays of one type.

    Places count from the first number of the whole array, whatever its shape; a slice would cost more than the copy.
    """
    size = source.dtype.bitwidth // 8

    def build(context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        byte = ir.IntType(8).as_pointer()
        begins = (
            builder.bitcast(builder.gep(_data(context, builder, signature, values, n), [values[n + 1]]), byte)
            for n in (2, 0)
        )
        copy = builder.module.declare_intrinsic("llvm.memcpy", [byte, byte, INDEX])
        builder.call(copy, [*begins, builder.mul(values[4], INDEX(size)), ir.IntType(1)(0)])
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64), build


@machine
def narrow(typing: Any, source: Any, first: Any, target: Any, at: Any) -> Any:
    """Copy TILE numbers from place `first` of `source` (float64) to place `at` of `target` (float32), rounded."""

    def build(context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        wide, slim = (ir.VectorType(kind, TILE) for kind in (ir.DoubleType(), ir.FloatType()))
        begin, end = (builder.gep(_data(context, builder, signature, values, n), [values[n + 1]]) for n in (0, 2))
        numbers = builder.load(builder.bitcast(begin, wide.as_pointer()), align=8)
        builder.store(builder.fptrunc(numbers, slim), builder.bitcast(end, slim.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), build


@machine
def bare(typing: Any, array: Any) -> Any:
    """Return the array without its owner: slices of it count no references, which costs more than what they hold.

    The caller keeps the owner alive for as long as the result is used.
    """

    def build(context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        view = context.make_array(signature.return_type)(context, builder, values[0])
        view.meminfo = ir.Constant(view.meminfo.type, None)
        view.parent = ir.Constant(view.parent.type, None)
        return view._getvalue()

    return array(array), build


def aligned(shape: tuple[int, ...], kind: type[Number]) -> npt.NDArray[Number]:
    """Return zeros whose first number stands at the beginning of a cache line: a vector across two costs double."""
    count = math.prod(shape) * np.dtype(kind).itemsize
    memory = np.zeros(count + LINE, dtype=np.uint8)
    begin = -memory.ctypes.data % LINE
    return memory[begin : begin + count].view(kind).reshape(shape)


def line_up(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return a contiguous copy of the array, aligned."""
    copy = aligned(array.shape, array.dtype.type)
    copy[...] = array
    return copy
