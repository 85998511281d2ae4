"""Each vector operation of `hpcmass.network.simd` does to every lane what NumPy does to every element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from hpcmass.network import simd

# Kernels under test: vectors come from arrays a, b, c (float32) or m, n (uint64) and go to float32 or uint64 arrays.


@njit
def float_operations(a: Any, b: Any, c: Any, out: Any) -> None:
    x, y, z = simd.load_f32(a, 0), simd.load_f32(b, 0), simd.load_f32(c, 0)
    simd.store_f32(out, 0, x + y)
    simd.store_f32(out, 16, x - y)
    simd.store_f32(out, 32, x * y)
    simd.store_f32(out, 48, simd.fma(x, y, z))
    simd.store_f32(out, 64, simd.sqrt(x * x))
    simd.store_f32(out, 80, simd.minimum(x, y))
    simd.store_f32(out, 96, simd.select(x >= y, x, z))
    simd.store_f32(out, 112, simd.splat_f32(a[3]))
    out[128] = simd.add_up(x)
    out[129] = simd.lowest(x)


@njit
def word_operations(m: Any, n: Any, out: Any, ones: Any) -> None:
    x, y = simd.load_u64(m, 0), simd.load_u64(n, 0)
    simd.store_u64(out, 0, x + y)
    simd.store_u64(out, 8, x - y)
    simd.store_u64(out, 16, x & y)
    simd.store_u64(out, 24, x | y)
    simd.store_u64(out, 32, x ^ y)
    simd.store_u64(out, 40, x << 13)
    simd.store_u64(out, 48, x >> 13)
    simd.store_u64(out, 56, simd.rotate(x, 17))
    simd.store_u64(out, 64, simd.splat_u64(m[5]))
    simd.store_u64(out, 72, simd.count_ones_each(x))
    out[80] = simd.add_up_words(x)
    out[81] = simd.merge_words(x)
    for i in range(8):
        ones[i] = simd.trailing_zeros(m[i])


@njit
def half_word_operations(m: Any, n: Any, a: Any, out: Any, floats: Any) -> None:
    x, y = simd.halves(simd.load_u64(m, 0)), simd.halves(simd.load_u64(n, 0))
    simd.store_u64(out, 0, simd.words(x + y))
    simd.store_u64(out, 8, simd.words(x - y))
    simd.store_u64(out, 16, simd.words(x & y))
    simd.store_u64(out, 24, simd.words(x | y))
    simd.store_u64(out, 32, simd.words(x ^ y))
    simd.store_u64(out, 40, simd.words(x << 13))
    simd.store_u64(out, 48, simd.words(x >> 13))
    simd.store_u64(out, 56, simd.words(simd.shift_signed(x, np.uint32(7))))
    simd.store_u64(out, 64, simd.words(simd.splat_u32(np.uint32(0xDEADBEEF))))
    simd.store_u64(out, 72, simd.words(simd.as_bits(simd.load_f32(a, 0))))
    simd.store_u64(out, 80, simd.words(simd.where_set(simd.load_f32(a, 0) >= simd.splat_f32(np.float32(0.0)), x)))
    simd.store_f32(floats, 0, simd.signed_to_float(x))
    simd.store_f32(floats, 16, simd.as_floats(simd.as_bits(simd.load_f32(a, 0))))
    simd.store_f32(
        floats,
        32,
        simd.select(simd.nonzero(x & simd.splat_u32(np.uint32(1))), simd.load_f32(a, 0), simd.load_f32(a, 16)),
    )


@njit
def moved_floats(a: Any, i: int, out: Any, k: int) -> None:
    simd.prefetch(a, i)
    simd.store_f32(out, k, simd.load_f32(a, i))


@njit
def moved_words(a: Any, i: int, out: Any, k: int) -> None:
    simd.prefetch(a, i)
    simd.store_u64(out, k, simd.load_u64(a, i))


Draw = Callable[[int], npt.NDArray[Any]]


@pytest.fixture(params=range(5))
def floats(request: pytest.FixtureRequest) -> Draw:
    """Give float32 arrays over many magnitudes, with equal pairs, zeros and (the last time) infinities."""
    rng = np.random.default_rng(request.param)

    def draw(n: int) -> npt.NDArray[np.float32]:
        x = (rng.standard_normal(n) * 10.0 ** rng.integers(-6, 7, n)).astype(np.float32)
        x[rng.integers(n)] = 0.0
        x[1] = 2.5
        if request.param == 4:
            x[2] = np.inf
        return x

    return draw


@pytest.fixture(params=range(5))
def integers(request: pytest.FixtureRequest) -> Draw:
    """Give uint64 arrays, among them 0, 1 and all ones."""
    rng = np.random.default_rng(request.param)

    def draw(n: int) -> npt.NDArray[np.uint64]:
        x = rng.integers(0, 2**64, n, np.uint64) >> rng.integers(0, 64, n, np.uint64)
        x[rng.permutation(n)[:3]] = (0, 1, 2**64 - 1)
        return x

    return draw


def test_floats(floats: Draw) -> None:
    a, b, c = floats(16), floats(16), floats(16)
    out = np.empty(130, np.float32)
    float_operations(a, b, c, out)
    with np.errstate(invalid="ignore", over="ignore"):
        fused = (a.astype(np.longdouble) * b + c).astype(np.float32)
        expected = [
            a + b, a - b, a * b, fused, np.abs(a), np.where(a < b, a, b), np.where(a >= b, a, c), np.full(16, a[3]),
        ]  # fmt: skip
        half = a[:8] + a[8:]
        half = half[:4] + half[4:]
        half = half[:2] + half[2:]
        last = [half[0] + half[1], a.min()]
    np.testing.assert_array_equal(out, np.concatenate([*expected, last]).astype(np.float32))


def test_not_a_number_never_compares() -> None:
    """So that a non-finite potential never counts as a spike."""
    a, b = np.full(16, np.nan, np.float32), np.zeros(16, np.float32)
    out = np.empty(130, np.float32)
    float_operations(a, b, b, out)
    assert (out[96:112] == 0).all()


def test_words(integers: Draw) -> None:
    m, n = integers(8), integers(8)
    out, ones = np.empty(82, np.uint64), np.empty(8, np.int64)
    word_operations(m, n, out, ones)
    popcount = np.array([int(x).bit_count() for x in m], np.uint64)
    rotated = (m << np.uint64(17)) | (m >> np.uint64(47))
    expected = [m + n, m - n, m & n, m | n, m ^ n, m << np.uint64(13), m >> np.uint64(13), rotated, np.full(8, m[5])]
    np.testing.assert_array_equal(out[:80], np.concatenate([*expected, popcount]))
    assert out[80] == m.sum()
    assert out[81] == np.bitwise_or.reduce(m)
    lowest = [(int(x) & -int(x)).bit_length() - 1 for x in m]
    assert [t for t, x in zip(ones, m, strict=True) if x] == [t for t, x in zip(lowest, m, strict=True) if x]


def test_half_words(integers: Draw) -> None:
    m, n = integers(8), integers(8)
    a = np.random.default_rng(1).standard_normal(32).astype(np.float32)
    out, floats = np.empty(88, np.uint64), np.empty(48, np.float32)
    half_word_operations(m, n, a, out, floats)
    x, y = m.view(np.uint32), n.view(np.uint32)
    expected = [
        x + y, x - y, x & y, x | y, x ^ y, x << np.uint32(13), x >> np.uint32(13),
        (x.view(np.int32) >> 7).view(np.uint32), np.full(16, 0xDEADBEEF, np.uint32), a[:16].view(np.uint32),
        np.where(a[:16] >= 0, x, 0).astype(np.uint32),
    ]  # fmt: skip
    np.testing.assert_array_equal(out.view(np.uint32), np.concatenate(expected))
    np.testing.assert_array_equal(floats[:16], x.view(np.int32).astype(np.float32))
    np.testing.assert_array_equal(floats[16:32], a[:16])
    np.testing.assert_array_equal(floats[32:], np.where(x & 1, a[:16], a[16:]))


@pytest.mark.parametrize("i", [0, 1, 7, 16, 33])
@pytest.mark.parametrize("k", [0, 5, 48])
def test_any_element_may_begin_a_vector(i: int, k: int) -> None:
    """Loads and stores touch 16 (8) neighbours and nothing else."""
    for move, kind, lanes in ((moved_floats, np.float32, 16), (moved_words, np.uint64, 8)):
        source, target = np.arange(64, dtype=kind), np.zeros(64, kind)
        move(source, i, target, k)
        expected = np.zeros(64, kind)
        expected[k : k + lanes] = source[i : i + lanes]
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("shape", [1, 7, (3, 5), (2, 8)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint64])
def test_aligned_arrays_start_on_a_cache_line(shape: int | tuple[int, ...], dtype: type) -> None:
    x = simd.aligned(shape, dtype)
    assert x.ctypes.data % 64 == 0
    assert x.dtype == dtype
    assert x.shape == ((shape,) if isinstance(shape, int) else shape)
    assert x.flags.c_contiguous
    assert not x.any()
