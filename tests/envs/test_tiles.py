import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from wealtharena.envs import tiles
from wealtharena.envs.logarithm import log


@njit
def _gather(source, places, target, apart):
    tiles.gather(source, places, 0, 3, target, 2, apart)


@njit
def _turn(source, step, target, apart):
    tiles.turn(source, 1, step, target, 0, apart)


@njit
def _move(source, first, target, at, count):
    tiles.move(source, first, target, at, count)


@njit
def _narrow(source, target):
    tiles.narrow(source, 1, target, 2)


def test_gathered_rows_become_lanes():
    source = np.arange(400.0)
    places = np.array([300, 7, 7, 0, 150, 31, 299, 64])
    target = np.full(200, -1.0)
    _gather(source, places, target, 20)
    expected = np.full(200, -1.0)
    for row, place in enumerate(places):
        for number in range(8):
            expected[2 + number * 20 + row] = source[place + 3 + number]
    np.testing.assert_array_equal(target, expected)


def test_rows_that_lie_evenly_become_lanes():
    source = np.random.default_rng(0).standard_normal(200)
    target = np.zeros(8 * 11)
    _turn(source, 13, target, 11)
    rows = np.array([source[1 + 13 * r : 9 + 13 * r] for r in range(8)])
    np.testing.assert_array_equal(target.reshape(8, 11)[:, :8], rows.T)
    assert (target.reshape(8, 11)[:, 8:] == 0).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_moving_counts_places_over_the_whole_array(kind):
    source = np.arange(12, dtype=kind).reshape(3, 4)
    target = np.zeros((2, 5), dtype=kind)
    _move(source, 3, target, 4, 5)
    assert target.reshape(-1).tolist() == [0, 0, 0, 0, 3, 4, 5, 6, 7, 0]


def test_narrowing_rounds_to_the_nearest_float32():
    source = np.random.default_rng(1).standard_normal(10)
    target = np.zeros(12, dtype=np.float32)
    _narrow(source, target)
    np.testing.assert_array_equal(target[2:10], source[1:9].astype(np.float32))
    assert not target[:2].any()
    assert not target[10:].any()


@pytest.mark.parametrize("shape", [(3,), (5, 7), (2, 3, 9)])
def test_aligned_arrays_begin_at_a_cache_line(shape):
    array = tiles.aligned(shape, np.float64)
    assert array.shape == shape
    assert array.ctypes.data % tiles.LINE == 0
    assert not array.any()
    copy = tiles.line_up(np.arange(6.0).reshape(2, 3))
    assert copy.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert copy.ctypes.data % tiles.LINE == 0


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_the_logarithm_is_the_librarys_to_one_unit_in_the_last_place(x):
    assert abs(log(x) - math.log(x)) <= math.ulp(math.log(x))


def test_the_logarithm_of_one_is_zero():
    assert log(1.0) == 0.0
