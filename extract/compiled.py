"""What the ablation does for every token, on a processor: one pass in registers, where array operations take ten.

All arrays are float32 and contiguous along their last axis, but for indices (int64) and results (float64). Factors are
those that give h in units of ln 2. At most `TERMS` terms are summed in float32. The functions hold no GIL.

Accuracy: `_expm1` is off by at most `EXPM1` units (2^-24 of its size): 2.79 is the most that was found among the floats
of all exponents. An h that is too large gives an infinity or a NaN, never a wrong number.

All loops are in one module, of more than 300 lines: Numba tells whether what it keeps on disk is out of date by the
loop's own file alone. The exponentials are compiled into the sums, and `TERMS`, on which the certificate rests, into
all loops over tokens: changed in another file, the old ones would stay in use, and bounds would be wrong in silence.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config, njit
from numba.core.codegen import get_host_cpu_features

Floats = np.ndarray[Any, np.dtype[np.float32]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Maybe = Any  # Floats or None: loops are compiled for each

TERMS = 64
EXPM1 = 3.0
# (2^f - 1) / f within 0.2 units on -1/2 to 1/2: the Chebyshev series of degree 6, as a polynomial
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(c)
    for c in (0.693147181, 0.240226507, 0.0555041085, 0.00961801221, 0.00133335581, 0.000154691117, 1.52527541e-05)
)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
# Added to a float, rounds it to a whole number n and leaves n + 127, the exponent of 2^n, in its last bits.
_SHIFT = np.float32(1.5 * 2**23 + 127)
_LEAST, _MOST = _SHIFT - np.float32(127.0), _SHIFT + np.float32(128.0)
_TOKENS, _WIDTH = 2048, 512  # of one tile, so that what it reads again stays in the caches
# Sums in any order, no assumption about infinities and NaN. Not for `_expm1`, which would lose its digits.
_FAST = {"contract", "reassoc", "nsz"}


def _fill_registers() -> None:
    """Use all 512 bits of the registers where there are as many: LLVM, careful with old processors, fills half of them.

    A third of the time of the sums. Numba has no such choice for a single function; one that its user made stays.
    """
    settings: Any = config
    if settings.CPU_FEATURES is None and "+avx512f" in (features := get_host_cpu_features().split(",")):
        settings.CPU_FEATURES = ",".join([*features, "-prefer-256-bit"])


_fill_registers()


def _loop(function: Callable[..., Any]) -> Any:
    """Compiled when it is first called, and kept on disk if there is a place for that."""
    try:
        return njit(nogil=True, cache=True, fastmath=_FAST)(function)
    except RuntimeError:  # no folder that could be written to
        return njit(nogil=True, fastmath=_FAST)(function)


@njit(forceinline=True, fastmath={"contract"})
def _less_one(f: np.float32) -> np.float32:
    """2^f - 1, f from -1/2 to 1/2."""
    q = _C5 + f * _C6
    q = _C4 + f * q
    q = _C3 + f * q
    q = _C2 + f * q
    q = _C1 + f * q
    q = _C0 + f * q
    return f * q


@njit(forceinline=True, fastmath={"contract"})
def _power(n: np.float32) -> np.float32:
    """2^n of a whole n, `_SHIFT` added; 0 below -126, infinite above 127 and for NaN."""
    below = n if n < _MOST else _MOST  # a NaN, too
    within = below if below > _LEAST else _LEAST
    return np.int32(np.float32(within).view(np.int32) << np.int32(23)).view(np.float32)


@njit(forceinline=True, fastmath={"contract"})
def _expm1(x: np.float32) -> np.float32:
    """2^x - 1; -1 below -126.5, infinite or NaN from 127.5 on and for what is not finite."""
    shifted = x + _SHIFT  # rounded to a whole number, unless x is so large that its power is 0 or infinite anyway
    scale = _power(shifted)
    return _less_one(x - (shifted - _SHIFT)) * scale + (scale - _ONE)


@njit(forceinline=True, fastmath={"contract"})
def _exp2(x: np.float32, top: np.float32) -> np.float32:
    """2^(x - top) of a whole `top`: with x split first nothing is rounded by the difference; NaN if x is not finite."""
    whole = np.floor(x + _HALF)
    scale = _power(whole - top + _SHIFT)
    return _less_one(x - whole) * scale + scale


@_loop
def expm1(x: Floats, found: Floats) -> None:
    """`found` = 2^x - 1, one axis: what the sums are made of, to be held against other ways."""
    for i in range(len(x)):
        found[i] = _expm1(x[i])


@njit(forceinline=True, fastmath=_FAST)
def _sums(
    g: Floats, z: Floats, p: Floats, u: Maybe, of_g: np.float32, of_z: np.float32, of_u: Any, n: Any
) -> tuple[np.float32, np.float32]:
    """Float32 sums of the first `n` terms and of their sizes."""
    total, size = np.float32(0.0), np.float32(0.0)
    for v in range(n):
        h = of_g * g[v] + of_z * z[v]
        if u is not None:
            h += of_u * u[v]
        term = p[v] * _expm1(h)
        total += term
        size += abs(term)
    return total, size


@_loop
def sum_over_tokens(
    effects: Floats,
    logits: Floats,
    rest: Floats,
    u: Maybe,
    at: Indices,
    column: Indices,
    stretch: Floats,
    push: Floats,
    lift: Maybe,
    found: Doubles,
    tokens: Indices,
) -> None:
    """Add to `found` (2, n), of each pair, the sums of its terms and of their sizes over some tokens.

    `tokens`: their first, and where they end. `effects` (N, V), `logits` and `rest` (T, V), `u` of these tokens or
    None; of each pair its row `at`, its `column` and its factors (n,), `lift` None where `u` is. Fastest if pairs of
    one column follow each other.
    """
    first, last = tokens[0], tokens[1]
    for begin in range(first, last, _TOKENS):
        end = min(begin + _TOKENS, last)
        n_whole = np.uint32(end - begin) // np.uint32(TERMS)
        done = n_whole * TERMS
        of_tile: Any = None if u is None else u[begin - first : end - first]
        for i in range(len(at)):
            g, z, p = effects[column[i], begin:end], logits[at[i], begin:end], rest[at[i], begin:end]
            of_u = None if lift is None else lift[i]
            for c in range(n_whole):
                some = slice(c * TERMS, c * TERMS + TERMS)
                v = None if u is None else of_tile[some]
                sums = _sums(g[some], z[some], p[some], v, push[i], stretch[i], of_u, np.uint32(TERMS))
                found[0, i] += sums[0]
                found[1, i] += sums[1]
            v = None if u is None else of_tile[done:]
            sums = _sums(g[done:], z[done:], p[done:], v, push[i], stretch[i], of_u, np.uint32(len(g) - done))
            found[0, i] += sums[0]
            found[1, i] += sums[1]


@_loop
def sum_over_sets(
    effects: Floats,
    places: Indices,
    weights: Floats,
    logits: Floats,
    ends: Indices,
    u: Maybe,
    stretch: Floats,
    push: Floats,
    lift: Maybe,
    found: Doubles,
) -> None:
    """Write to `found` (2, T, N) the sums of the terms and of their sizes over the tokens of each position's set.

    `effects` (V, N); of all sets, one after the other, `places`, `weights` p, `logits` and `u` (K,), or None; where
    each begins and ends (T + 1,); factors (T, N), `lift` None where `u` is.
    """
    n_neurons = effects.shape[1]
    sums, sizes = np.empty(_WIDTH, np.float32), np.empty(_WIDTH, np.float32)
    for t in range(len(ends) - 1):
        for begin in range(0, n_neurons, _WIDTH):
            end = min(begin + _WIDTH, n_neurons)
            n = end - begin
            of_z, of_g, total, size = (
                stretch[t, begin:end],
                push[t, begin:end],
                found[0, t, begin:end],
                found[1, t, begin:end],
            )
            total[:] = 0.0
            size[:] = 0.0
            for first in range(ends[t], ends[t + 1], TERMS):
                sums[:n] = 0.0
                sizes[:n] = 0.0
                for k in range(first, min(first + TERMS, ends[t + 1])):
                    g, z, p = effects[places[k], begin:end], logits[k], weights[k]
                    for j in range(n):
                        h = of_g[j] * g[j] + of_z[j] * z
                        if u is not None:
                            h += lift[t, begin + j] * u[k]
                        term = p * _expm1(h)
                        sums[j] += term
                        sizes[j] += abs(term)
                for j in range(n):
                    total[j] += sums[j]
                    size[j] += sizes[j]


@_loop
def exponentiate(
    logits: Floats, constant: Maybe, place: Indices, rest: Floats, top: Floats, total: Doubles, rank: Indices
) -> None:
    """Fill `rest` (T, V) with 2^(logit - top), `top` (T,) being the least whole number that no logit exceeds.

    `constant` (V,) is added to the logits, if it is not None. `total` (T,): the sum of the row; `rank` (T,): how many
    logits exceed that of `place` (T,).
    """
    size = logits.shape[1]
    highest, n_above = np.empty(_WIDTH, np.float32), np.empty(_WIDTH, np.int32)
    for t in range(len(top)):
        own = logits[t, place[t]]
        if constant is not None:
            own += constant[place[t]]
        highest[:] = -np.inf
        n_above[:] = 0
        for begin in range(0, size, _WIDTH):
            z = logits[t, begin : min(begin + _WIDTH, size)]
            c = None if constant is None else constant[begin : begin + _WIDTH]
            for v in range(np.uint32(len(z))):
                logit = z[v] if c is None else z[v] + c[v]
                highest[v] = logit if logit > highest[v] else highest[v]
                n_above[v] += np.int32(logit > own)
        rank[t] = n_above.sum()
        top[t] = np.ceil(highest.max())
        total[t] = 0.0
        for begin in range(0, size, TERMS):
            end = min(begin + TERMS, size)
            c = None if constant is None else constant[begin:end]
            total[t] += _exponentiate(logits[t, begin:end], c, top[t], rest[t, begin:end])


@njit(forceinline=True, fastmath=_FAST)
def _exponentiate(z: Floats, c: Maybe, top: np.float32, found: Floats) -> np.float32:
    total = np.float32(0.0)
    for v in range(np.uint32(len(z))):
        found[v] = _exp2(z[v] if c is None else z[v] + c[v], top)
        total += found[v]
    return total


@_loop
def above(weight: Floats, limit: np.float32, place: int, found: Indices) -> int:
    """Write to `found` (V,) the places of a row `weight` (V,) above `limit`, and `place`; returns how many they are."""
    n = 0
    for begin in range(0, len(weight), TERMS):
        some = weight[begin : begin + TERMS]
        is_any = begin <= place < begin + TERMS
        for v in range(np.uint32(len(some))):
            is_any |= some[v] > limit
        if is_any:
            for v in range(len(some)):
                if some[v] > limit or begin + v == place:
                    found[n] = begin + v
                    n += 1
    return n


@_loop
def products(rows: Floats, ids: Indices, ends: Indices, vectors: Doubles, found: Doubles) -> None:
    """Write to `found` (K,) the products in float64 of the `rows` (V, d) `ids` (K,) and of `vectors` (T, d).

    Vector t goes with the ids from `ends[t]` to `ends[t + 1]`.
    """
    for t in range(len(ends) - 1):
        for k in range(ends[t], ends[t + 1]):
            found[k] = _product(rows[ids[k]], vectors[t])


@njit(forceinline=True, fastmath=_FAST)
def _product(row: Floats, vector: Doubles) -> np.float64:
    total = np.float64(0.0)
    for i in range(np.uint32(len(row))):
        total += row[i] * vector[i]
    return total


@_loop
def sum_rows(weight: Floats, found: Doubles) -> None:
    """Write to `found` (T,) the sums in float64 of the rows of `weight` (T, V)."""
    for t in range(len(found)):
        found[t] = _sum(weight[t])


@njit(forceinline=True, fastmath=_FAST)
def _sum(row: Floats) -> np.float64:
    total = np.float64(0.0)
    for v in range(np.uint32(len(row))):
        total += np.float64(row[v])
    return total


@_loop
def normalise(
    rest: Floats, logits: Floats, constant: Maybe, factor: Floats, z_mean: Doubles, clean_mean: Doubles
) -> None:
    """Multiply `rest` (T, V) by `factor` (T,), and write its mean of the logits, without and with `constant` (V,)."""
    size = rest.shape[1]
    for t in range(len(factor)):
        z_mean[t] = clean_mean[t] = 0.0
        for begin in range(0, size, TERMS):
            end = min(begin + TERMS, size)
            c = None if constant is None else constant[begin:end]
            sums = _normalise(rest[t, begin:end], logits[t, begin:end], c, factor[t])
            z_mean[t] += sums[0]
            clean_mean[t] += sums[1]


@njit(forceinline=True, fastmath=_FAST)
def _normalise(p: Floats, z: Floats, c: Maybe, factor: np.float32) -> tuple[np.float32, np.float32]:
    mean, clean = np.float32(0.0), np.float32(0.0)
    for v in range(np.uint32(len(p))):
        p[v] *= factor
        mean += p[v] * z[v]
        if c is not None:
            clean += p[v] * (z[v] + c[v])
    return mean, mean if c is None else clean


@_loop
def centre(
    logits: Floats, rest: Floats, u: Maybe, mean: Floats, ends: Indices, sums: Doubles, largest: Doubles
) -> None:
    """Subtract `mean` (T,) from the `logits` (T, V), and sum powers of what is left, segment by segment.

    `ends` (L + 1,): where segments begin and end. `sums` (3 or 5, T, L): of p, p z and p z^2 over the segment
    and, with `u` (V,), of p u and p u^2. `largest` (T, L): the largest |z|.
    """
    for t in range(len(mean)):
        for s in range(len(ends) - 1):
            sums[:, t, s] = 0.0
            most = np.float32(0.0)
            for begin in range(ends[s], ends[s + 1], TERMS):
                end = min(begin + TERMS, ends[s + 1])
                z, p = logits[t, begin:end], rest[t, begin:end]
                found = _powers(z, p, mean[t])
                for k in range(3):
                    sums[k, t, s] += found[k]
                if u is not None:
                    of_u = _of_direction(p, u[begin:end])
                    sums[3, t, s] += of_u[0]
                    sums[4, t, s] += of_u[1]
                most = max(most, _largest(z))
            largest[t, s] = most


@njit(forceinline=True, fastmath=_FAST)
def _powers(z: Floats, p: Floats, mean: np.float32) -> tuple[np.float32, np.float32, np.float32]:
    s0, s1, s2 = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for v in range(np.uint32(len(z))):
        z[v] -= mean
        first = p[v] * z[v]
        s0 += p[v]
        s1 += first
        s2 += first * z[v]
    return s0, s1, s2


@njit(forceinline=True, fastmath=_FAST)
def _of_direction(p: Floats, u: Floats) -> tuple[np.float32, np.float32]:
    s1, s2 = np.float32(0.0), np.float32(0.0)
    for v in range(np.uint32(len(p))):
        s1 += p[v] * u[v]
        s2 += p[v] * (u[v] * u[v])
    return s1, s2


@njit(forceinline=True, fastmath=_FAST | {"nnan"})  # a NaN is in the sums anyway
def _largest(z: Floats) -> np.float32:
    most = np.float32(0.0)
    for v in range(np.uint32(len(z))):
        size = abs(z[v])
        most = size if size > most else most
    return most
