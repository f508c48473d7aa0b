"""The twins in Python of what emits machine code (tests/interpreted.py) leave the same numbers in the same places."""

import os

import numpy as np
import pytest

from tests import interpreted
from tests.envs.test_tiles import _gather, _move, _narrow, _turn

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="nothing is compiled here")
RNG = np.random.default_rng(5)


def test_gathering_and_turning():
    source, places = RNG.standard_normal(400), RNG.integers(0, 380, 8)
    compiled, plain = np.zeros((2, 200))
    _gather(source, places, compiled, 20)
    interpreted.gather(source, places, 0, 3, plain, 2, 20)
    np.testing.assert_array_equal(plain, compiled)
    compiled, plain = np.zeros((2, 88))
    _turn(source, 13, compiled, 11)
    interpreted.turn(source, 1, 13, plain, 0, 11)
    np.testing.assert_array_equal(plain, compiled)


def test_moving_and_narrowing():
    source = RNG.standard_normal((3, 4))
    compiled, plain = np.zeros((2, 2, 5))
    _move(source, 3, compiled, 4, 5)
    interpreted.move(source, 3, plain, 4, 5)
    np.testing.assert_array_equal(plain, compiled)
    compiled, plain = np.zeros((2, 12), dtype=np.float32)
    _narrow(source.reshape(-1), compiled)
    interpreted.narrow(source.reshape(-1), 1, plain, 2)
    np.testing.assert_array_equal(plain, compiled)


@pytest.mark.parametrize("number", [1.0, -0.0, 1.5e-300, 3.0e300, 0.1])
def test_bits_and_back(number):
    bits = interpreted._bits(number)
    assert bits == int(np.float64(number).view(np.int64))
    assert interpreted._number(bits) == number
