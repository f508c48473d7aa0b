"""The natural logarithm as plain arithmetic, so that a loop over lanes takes eight of them in one instruction.

The library's own logarithm is a call for each number. The method is FreeBSD's e_log.c: with x = 2^k m, f = m - 1 and
s = f / (2 + f), log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + R(s^2)), R being a minimax polynomial of degree 7 in s^2; the
error is below one unit in the last place.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types

from wealtharena.envs.compiled import compiled, machine

ROOT_HALF: Final = 0x3FE6A09E00000000  # bits of about sqrt(1/2): m lies between it and twice it
LN2_HIGH: Final = 6.93147180369123816490e-01  # ln 2 in two parts, the first with room for k
LN2_LOW: Final = 1.90821492927058770002e-10
R1: Final = 6.666666666666735130e-01
R2: Final = 3.999999999940941908e-01
R3: Final = 2.857142874366239149e-01
R4: Final = 2.222219843214978396e-01
R5: Final = 1.818357216161805012e-01
R6: Final = 1.531383769920937332e-01
R7: Final = 1.479819860511658591e-01


@machine
def _bits(typing: Any, number: Any) -> Any:
    """Return the 64 bits of a float64 as an integer."""

    def build(context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        return builder.bitcast(values[0], ir.IntType(64))

    return types.int64(types.float64), build


@machine
def _number(typing: Any, bits: Any) -> Any:
    """Return the float64 of these 64 bits."""

    def build(context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        return builder.bitcast(values[0], ir.DoubleType())

    return types.float64(types.int64), build


@compiled
def log(x: float) -> float:
    """Return the natural logarithm of x, positive and normal: neither 0, subnormal, infinite nor NaN."""
    bits = _bits(x)
    exponent = (bits - ROOT_HALF) >> 52
    k = float(exponent)
    f = _number(bits - (exponent << 52)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (R2 + w * (R4 + w * R6))
    odd = z * (R1 + w * (R3 + w * (R5 + w * R7)))
    half = 0.5 * f * f
    logarithm: float = k * LN2_HIGH - ((half - (s * (half + odd + even) + k * LN2_LOW)) - f)
    return logarithm
