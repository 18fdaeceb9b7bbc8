"""Sets of neurons as points on a sphere: Gram matrices of groups, and of what the groups are compared with.

A neuron is a row of unit length: its activations at the positions of a class, centred and scaled (so that the Gram
matrix holds correlations), or its weight vector (so that it holds cosines). All distances within a group follow from
its Gram matrix: |x_i - x_j|^2 = 2 (1 - G_ij). So one (N, N) matrix serves every group, and a null is a way to draw
Gram matrices (B, m, m). Shapes: N neurons, C columns (positions or weights), m neurons of a group.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from queries.stats.nulls import Turns

Array = NDArray[np.float64]
Floats = NDArray[np.floating]
Index = NDArray[np.int64]

MAX_BLOCKS = 20
N_SPIKES = 5
# Draws for which a column is shuffled once, and neurons that this takes.
_DEALS = 25
# An entry of an eigenvector below this is zero.
ROUNDING = 1e-12


def unit_rows(values: Floats, is_centred: bool) -> NDArray[np.float32]:
    """Rows of `values` (N, C) scaled to length 1, centred first if asked; rows that vary too little become zero.

    >>> unit_rows(np.array([[1.0, 3.0], [2.0, 2.0]]), is_centred=True).round(3).tolist()
    [[-0.7070000171661377, 0.7070000171661377], [0.0, 0.0]]
    """
    rows = np.array(values, dtype=np.float32)
    size = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if is_centred and rows.size:
        rows -= rows.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    # below this share of its size, what is left after centring is rounding
    varies = length > 1e-5 * size
    rows *= (varies / np.where(varies, length, 1.0)).astype(np.float32)[:, None]
    return rows


@dataclass(frozen=True)
class Space:
    """Neurons as rows of unit length, `rows` (N, C), with the `block` (C,) of each column.

    A block is what is left out at once for an interval: the documents of the positions, or groups of weight columns.
    `is_centred` says whether a row is centred before it is scaled: activations are, weights are not. `side` (N,), 1 or
    -1, turns the rows of neurons whose sign is arbitrary.
    """

    name: str
    token_class: str
    rows: NDArray[np.float32]
    block: Index
    is_centred: bool
    side: NDArray[np.float32] | None = None

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Neurons (N,) that vary at all."""
        known: NDArray[np.bool_] = np.asarray(self.rows.any(axis=1))
        return known

    def of(self, members: Index) -> NDArray[np.float32]:
        """The rows (m, C) of `members` (m,), turned to their sides."""
        rows = self.rows[members]
        return rows if self.side is None else rows * self.side[members, None]

    def gram(self, members: Index) -> Array:
        """Gram matrix (m, m) of `members` (m,)."""
        return gram(self.of(members))

    def leave_out(self, members: Index) -> Array:
        """Gram matrices (G, m, m) without one group of blocks each; at most `MAX_BLOCKS` groups."""
        codes = np.unique(self.block, return_inverse=True)[1] % MAX_BLOCKS
        rows = self.of(members)
        return np.stack([gram(unit_rows(rows[:, codes != each], self.is_centred)) for each in np.unique(codes)])

    def aligned(self, members: Index) -> "Space":
        """The same with the rows of `members` (m,) turned to one side, as `aligned` turns their Gram matrix."""
        side = np.ones(len(self.rows), dtype=np.float32)
        side[members] = sides(self.gram(members)[None])[0]
        return replace(self, side=side)


def sides(grams: Array) -> Array:
    """Signs (B, m), 1 or -1, of the leading eigenvectors of Gram matrices; 1 where an entry is zero.

    >>> sides(np.array([[[1.0, -0.5], [-0.5, 1.0]]])).prod().item()
    -1.0
    """
    last = [grams.shape[1] - 1] * 2
    leading = np.array([eigh(each, subset_by_index=last, check_finite=False)[1][:, 0] for each in grams])
    signs: Array = np.where(leading < -ROUNDING, -1.0, 1.0)
    return signs


def aligned(grams: Array) -> Array:
    """Gram matrices (B, m, m) of the same points turned to the side that most of them are on.

    Where the sign of a point is arbitrary, two points may be as near as r or as far as -r. Turned, a set has one Gram
    matrix whatever the signs of its points. Points that the leading eigenvector does not reach stay as they are.

    >>> aligned(np.array([[[1.0, -0.5], [-0.5, 1.0]]]))[0]
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    sign = sides(grams)
    product: Array = grams * sign[:, :, None] * sign[:, None, :]
    return product


def turned(grams: Array, rng: np.random.Generator) -> Array:
    """Gram matrices (B, m, m) of the same points, each with a random sign."""
    sign = 2.0 * rng.integers(0, 2, grams.shape[:2]) - 1.0
    product: Array = grams * sign[:, :, None] * sign[:, None, :]
    return product


def gram(rows: Floats) -> Array:
    """Gram matrix (m, m) of rows (m, C), its diagonal exactly the squared lengths."""
    product: Array = (rows @ rows.T).astype(np.float64)
    return product


def eigen(grams: Array) -> tuple[Array, Array]:
    """Eigenvalues (B, m), largest first, and vectors (B, m, m) of Gram matrices centred over their points."""
    centred = grams - grams.mean(axis=1, keepdims=True) - grams.mean(axis=2, keepdims=True)
    centred += grams.mean(axis=(1, 2))[:, None, None]
    values, vectors = np.linalg.eigh(centred)
    return np.maximum(values[:, ::-1], 0.0), vectors[:, :, ::-1]


def group_grams(whole: Floats, groups: Index) -> Array:
    """Gram matrices (B, m, m) of groups (B, m) of neurons from that of all, `whole` (N, N)."""
    return whole[groups[:, :, None], groups[:, None, :]].astype(np.float64)


def gaussian_grams(one: Array, n_draws: int, rng: np.random.Generator) -> Array:
    """Gram matrices (n_draws, m, m) of m normal points with mean and covariance of the points behind `one` (m, m).

    m points do not show their covariance in more than m dimensions: drawing from the m - 1 sample eigenvalues would
    count their noise twice and give clouds that look more clustered than the data. So the covariance is that of the
    first few components (those that noise does not explain, at most 5), less the level of the rest, plus a rest that
    is alike in all of q directions. The points are then scaled to unit length, as the data were.
    """
    m = len(one)
    values, vectors = (part[0] for part in eigen(one[None]))
    kept, level, q = _spikes_and_rest(values[: m - 1])
    spike = np.sqrt(np.maximum(values[:kept] - level, 0.0) / (m - 1))
    scores = rng.standard_normal((n_draws, m, kept)) * spike
    drawn = scores @ scores.transpose(0, 2, 1) + level * _wishart(m, q, n_draws, rng)
    # a point is the mean plus its scores; their product with the mean is needed too
    axes = vectors[:, :kept] / np.sqrt(np.maximum(values[:kept], 1e-300))
    along = scores @ (axes.T @ (one.mean(axis=1) - one.mean()))  # (n_draws, m)
    return on_sphere(drawn + along[:, :, None] + along[:, None, :] + one.mean())


def _spikes_and_rest(values: Array) -> tuple[int, float, int]:
    """Number of eigenvalues (m-1,) above the noise, and level and number of directions q of the noise.

    Equal variance in q directions gives eigenvalues with relative variance m / q: q follows from their spread. Noise
    ends at the Marchenko-Pastur edge, level * (1 + sqrt(m / q))^2; a tenth is added for its fluctuation.
    """
    for kept in range(min(N_SPIKES, (len(values) + 1) // 5) + 1):
        rest = values[kept:]
        level = max(float(rest.mean()), 1e-300)
        ratio = max(float((rest**2).mean()) / level**2 - 1.0, 1e-9)  # len(rest) / q
        if rest[0] <= 1.1 * level * (1 + np.sqrt(ratio)) ** 2:
            break
    return kept, level, int(np.clip(len(rest) / ratio, len(values) + 1, 10**9))


def _wishart(m: int, q: int, n_draws: int, rng: np.random.Generator) -> Array:
    """Gram matrices (n_draws, m, m) of m normal points in q >= m equal directions, expected length 1 (Bartlett)."""
    lower = np.tril(rng.standard_normal((n_draws, m, m)), -1)
    index = np.arange(m)
    lower[:, index, index] = np.sqrt(rng.chisquare(q - index, size=(n_draws, m)))
    product: Array = lower @ lower.transpose(0, 2, 1) / q
    return product


def on_sphere(grams: Array) -> Array:
    """Gram matrices (B, m, m) of the same points scaled to unit length."""
    length = np.sqrt(np.maximum(np.einsum("bii->bi", grams), 1e-300))
    scaled: Array = grams / (length[:, :, None] * length[:, None, :])
    return scaled


def shifted_grams(space: Space, members: Index, n_draws: int, rng: np.random.Generator) -> Array:
    """Gram matrices of `members` whose columns are turned within each block, every neuron by its own random offset.

    A neuron keeps its values, and their order within a document but for one cut; what it shares with others is lost.
    """
    turns = Turns(space.of(members).T, space.block)
    drawn = np.empty((n_draws, len(members), len(members)))
    for i in range(n_draws):
        offset = rng.integers(0, turns.size, size=(len(members), len(turns.size)))
        drawn[i] = gram(turns.apply(offset.T).T)
    return drawn


def permuted_grams(space: Space, members: Index, n_draws: int, rng: np.random.Generator) -> Array:
    """Gram matrices of `members` after each column's values are dealt anew among them: no neuron has a profile.

    With `_DEALS` neurons or more every column is shuffled once for as many draws, each of which turns it in a circle by
    its own random offset: a permutation drawn from a group, and faster. Fewer neurons have too few turns for that.
    """
    rows = space.of(members)  # (m, C)
    m, n_columns = rows.shape
    together, ones = np.zeros(m, dtype=np.int64), np.ones(n_columns, dtype=np.float32)
    drawn = np.empty((n_draws, m, m))
    for i in range(n_draws):
        if m < _DEALS or i % _DEALS == 0:
            turns = Turns(rng.permuted(rows, axis=0), together)
        dealt = turns.apply(rng.integers(0, m, (1, n_columns)))
        drawn[i] = dealt @ dealt.T
        if space.is_centred:
            total = (dealt @ ones).astype(np.float64)
            drawn[i] -= total[:, None] * (total / n_columns)
    return on_sphere(drawn)


def planted_grams(grams: Array, strength: float, n_clusters: int, rng: np.random.Generator) -> Array:
    """`grams` (B, m, m) with clusters of equal size planted: every neuron gets a part that its cluster shares.

    That part has the share `strength` of its variance, so two neurons of a cluster correlate by `strength` more.

    >>> planted_grams(np.eye(4)[None], 0.25, 2, np.random.default_rng(0))[0].sum().item()
    5.0
    """
    m = grams.shape[1]
    planted = np.empty_like(grams)
    for i, each in enumerate(grams):
        cluster = rng.permutation(np.arange(m) % n_clusters)
        planted[i] = (1 - strength) * each + strength * (cluster[:, None] == cluster[None, :])
    return planted
