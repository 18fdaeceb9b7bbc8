"""The phase coordinate and its company along a training, checkpoint by checkpoint, with leave-one-group-out replicates.

Spectra are of all vectors, through their moments; both probes and NC1 are of a bounded sample. Every number is made
again without each group of documents: EM goes on from the whole sample's solution, and each group has a gradient probe
of its own that never sees it. The null are the sample's vectors with every dimension permuted by itself: the same
marginals, no structure; the same permutations at every checkpoint.
Shapes: n sampled vectors (n, d), G groups, B draws of the null, M = len(MEASURES).
Source: Yang (2026), arXiv 2605.24057.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from queries.stats import mixture_probe
from queries.stats.covariance import SPECTRAL, Moments, of_eigenvalues
from queries.stats.gradient_probe import MAX_UPDATES, GradientProbe
from queries.stats.mixture_probe import Probe, assignment, fit, fit_best
from queries.stats.neural_collapse import nc1

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Index = NDArray[np.int64]

MEASURES = (
    *SPECTRAL,
    "beta_c",
    "beta_em",
    "beta_sgd",
    "coordinate_em",
    "coordinate_sgd",
    "coordinate_em_without_top",
    "nc1_labels",
    "nc1_em",
    "nc1_sgd",
    "nc1_ratio_labels",
    "nc1_ratio_em",
    "nc1_ratio_sgd",
)
_REFINED = 30  # EM iterations of a replicate, which begins at the solution


@dataclass(frozen=True)
class Effort:
    """Draws of the null, EM restarts, gradient updates between checkpoints at most."""

    nulls: int = 3
    restarts: int = mixture_probe.N_RESTARTS
    updates: int = MAX_UPDATES


@dataclass(frozen=True)
class Measured:
    """`MEASURES` of a checkpoint: `values` (M,), `without` (G, M) each group, `null` (B, M); NaN if there is none."""

    values: Array
    without: Array
    null: Array


@dataclass
class Track:
    """A representation on its way through a training: the gradient probes go on from checkpoint to checkpoint."""

    rng: np.random.Generator
    effort: Effort = field(default_factory=Effort)
    _probes: dict[tuple[str, int], GradientProbe] = field(default_factory=dict)
    _step: int = 0

    def __post_init__(self) -> None:
        self._seed = int(self.rng.integers(2**32))

    def measure(
        self, step: int, moments: Sequence[Moments], vectors: Floats, group: Index, label: Index | None
    ) -> Measured:
        """The checkpoint `step`: `moments` of all vectors and without each of G groups, the sample with its groups."""
        updates = min(max(step - self._step, 0), self.effort.updates)
        self._step = step
        values = (vectors - vectors.mean(axis=0, dtype=np.float64)).astype(np.float32)
        spectra = [_Spectrum.of(each.covariance) for each in moments]
        whole = _Numbers(values, label, spectra[0])
        best = fit_best(values, self._generator(step), n_restarts=self.effort.restarts)
        rest = whole.without_top()
        top = fit_best(rest, self._generator(step), n_restarts=self.effort.restarts)
        found = [whole.of(best, top, self._trained("whole", 0, whole, updates))]
        for left_out, spectrum in enumerate(spectra[1:]):
            is_kept = group != left_out
            part = _Numbers(values[is_kept], None if label is None else label[is_kept], spectrum)
            em = _refined(part.values, best)
            without = _refined(part.without_top(), top)
            found.append(part.of(em, without, self._trained("group", left_out, part, updates)))
        null = [self._null(draw, step, values, label, updates) for draw in range(self.effort.nulls)]
        return Measured(found[0], np.array(found[1:]).reshape(-1, len(MEASURES)), np.array(null))

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *key])

    def _null(self, draw: int, step: int, values: Floats, label: Index | None, updates: int) -> Array:
        """The measures of permuted vectors."""
        permuted = self._generator(draw, len(values)).permuted(values, axis=0)
        part = _Numbers(permuted, label, _Spectrum.of(Moments.of(permuted).covariance))
        rng = self._generator(draw, step, 1)
        em, top = (fit_best(each, rng, n_restarts=1) for each in (permuted, part.without_top()))
        return part.of(em, top, self._trained("null", draw, part, updates))

    def _trained(self, kind: str, number: int, part: "_Numbers", updates: int) -> GradientProbe | None:
        """The gradient probe of this part, trained on; None where nothing varies."""
        if not part.spectrum.top > 0 or not len(part.values):
            return None
        if (kind, number) not in self._probes:
            self._probes[kind, number] = GradientProbe()
            # every part starts from the same prototypes, so that groups differ by their vectors alone
            self._probes[kind, number].start(part.values, 1 / part.spectrum.top, self._generator(7))
        self._probes[kind, number].train(part.values, updates)
        return self._probes[kind, number]


@dataclass(frozen=True)
class _Spectrum:
    """`SPECTRAL` of a covariance and its top direction (d,)."""

    measures: Array
    direction: Array

    @property
    def top(self) -> float:
        return float(self.measures[0])

    @classmethod
    def of(cls, covariance: Array) -> "_Spectrum":
        eigenvalues, directions = np.linalg.eigh(covariance)
        return cls(of_eigenvalues(eigenvalues.astype(np.float64)), directions[:, -1])


@dataclass(frozen=True)
class _Numbers:
    """A part of the sample (n, d), with labels where there are some, and the spectrum of all vectors of that part."""

    values: Floats
    label: Index | None
    spectrum: _Spectrum

    def without_top(self) -> Floats:
        """The vectors without their component along the top direction."""
        direction = self.spectrum.direction.astype(np.float32)
        return self.values - np.outer(self.values @ direction, direction)

    def of(self, em: Probe | None, without_top: Probe | None, sgd: GradientProbe | None) -> Array:
        """`MEASURES` (M,)."""
        found = dict(zip(SPECTRAL, self.spectrum.measures, strict=True))
        top, second = self.spectrum.top, found["lambda_max_without_top"]
        if not top > 0:
            return np.full(len(MEASURES), np.nan)
        found["beta_c"] = 1 / top
        if self.label is not None:
            found["nc1_labels"], found["nc1_ratio_labels"] = nc1(self.values, self.label)
        if em is not None and np.isfinite(em.beta):
            found |= {"beta_em": em.beta, "coordinate_em": np.log(em.beta * top)}
            found["nc1_em"], found["nc1_ratio_em"] = nc1(self.values, assignment(self.values, em))
        if without_top is not None and np.isfinite(without_top.beta) and second > 0:
            # the probe counts d dimensions, of which one is gone
            d = self.values.shape[1]
            found["coordinate_em_without_top"] = np.log(without_top.beta * (d - 1) / d * second)
        if sgd is not None:
            beta = float(np.exp(sgd.log_beta))
            found |= {"beta_sgd": beta, "coordinate_sgd": np.log(beta * top)}
            own = Probe(sgd.prototypes, beta, np.nan)
            found["nc1_sgd"], found["nc1_ratio_sgd"] = nc1(self.values, assignment(self.values, own))
        return np.array([found.get(name, np.nan) for name in MEASURES])


def _refined(values: Floats, start: Probe | None) -> Probe | None:
    """EM on a part of the sample from the whole sample's solution."""
    if start is None or not np.isfinite(start.beta) or not len(values):
        return None
    centred = values - values.mean(axis=0)
    found = fit(centred, start.prototypes - values.mean(axis=0), start.beta, _REFINED)
    return Probe(found.prototypes + values.mean(axis=0), found.beta, found.log_likelihood)
