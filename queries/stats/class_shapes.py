"""How the segmented curves of two classes of positions differ, with an interval over documents and permuted labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queries.stats.bootstrap import absence_reason, document_weights, replicate_blocks, replicates
from queries.stats.corrected import Corrected, correct
from queries.stats.label_permutations import permuted_means
from queries.stats.plateau import Null
from queries.stats.segmentation import fit_values
from queries.stats.three_regimes import Regimes, stack
from queries.stats.verdict import MIN_DOCUMENTS, MIN_POSITIONS, ORDINARY, VISIBLE_EXCESS
from queries.stats.words import counted

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Positions:
    """|delta| of N neurons at T positions: `size` (T, N), `document` (T,) from 0 without gaps, `is_rare` (T,)."""

    size: NDArray[np.float32]
    document: NDArray[np.int64]
    is_rare: Mask

    def sums(self, is_member: Mask) -> tuple[Array, Array]:
        """Sums (D, N) and numbers (D,) of the positions `is_member`, by document."""
        counts = np.bincount(self.document[is_member], minlength=int(self.document.max()) + 1)
        rows = np.flatnonzero(is_member)
        rows = rows[np.argsort(self.document[rows], kind="stable")]
        ends = np.cumsum(counts)
        sums = np.stack(
            [self.size[rows[end - n : end]].sum(axis=0, dtype=np.float64) for n, end in zip(counts, ends, strict=True)]
        )
        return sums, counts.astype(np.float64)


@dataclass(frozen=True)
class ShapeContrast:
    """Rare minus common: fits of both classes, `corrected` intervals, `null` (B, 9) under permuted labels."""

    rare: Regimes
    common: Regimes
    corrected: Corrected
    null: Array

    @property
    def segmented(self) -> Array:
        """The difference in the data as they are (9,)."""
        difference: Array = self.rare.quantity[0] - self.common.quantity[0]
        return difference


def positions_reason(positions: Positions, weights: Array) -> str:
    """Why the classes cannot be compared; empty where they can. `weights` (B, D) are resamples of documents."""
    found = []
    for name, mask in (("rare", positions.is_rare), ("common", ~positions.is_rare)):
        counts = np.bincount(positions.document[mask], minlength=weights.shape[1]).astype(np.float64)
        if reason := absence_reason(counts, weights):
            found.append(f"{name}: {reason}")
    return "; ".join(found)


def shape_contrasts(
    positions: Positions, members: dict[str, Mask], n_replicates: int, n_permutations: int, rng: np.random.Generator
) -> tuple[dict[str, ShapeContrast], str]:
    """The contrast for each set of neurons in `members`, masks (N,), and why there is none, else an empty string."""
    weights = document_weights(int(positions.document.max()) + 1, n_replicates, rng)
    if reason := positions_reason(positions, weights):
        return {}, reason
    classes = positions.sums(positions.is_rare), positions.sums(~positions.is_rare)
    n_documents = int(((classes[0][1] > 0) & (classes[1][1] > 0)).sum())
    null: dict[str, list[Array]] = {name: [] for name in members}
    for rare, common in permuted_means(positions.size, positions.document, positions.is_rare, n_permutations, rng):
        for name, member in members.items():
            null[name].append(fit_values(rare[:, member]).quantity - fit_values(common[:, member]).quantity)
    found = {}
    for name, member in members.items():
        observed = [fit_values((sums[:, member].sum(axis=0) / counts.sum())[None]) for sums, counts in classes]
        drawn = [_resampled(sums[:, member], counts, weights).located for sums, counts in classes]
        located = observed[0].located[0] - observed[1].located[0]
        corrected = correct(located, drawn[0] - drawn[1], max(2, n_documents))
        found[name] = ShapeContrast(observed[0], observed[1], corrected, np.concatenate(null[name]))
    return found, ""


def _resampled(sums: Array, counts: Array, weights: Array) -> Regimes:
    """Regimes of every resample of documents."""
    blocks = replicate_blocks(len(weights), sums.shape[1])
    return stack([fit_values(replicates(sums, counts, weights[block])) for block in blocks])


def decide_contrast(
    n_documents: int, n_rare: int, low: float, high: float, null: Null, q: float, q_high: float
) -> tuple[str, str]:
    """Verdict on "the plateau is higher for rare tokens", and why.

    `low`, `high` the interval of the difference in excess, `null` and `q` of permuted labels, `q_high` the q-value at
    the upper end of the Monte-Carlo error. That a difference is ordinary speaks against the claim only if permuted
    labels would not give a doubling as well, and the interval allows for none.

    >>> decide_contrast(40, 900, 0.4, 1.0, Null(0.0, -0.2, 0.2, 0.002), 0.006, 0.02)[0]
    'supported'
    >>> decide_contrast(40, 900, -0.3, 0.2, Null(0.0, -0.2, 0.2, 0.6), 0.6, 0.7)[0]
    'contradicted'
    >>> decide_contrast(40, 900, 0.05, 0.6, Null(0.0, -0.9, 0.9, 0.25), 0.25, 0.3)[0]
    'undecidable'
    """
    if poor := _too_little(n_documents, n_rare, bool(np.isnan([low, high, q]).any())):
        return "undecidable", poor
    if low > 0 and q_high < 0.05:
        return "supported", f"the step is higher for rare tokens than permuted labels give (q = {q:.2g})"
    if high < 0:
        return "contradicted", f"the step is lower for rare tokens (interval {low:.2f} to {high:.2f})"
    if low <= 0 and max(high, null.high) < VISIBLE_EXCESS and null.p >= ORDINARY:
        return "contradicted", (
            f"a plateau twice as high for rare tokens (ln 2) is excluded (interval up to {high:.2f}), and permuted "
            f"labels give such a difference (p = {null.p:.2g})"
        )
    return "undecidable", f"the difference is {low:.2f} to {high:.2f}, with q = {q:.2g} against permuted labels"


def _too_little(n_documents: int, n_rare: int, is_unknown: bool) -> str:
    """Why no verdict can be given; empty where one can."""
    if n_documents < MIN_DOCUMENTS:
        return f"{counted(n_documents, 'document')} with both classes; a verdict needs at least {MIN_DOCUMENTS}"
    if n_rare < MIN_POSITIONS:
        return f"{counted(n_rare, 'rare position')}; a verdict needs at least {MIN_POSITIONS}"
    return "the curve bends down nowhere, or in too few resamples: no difference" if is_unknown else ""
