"""The phase coordinate and its company along a training, checkpoint by checkpoint, with leave-one-group-out replicates.

Spectra and beta_c are of all vectors, through their moments; both probes and NC1 are of a bounded sample, and so is the
lambda_max that coordinates are made with: it is too large by chance, the more so the fewer vectors, in data and null
alike. Every number is made again without each group of documents: EM goes on from the whole sample's solution (where
the top component is left out, from vectors without that of the whole sample), and each group has a gradient probe of
its own that never sees it. The null are the sample's vectors with every dimension permuted by itself: the same
marginals, no structure. Permutations and starts are the same at every checkpoint, so that equal vectors have equal
numbers by EM.
Shapes: n sampled vectors (n, d), G groups, B draws of the null, M = len(MEASURES).
Source: Yang (2026), arXiv 2605.24057.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from queries.stats import mixture_probe
from queries.stats.covariance import SPECTRAL, Moments, of_eigenvalues
from queries.stats.gradient_probe import MAX_UPDATES, GradientProbes
from queries.stats.mixture_probe import Probe, assignment, fit_best, refine
from queries.stats.neural_collapse import nc1

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

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
    _probes: dict[int, GradientProbes] = field(default_factory=dict)
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
        kept = np.stack([group != left_out for left_out in range(-1, len(moments) - 1)], axis=1)  # (n, 1 + G)
        parts = [_Numbers.of(values, each, label, all_) for each, all_ in zip(kept.T, moments, strict=True)]
        rest = parts[0].without_top()
        starts = [fit_best(each, self._generator(1), n_restarts=self.effort.restarts) for each in (values, rest)]
        trained = self._trained(0, values, kept, [each.sampled for each in parts], updates)
        em, top = (
            [start, *_refined(each, kept[:, 1:], start)] for each, start in zip((values, rest), starts, strict=True)
        )
        found = np.array([part.measures(em[i], top[i], trained[i]) for i, part in enumerate(parts)])
        null = [self._null(draw, values, label, updates) for draw in range(self.effort.nulls)]
        return Measured(found[0], found[1:], np.array(null))

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *key])

    def _null(self, draw: int, values: Floats, label: Index | None, updates: int) -> Array:
        """The measures of permuted vectors."""
        permuted = self._generator(draw, len(values)).permuted(values, axis=0)
        kept = np.ones((len(values), 1), dtype=bool)
        part = _Numbers.of(permuted, kept[:, 0], label, Moments.of(permuted))
        rng = self._generator(draw, 1, 1)
        em, top = (fit_best(each, rng, n_restarts=1) for each in (permuted, part.without_top()))
        return part.measures(em, top, self._trained(draw + 1, permuted, kept, [part.sampled], updates)[0])

    def _trained(
        self, number: int, values: Floats, kept: Flags, spectra: Sequence["_Spectrum"], updates: int
    ) -> list[Probe | None]:
        """Gradient probes on the parts `kept` (n, P) of `values` (n, d), trained on; None where nothing varies.

        At the first checkpoint that has some they are not trained: it is where beta begins, whatever its step.
        """
        weight = kept.astype(np.float32)
        if not all(each.top > 0 for each in spectra) or not kept.any(axis=0).all():
            return [None] * len(spectra)
        if number not in self._probes:
            self._probes[number] = GradientProbes()
            beta_c = 1 / np.array([each.top for each in spectra])
            self._probes[number].start(values, weight, beta_c, self._generator(7))
            updates = 0
        probes = self._probes[number]
        log_beta = probes.train(values, weight, updates)
        pairs = zip(probes.prototypes, np.exp(log_beta), strict=True)
        return [Probe(prototypes, float(beta), float("nan")) for prototypes, beta in pairs]


@dataclass(frozen=True)
class _Spectrum:
    """`SPECTRAL` of a covariance and its top direction (d,)."""

    measures: Array
    direction: Array

    @property
    def top(self) -> float:
        return float(self.measures[SPECTRAL.index("lambda_max")])

    @property
    def second(self) -> float:
        return float(self.measures[SPECTRAL.index("lambda_max_without_top")])

    @classmethod
    def of(cls, covariance: Array) -> "_Spectrum":
        eigenvalues, directions = np.linalg.eigh(covariance)
        return cls(of_eigenvalues(eigenvalues.astype(np.float64)), directions[:, -1])


@dataclass(frozen=True)
class _Numbers:
    """A part of the sample (n, d), with labels where there are some, and two spectra: of all vectors, of these."""

    values: Floats
    label: Index | None
    spectrum: _Spectrum
    sampled: _Spectrum

    @classmethod
    def of(cls, values: Floats, kept: Flags, label: Index | None, moments: Moments) -> "_Numbers":
        """Of the vectors `kept` (n,) of the sample, where `moments` are those of all vectors of that part."""
        part, spectrum = values[kept], _Spectrum.of(moments.covariance)
        is_all = len(part) in (0, moments.n)
        sampled = spectrum if is_all else _Spectrum.of(Moments.of(part).covariance)
        return cls(part, None if label is None else label[kept], spectrum, sampled)

    def without_top(self) -> Floats:
        """The vectors without their component along their top direction."""
        direction = self.sampled.direction.astype(np.float32)
        return self.values - np.outer(self.values @ direction, direction)

    def measures(self, em: Probe | None, without_top: Probe | None, sgd: Probe | None) -> Array:
        """`MEASURES` (M,)."""
        found = dict(zip(SPECTRAL, self.spectrum.measures, strict=True))
        top, second = self.sampled.top, self.sampled.second
        if not self.spectrum.top > 0:
            return np.full(len(MEASURES), np.nan)
        found["beta_c"] = 1 / self.spectrum.top
        if self.label is not None:
            found["nc1_labels"], found["nc1_ratio_labels"] = nc1(self.values, self.label)
        if em is not None and np.isfinite(em.beta) and top > 0:
            found |= {"beta_em": em.beta, "coordinate_em": np.log(em.beta * top)}
            found["nc1_em"], found["nc1_ratio_em"] = nc1(self.values, assignment(self.values, em))
        if without_top is not None and np.isfinite(without_top.beta) and second > 0:
            # the probe counts d dimensions, of which one is gone
            d = self.values.shape[1]
            found["coordinate_em_without_top"] = np.log(without_top.beta * (d - 1) / d * second)
        if sgd is not None:
            found |= {"beta_sgd": sgd.beta, "coordinate_sgd": np.log(sgd.beta * top)}
            found["nc1_sgd"], found["nc1_ratio_sgd"] = nc1(self.values, assignment(self.values, sgd))
        return np.array([found.get(name, np.nan) for name in MEASURES])


def _refined(values: Floats, kept: Flags, start: Probe | None) -> Sequence[Probe | None]:
    """EM on the parts `kept` (n, G) of the sample from the whole sample's solution."""
    if start is None or not np.isfinite(start.beta) or not kept.any(axis=0).all() or not kept.size:
        return [None] * kept.shape[1]
    return refine(values, kept.astype(np.float32), start, _REFINED)
