"""Early against final purity of atoms, with what resampling documents and permuting labels do to it; the verdict.

Shapes: T positions, A atoms, k contexts, M measures, B permutations or replicates.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from queries.stats.bootstrap import MIN_DOCUMENTS, document_weights
from queries.stats.groups import monte_carlo_p
from queries.stats.purity import MEASURES, Array, Index, Labels, labelled, lottery, permuted, purities
from queries.stats.verdict import CONTRADICTED, LEVEL, SUPPORTED, UNDECIDABLE
from queries.stats.verdict import MIN_DOCUMENTS as MIN_FOR_VERDICT
from queries.stats.words import counted

EARLY = 0.05  # of the training
N_REPLICATES = 200
# A correlation beyond the null's that would matter, for support and contradiction alike: with enough atoms any excess
# is significant. Half of the 0.41 that was published without a null; of less than that little would be left.
FAR = 0.2


@dataclass(frozen=True)
class Evidence:
    """`names` (M) are (measure, step): `MEASURES` at the `last` step, then the mean `purity` at every step.

    `estimate`, `low`, `high` and `n_atoms` (M,); `drawn` (B, 7), `MEASURES` with permuted labels.
    """

    early: int
    last: int
    names: list[tuple[str, int]]
    estimate: Array
    low: Array
    high: Array
    n_atoms: list[int]
    drawn: Array

    def null(self, i: int) -> dict[str, float]:
        """What permuted labels give for the i-th name, and its one-sided p; nothing where that is not known."""
        if i >= len(MEASURES) or not np.isfinite([self.estimate[i], *self.drawn[:, i]]).all():
            return {}
        drawn = self.drawn[:, i]
        low, high = np.percentile(drawn, [2.5, 97.5])
        p = monte_carlo_p(float(self.estimate[i]), drawn, "greater")
        return {"null_mean": float(drawn.mean()), "null_low": float(low), "null_high": float(high), "p": p}


def evidence(
    contexts: Mapping[int, Index],
    labels: Labels,
    document: Index,
    n_permutations: int,
    rng: np.random.Generator,
    n_replicates: int = N_REPLICATES,
) -> Evidence:
    """Of the `contexts` (A, k) at each step, the strongest first, rows of `labels` and `document` (T,), -1 for none.

    The early step is the kept one next to 5 % of the last. Atoms count that have enough labelled contexts at both, or
    at the step. Without `MIN_DOCUMENTS` documents there are no intervals.
    """
    last = max(contexts)
    early = min(contexts, key=lambda step: (abs(step - EARLY * last), step))
    known = {step: labelled(each, labels) for step, each in contexts.items()}
    both = known[early] & known[last]
    first, final = contexts[early][both], contexts[last][both]
    alive = {step: each[known[step]] for step, each in contexts.items()}

    def measured(weights: Array | None = None) -> Array:
        means = [_mean(purities(each, labels, weights)) for each in alive.values()]
        return np.append(lottery(first, final, labels, weights), means)

    whole = measured()
    _, place = np.unique(document, return_inverse=True)
    n_documents = int(place.max(initial=-1)) + 1
    is_asked = labels.n_classes > 1  # one class has no purity to be measured
    n_drawn = n_replicates if is_asked and n_documents >= MIN_DOCUMENTS else 0
    n_permutations *= is_asked
    drawn = [measured(weights[place]) for weights in document_weights(n_documents, n_drawn, rng)]
    low, high = _ends(whole, np.array(drawn).reshape(n_drawn, len(whole)), n_documents)
    null = [lottery(first, final, labels.with_classes(of)) for of in permuted(labels.of, document, n_permutations, rng)]
    return Evidence(
        early, last,
        [(measure, last) for measure in MEASURES] + [("purity", step) for step in contexts],
        whole, low, high,
        [int(both.sum())] * len(MEASURES) + [len(each) for each in alive.values()],
        np.array(null).reshape(n_permutations, len(MEASURES)),
    )  # fmt: skip


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _ends(whole: Array, drawn: Array, n_documents: int) -> tuple[Array, Array]:
    """Ends (M,) from replicates (B, M): Student's t times their spread; of the correlation, the first, on Fisher's z.

    Not percentiles: a resample has fewer documents than the data, so its purities are higher and noisier, which would
    move the ends and not only set them apart.
    """
    if not len(drawn):
        return np.full(len(whole), np.nan), np.full(len(whole), np.nan)

    def on_z(values: Array) -> Array:
        turned = values.copy()
        turned[..., 0] = np.arctanh(np.clip(values[..., 0], -1 + 1e-9, 1 - 1e-9))
        return turned

    spread = on_z(drawn).std(axis=0, ddof=1)
    reach = np.where(spread > 0, spread, np.nan) * stats.t.ppf(0.975, n_documents - 1)
    low, high = on_z(whole) - reach, on_z(whole) + reach
    low[0], high[0] = np.tanh(low[0]), np.tanh(high[0])
    return low, high


def decide_lottery(
    estimate: float, low: float, high: float, null: float, q: float, n_documents: int
) -> tuple[str, str]:
    """The verdict on "what an atom will be about is settled early", from its correlation, and why.

    Supported: q < 0.05 and the interval begins at least `FAR` above what permuted labels give. Contradicted: q is not,
    and the interval ends less than `FAR` above that.

    >>> decide_lottery(0.6, 0.5, 0.7, 0.1, 0.01, 20)[0], decide_lottery(0.1, 0.0, 0.2, 0.1, 0.4, 20)[0]
    ('supported', 'contradicted')

    An excess that is there, but may be or is too small to matter:

    >>> decide_lottery(0.20, 0.15, 0.25, 0.12, 0.01, 20)[0], decide_lottery(0.6, 0.5, 0.7, 0.4, 0.01, 20)[0]
    ('undecidable', 'undecidable')
    """
    if not np.isfinite([low, high, null, q]).all():
        return UNDECIDABLE, "no interval, or no null"
    if n_documents < MIN_FOR_VERDICT:
        return UNDECIDABLE, f"only {counted(n_documents, 'document')}; at least {MIN_FOR_VERDICT} are needed"
    r = f"purity early and late correlate by {estimate:.2f} ({low:.2f} to {high:.2f})"
    excess = f"{estimate - null:.2f} ({low - null:.2f} to {high - null:.2f})"
    if q < LEVEL and low >= null + FAR:
        return SUPPORTED, f"{r}, by at least {FAR} more than with permuted labels ({null:.2f}, q = {q:.2g})"
    if q >= LEVEL and high < null + FAR:
        return CONTRADICTED, f"{r}, as permuted labels do ({null:.2f})"
    if q < LEVEL and low > null:
        size = f"less than the {FAR} that would matter" if high < null + FAR else f"not clear of {FAR}"
        return UNDECIDABLE, f"{r}, more than with permuted labels ({null:.2f}, q = {q:.2g}), but by {excess}: {size}"
    return UNDECIDABLE, f"{r}: not clear of permuted labels ({null:.2f}, q = {q:.2g}), nor within {FAR} of them"
