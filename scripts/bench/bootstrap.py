"""The bootstrap beside scipy and arch.

Intervals of the mean of every neuron over resampled documents: a ratio of sums, as documents differ in length; B
replicates, percentiles 2.5 and 97.5. rt draws how often each document is in each resample and makes one product with
the documents' sums; arch draws documents and calls a function, for all neurons at once; scipy.stats.bootstrap copies
the resampled documents of all neurons, so it is timed on a few and scaled (the column for twice as many neurons shows
how far it is linear in them).
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
    n_replicates, repeats, some = (10_000, 3, 16) if full else (2_000, 1, 8)
    rng = np.random.default_rng(0)
    counts = rng.integers(100, 400, N_DOCUMENTS).astype(float)
    sums = counts[:, None] * rng.gamma(4.0, 0.25, (N_DOCUMENTS, N_NEURONS))
    neurons = rng.permutation(N_NEURONS)[: 2 * some]
    ways: dict[str, Callable[[], Ends]] = {
        "rt": lambda: rt(sums, counts, n_replicates),
        "arch": lambda: with_arch(sums, counts, n_replicates),
        "scipy/1": lambda: with_scipy(sums[:, neurons[:some]], counts, n_replicates),
        "scipy/2": lambda: with_scipy(sums[:, neurons], counts, n_replicates),
    }
    gap = compare(ways, neurons)
    if not gap <= allowed(n_replicates):
        raise SystemExit(f"ends differ by {gap:.2f} of half an interval")
    turns = in_turns(ways, repeats)
    caption = f"{N_NEURONS:,} neurons, {N_DOCUMENTS} documents, B = {n_replicates:,}"
    table = Table(caption, ["", "s, median", "least", "most", "times rt", "2n neurons / n"])
    for name in ("rt", "arch", "scipy/2"):
        scale = N_NEURONS / (2 * some) if name == "scipy/2" else 1.0
        twice = ratio(turns["scipy/2"], turns["scipy/1"]) if name == "scipy/2" else None
        label = {"rt": "**rt**", "scipy/2": "scipy.stats.bootstrap, scaled"}.get(name, name)
        times = spread([scale * turn.wall for turn in turns[name]])
        table.rows.append([label, *times, scale * ratio(turns[name], turns["rt"]), twice])
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
        (sums.T, np.broadcast_to(counts, sums.T.shape)), mean, n_resamples=n_replicates, batch=500, paired=True,
        vectorized=True, axis=-1, method="percentile", rng=np.random.default_rng(3),
    )  # fmt: skip
    return found.confidence_interval.low, found.confidence_interval.high


def allowed(n_replicates: int) -> float:
    """How far two estimates of an end may be apart, in halves of an interval of a normal: five standard errors."""
    density = stats.norm.pdf(1.96) * 1.96
    return float(5 * np.sqrt(2 * 0.025 * 0.975 / n_replicates) / density)


def compare(ways: dict[str, Callable[[], Ends]], neurons: np.ndarray) -> float:
    """The largest difference between ends of rt and of the others, in halves of an interval."""
    ours = ways["rt"]()
    gaps = []
    for name in ("arch", "scipy/2"):
        theirs = ways[name]()
        mine = tuple(end[neurons] if name == "scipy/2" else end for end in ours)
        half = (mine[1] - mine[0]) / 2
        gaps += [np.abs((a - b) / half).max() for a, b in zip(mine, theirs, strict=True)]
    return float(max(gaps))
