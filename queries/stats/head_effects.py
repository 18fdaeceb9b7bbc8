"""What ablating a head does to the loss, in nats and relative to the loss of a class; errors by leaving out documents.

Rare targets have a higher loss, and what disturbs the model at all moves a high loss more. Relative to the mean loss of
its class, an effect that is the same share of the loss on both has a difference of 0.

Shapes: D documents, H heads; sums over the positions of a class. Source: Efron and Tibshirani (1993), chapter 11
(jackknife); Cohen (1988), Statistical Power Analysis, chapter 1 (the effect that a test would find).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.contrast import Studentised, studentise
from queries.stats.paired import paired_differences

Array = NDArray[np.float64]
POWER = 0.8


@dataclass(frozen=True)
class ClassEffects:
    """One class: positions `counts` (D,), sums of the change `signed` (D, H), of the loss itself `loss` (D,)."""

    counts: Array
    signed: Array
    loss: Array

    def scales(self, *, relative: bool) -> tuple[float, Array]:
        """What an effect is divided by: the mean loss of all documents, and without each (D,); or 1."""
        if not relative:
            return 1.0, np.ones(len(self.counts))
        n, total = self.counts.sum(), self.loss.sum()
        left = n - self.counts
        whole = float(total / n) if n > 0 else float("nan")
        return whole, (total - self.loss) / np.where(left > 0, left, np.nan)


def class_effect(of: ClassEffects, *, relative: bool) -> Studentised:
    """Mean change of the loss (H,), with its jackknife interval."""
    return _ratio([(of.signed, of.scales(relative=relative))], of.counts)


def class_contrast(rare: ClassEffects, common: ClassEffects, *, relative: bool) -> Studentised:
    """Rare minus common (H,), within documents as `paired_differences`; of relative effects, each by its own class.

    >>> one = ClassEffects(np.ones(3), np.array([[2.0], [1.0], [3.0]]), np.array([4.0, 2.0, 6.0]))
    >>> half = ClassEffects(np.ones(3), one.signed / 2, one.loss / 2)
    >>> [float(class_contrast(one, half, relative=each).estimate[0]) for each in (False, True)]
    [1.0, 0.0]
    """
    nothing = np.zeros_like(rare.signed)
    of_rare, weights = paired_differences(rare.signed, rare.counts, nothing, common.counts)
    of_common, _ = paired_differences(nothing, rare.counts, common.signed, common.counts)
    sums = [(of_rare, rare.scales(relative=relative)), (of_common, common.scales(relative=relative))]
    return _ratio(sums, weights)


def _ratio(parts: list[tuple[Array, tuple[float, Array]]], weights: Array) -> Studentised:
    """The sum of all `parts` (D, H), each over its scale, over the weights (D,)."""
    total = weights.sum()
    left = np.where(total - weights > 0, total - weights, np.nan)[:, None]
    whole = np.sum([sums.sum(axis=0) / scale for sums, (scale, _) in parts], axis=0) / (total if total > 0 else np.nan)
    without = np.sum([(sums.sum(axis=0) - sums) / scales[:, None] for sums, (_, scales) in parts], axis=0) / left
    present = weights > 0
    if present.sum() < 2:
        nothing = np.full(len(whole), np.nan)
        return Studentised(whole, *[nothing] * 5)
    return studentise(whole, without[present])


def visible(found: Studentised, level: float = 0.05) -> Array:
    """The effect (H,) that each head would need to be found with a chance of `POWER` in a family of H.

    Found: at the first step of Benjamini and Hochberg's rule, level / H, by its own error and degrees of freedom. The
    error is an estimate too, which makes t noncentral: Johnson and Welch (1940), Biometrika 31, 362. NaN where fewer
    than `MIN_DOCUMENTS` documents decide the error (`few_decide`): nobody can tell what would be seen with more.
    """
    n = max(int(np.isfinite(found.error).sum()), 1)
    bar = special.stdtrit(found.freedom, 1.0 - 0.5 * level / n)
    reach = bar * (1.0 + 0.25 / found.freedom) + special.ndtri(POWER) * np.sqrt(1.0 + bar**2 / (2.0 * found.freedom))
    effect: Array = reach * found.error
    return np.where(few_decide(found), np.nan, effect)


def few_decide(found: Studentised) -> NDArray[np.bool_]:
    """Whether the error of each head (H,) comes from fewer than `MIN_DOCUMENTS` documents' worth of differences.

    As many as there are documents count if all contribute alike, one if a single one makes all the difference.
    """
    return np.asarray(found.freedom + 1.0 < MIN_DOCUMENTS - 1e-9)
