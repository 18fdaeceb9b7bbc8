"""The bootstrap beside scipy and arch.

Intervals of the mean of every neuron over resampled documents: a ratio of sums, as documents differ in length; B
replicates, percentiles 2.5 and 97.5. rt draws how often each document is in each resample and makes one product with
the documents' sums; arch draws documents and calls a function; scipy.stats.bootstrap copies the resampled documents of
all neurons, in batches that keep its arrays below 200 MB.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from queries.stats.bootstrap import document_weights, percentile_interval, replicates
from scripts.bench.results import Result, Table
from scripts.bench.timing import in_turns, ratio, spread

N_DOCUMENTS, N_NEURONS = 64, 1_536
Ends = tuple[np.ndarray, np.ndarray]


def measure(full: bool) -> Result:
    """Answers first, then times in turns."""
    n_replicates, repeats = (10_000, 3) if full else (2_000, 1)
    rng = np.random.default_rng(0)
    counts = rng.integers(100, 400, N_DOCUMENTS).astype(float)
    sums = counts[:, None] * rng.gamma(4.0, 0.25, (N_DOCUMENTS, N_NEURONS))
    ways: dict[str, Callable[[], Ends]] = {
        "**rt**": lambda: rt(sums, counts, n_replicates),
        "arch": lambda: with_arch(sums, counts, n_replicates),
        "scipy.stats.bootstrap": lambda: with_scipy(sums, counts, n_replicates),
    }
    gap = compare(ways)
    if not gap <= allowed(n_replicates):
        raise SystemExit(f"ends differ by {gap:.2f} of half an interval")
    turns = in_turns(ways, repeats)
    caption = f"{N_NEURONS:,} neurons, {N_DOCUMENTS} documents, B = {n_replicates:,}"
    table = Table(caption, ["", "s, median", "least", "most", "times rt"])
    for name, mine in turns.items():
        table.rows.append([name, *spread([turn.wall for turn in mine]), ratio(mine, turns["**rt**"])])
    note = (
        f"Each way draws its own resamples, so ends differ by chance: by {gap:.2f} of half an interval at most "
        f"(allowed: {allowed(n_replicates):.2f}; B replicates put an end that far off in one of a million cases)."
    )
    return Result([table], [note])


def rt(sums: np.ndarray, counts: np.ndarray, n_replicates: int) -> Ends:
    """Percentile ends (N,) of every neuron."""
    weights = document_weights(len(counts), n_replicates, np.random.default_rng(1))
    return percentile_interval(replicates(sums, counts, weights))


def with_arch(sums: np.ndarray, counts: np.ndarray, n_replicates: int) -> Ends:
    """The same by `arch.bootstrap.IIDBootstrap`."""
    from arch.bootstrap import IIDBootstrap

    drawn = IIDBootstrap(sums, counts, seed=np.random.default_rng(2))
    low, high = drawn.conf_int(lambda s, c: s.sum(axis=0) / c.sum(), n_replicates, method="percentile")
    return low, high


def with_scipy(sums: np.ndarray, counts: np.ndarray, n_replicates: int) -> Ends:
    """The same by `scipy.stats.bootstrap`, in batches that keep its arrays small."""

    def mean(s: np.ndarray, c: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(s.sum(axis=axis) / c.sum(axis=axis))

    found = stats.bootstrap(
        (sums.T, np.broadcast_to(counts, sums.T.shape)), mean, n_resamples=n_replicates, batch=200, paired=True,
        vectorized=True, axis=-1, method="percentile", rng=np.random.default_rng(3),
    )  # fmt: skip
    return found.confidence_interval.low, found.confidence_interval.high


def allowed(n_replicates: int) -> float:
    """How far two estimates of an end may be apart, in halves of an interval of a normal: five standard errors."""
    density = stats.norm.pdf(1.96) * 1.96
    return float(5 * np.sqrt(2 * 0.025 * 0.975 / n_replicates) / density)


def compare(ways: dict[str, Callable[[], Ends]]) -> float:
    """The largest difference between ends of rt and of the others, in halves of an interval."""
    ours, *others = (way() for way in ways.values())
    half = (ours[1] - ours[0]) / 2
    return float(max(np.abs((a - b) / half).max() for each in others for a, b in zip(ours, each, strict=True)))
