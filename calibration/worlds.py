"""What is true of a simulated model: the influence of its neurons, what they share, and the corpus they are seen on.

Shapes: N neurons, 10 frequency bands of the vocabulary, K common factors. The first `N_CORE` neurons are the plateau.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]

N_BANDS = 10
N_NEURONS, N_CORE, N_CLUSTERS = 132, 16, 4
N_RANKED = 260  # neurons enough for a trend over the ranking
# Bands of the common and of the rare half of the vocabulary; types of a half are equally frequent in the corpus
HALVES = {"common": slice(0, 5), "rare": slice(5, 10)}


@dataclass(frozen=True)
class World:
    """What does not change from corpus to corpus.

    `level` (N, 10): mean |change of the loss| in each band, nats; `bias` (N,): its signed mean over its size.
    `loading` (N, K): what common factors of the activations add to each neuron, in units of its own spread.
    `cluster` (N,): the factor that a neuron shares with others of its cluster, -1 for none; it has the share `coupling`
    (N,) of the variance of activations and of weights. `scale` (N,): the size of the activations, with heavy tails.
    `mediated` (N,): the share of the effect that is lost when a path is frozen. `routing`, `deeper`, `sparser`: what
    optional passes find, see `calibration.heads` and `calibration.layers`; `elsewhere`: how far influence differs in
    another corpus, see `another`; `seed`: of what else belongs to the model.
    `pure`, `settled`: what atoms of an autoencoder like, see `calibration.autoencoders`.
    """

    level: Array
    bias: Array
    loading: Array
    cluster: Index
    coupling: Array
    scale: Array
    mediated: Array
    routing: float = 0.0
    deeper: float = 0.0
    sparser: float = 0.0
    elsewhere: float = 0.0
    seed: int = 0
    pure: float = 0.0
    settled: bool = False

    def influence(self, token_class: str) -> Array:
        """True influence (N,) on tokens of the class."""
        return np.asarray(self.level[:, HALVES[token_class]].mean(axis=1))

    @property
    def another(self) -> "World":
        """The same model on another corpus: ln influence moves by `elsewhere` on average, and by as much around it."""
        moved = 1.0 + np.random.default_rng([self.seed, 5]).standard_normal((len(self.level), 1))
        return replace(self, level=self.level * np.exp(self.elsewhere * moved))

    @property
    def selectivity(self) -> Array:
        """Ln influence on rare over common tokens (N,)."""
        return np.log(self.influence("rare") / self.influence("common"))


@dataclass(frozen=True)
class Corpus:
    """How much text there is: documents, mean positions of each, share of rare targets; columns of the weights."""

    documents: int = 24
    positions: int = 12
    rare_share: float = 0.4
    d_model: int = 64


@dataclass(frozen=True)
class Design:
    """A kind of lake: its world, drawn anew for each lake (`is_anew`: what groups are compared on) or once for all.

    `effect` is the size of what is planted, 0 for nothing; `is_tested`: tests are counted, not only intervals.
    """

    name: str
    make: Callable[[np.random.Generator], World]
    corpus: Corpus = Corpus()
    is_anew: bool = False
    effect: float = 0.0
    is_tested: bool = True

    @property
    def is_planted(self) -> bool:
        """Whether it shows power and nothing else that another design does not."""
        return self.is_tested and not self.is_null

    @property
    def is_null(self) -> bool:
        """Whether nothing is planted."""
        return self.effect == 0.0


def plateau_curve(n: int, kappa: float = 0.7, excess: float = 1.5, elbow: float = 0.4) -> Array:
    """True influences (n,): `N_CORE` neurons `excess` (ln) above a power law that decays fast from `elbow` * n on."""
    x = np.log(np.arange(1, n + 1))
    y = -kappa * x - 3.0 * np.maximum(x - np.log(elbow * n), 0)
    if excess:
        # nearly flat: where influences are equal there is no rank to be covered
        y[:N_CORE] = excess - kappa * np.log(N_CORE) + 0.3 * (0.5 - np.arange(N_CORE) / N_CORE)
    return np.asarray(1e-3 * np.exp(y))


def influence_world(
    rng: np.random.Generator, bias: float = 0.0, selective: float = 0.0, trend: float = 0.0, excess: float = 1.5
) -> World:
    """Neurons on a plateau curve, and in every tenth one something else: a signed mean of `bias` times its size.

    Every tenth is also `selective`: ln(rare / common) above that of the others. The plateau gains `trend` (ln) on the
    rest per band. Loadings are drawn; activations share nothing else.
    """
    curve = plateau_curve(N_NEURONS, excess=excess)
    is_special = np.arange(N_NEURONS) % 10 == 5
    band = np.arange(N_BANDS) - 4.5
    logs = np.log(curve)[:, None] + 0.5 * selective * is_special[:, None] * np.sign(band)
    logs[:N_CORE] += trend * band
    return _world(np.exp(logs), bias * is_special, 0.0, rng)


def flat_world(rng: np.random.Generator, spread: float = 0.0) -> World:
    """Neurons whose ln influence has the sd `spread`: with 0 there is nothing to rank."""
    n = 60
    place = (np.arange(n) + 0.5) / n
    logs = spread * np.log(place[::-1] / (1 - place[::-1])) * np.sqrt(3) / np.pi
    return _world(np.tile(1e-3 * np.exp(logs)[:, None], N_BANDS), np.zeros(n), 0.0, rng)


def coupled_world(rng: np.random.Generator, coupling: float = 0.0, n: int = N_NEURONS) -> World:
    """A plateau whose neurons fall into `N_CLUSTERS` clusters that share `coupling` of their variance."""
    curve = plateau_curve(n, excess=2.0)
    return _world(np.tile(curve[:, None], N_BANDS), np.zeros(n), coupling, rng)


def sloping_world(rng: np.random.Generator, steepest: float = 0.4) -> World:
    """A plateau that is no more than the top of the ranking: clusters everywhere, all the closer the more influential.

    The share that the clusters have of the variance rises in a straight line with ln influence, from 0 to `steepest`,
    and the size of activations with it, as in real models; enough neurons for a trend over the ranking.
    """
    curve = plateau_curve(N_RANKED)
    world = _world(np.tile(curve[:, None], N_BANDS), np.zeros(len(curve)), 0.0, rng)
    logs = np.log(curve)
    coupling = steepest * (logs - logs.min()) / np.ptp(logs)
    scale = np.sqrt(curve / curve.mean()) * rng.lognormal(0.0, 0.3, len(curve))
    return replace(world, cluster=rng.permutation(len(curve)) % N_CLUSTERS, coupling=coupling, scale=scale)


def opposed_world(rng: np.random.Generator, against: float = 0.0) -> World:
    """A plateau whose activations have the share `against` of their own variance in common, the rest minus that.

    No clusters; enough neurons for a trend over the ranking.
    """
    world = sloping_world(rng, steepest=0.0)
    loading = world.loading.copy()
    loading[:, 0] = np.sqrt(against) * np.where(np.arange(len(loading)) < N_CORE, 1.0, -1.0)
    return replace(world, loading=loading)


def mediated_world(rng: np.random.Generator, share: float = 0.0, anywhere: bool = False) -> World:
    """A plateau whose neurons have `share` of their effect through a path, a quarter more or less, and the rest none.

    `anywhere`: half of all neurons do, whether of the plateau or not, and who is drawn.
    """
    world = coupled_world(rng)
    members = rng.permutation(N_NEURONS)[: N_NEURONS // 2] if anywhere else np.arange(N_CORE)
    mediated = np.zeros(N_NEURONS)
    # neighbours in the plateau differ: its edge has high shares as often as low ones
    mediated[members] = share + 0.5 * (members * 7 % N_CORE / (N_CORE - 1) - 0.5) if share else 0.0
    return replace(world, mediated=mediated)


def smooth_world(rng: np.random.Generator, component: float = 0.0, n: int = 150) -> World:
    """Influences drawn from one lognormal law; with `component`, 8 % of the neurons lie that far (ln) above its top."""
    logs = rng.standard_normal(n)
    if component:
        size = round(0.08 * n)
        logs[:size] = np.quantile(logs, 0.97) + component + 0.2 * rng.standard_normal(size)
    order = np.argsort(-logs)
    return _world(np.tile(1e-3 * np.exp(logs[order])[:, None], N_BANDS), np.zeros(n), 0.0, rng)


def power_world(rng: np.random.Generator, alpha: float = 2.5, n: int = 150) -> World:
    """Influences drawn from a power law with the density exponent `alpha`, from the smallest on."""
    level = 1e-4 * np.sort(rng.random(n)) ** (-1 / (alpha - 1))
    return _world(np.tile(level[:, None], N_BANDS), np.zeros(n), 0.0, rng)


def _world(level: Array, bias: Array, coupling: float, rng: np.random.Generator) -> World:
    n = len(level)
    cluster = np.where(np.arange(n) < N_CORE, np.arange(n) % N_CLUSTERS, -1)
    loading = 0.3 * rng.standard_normal((n, 3))
    shares = np.where(cluster >= 0, coupling, 0.0)
    return World(level, bias, loading, cluster, shares, rng.lognormal(0.0, 1.0, n), np.zeros(n))
