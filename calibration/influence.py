"""What is held against the truth in the analyses of influence: ranking, contrasts of classes, membership."""

from collections.abc import Callable
from functools import partial

import numpy as np
import polars as pl

from calibration.lakes import true_influences
from calibration.targets import Family, Interval, Rejection, Row, Study, Truth
from calibration.worlds import N_CORE, Array, Corpus, Design, World, flat_world, influence_world
from queries.stats import stability
from queries.stats.ranking import leading_share, ordinal_ranks, spearman_rows

# A neuron of the plateau, one of the power law, one of the decay; those that end in 5 have what is planted
PLACES = {"top": 5, "middle": 25, "bottom": 95}
FEWER = stability.Effort(replicates=400, splits=60, group_splits=20, null=59)
FEWEST = stability.Effort(replicates=200, splits=2, group_splits=1, null=1)


def _neuron(values: Callable[[World], Array], neuron: int) -> Truth:
    return lambda world, corpus, row: float(values(world)[neuron])


def _influence(token_class: str) -> Callable[[World], Array]:
    return lambda world: world.influence(token_class)


def _rank(world: World) -> Array:
    return np.asarray(ordinal_ranks(world.influence("rare")[None])[0], dtype=float)


def _signed(world: World) -> Array:
    return np.asarray(world.bias * world.influence("common"))


def _difference(world: World) -> Array:
    return world.influence("rare") - world.influence("common")


def _relative(world: World) -> Array:
    return np.asarray(world.selectivity - world.selectivity.mean())


def _top_share(world: World, corpus: Corpus, row: Row) -> float:
    return float(leading_share(world.influence("rare")[None])[0])


def influence_study() -> Study:
    """Influence, signed mean and rank of three neurons, the sign test of the same; the curve and its concentration."""
    intervals, tests = [], []
    for name, neuron in PLACES.items():
        rare, common = ({"token_class": each, "neuron": neuron} for each in ("rare", "common"))
        signed = ("mean_delta", "mean_delta_low", "mean_delta_high")
        intervals += [
            Interval(f"influence on rare tokens, {name} neuron", rare, _neuron(_influence("rare"), neuron)),
            Interval(f"influence on common tokens, {name} neuron", common, _neuron(_influence("common"), neuron)),
            Interval(f"signed mean, {name} neuron", common, _neuron(_signed, neuron), signed),
            Interval(f"rank, {name} neuron", rare, _neuron(_rank, neuron), ("rank", "rank_low", "rank_high"), "rank"),
        ]
        tests.append(Rejection(f"sign test, {name} neuron", common))
    share = ("top_share", "top_share_low", "top_share_high")
    intervals.append(Interval("share of the leading 1 %", {"token_class": "rare", "neuron": 0}, _top_share, share))
    for rank in (1, 30):
        row = {"token_class": "rare", "rank": rank}
        intervals.append(Interval(f"curve at rank {rank}", row, None, ("estimate", "curve_low", "curve_high")))
    return Study("influence", tuple(intervals), tuple(tests))


def _relative_of_row(world: World, corpus: Corpus, row: Row) -> float:
    return float(_relative(world)[row["neuron"]])


# Of the neurons above the network, the one with the smallest p, as the report's first page picks it
LEADING = (pl.col("estimate").is_nan() | (pl.col("estimate") <= 0), pl.col("p"), pl.col("neuron"))


def contrast_study() -> Study:
    """Rare against common of three neurons, in nats and relative to the network, and of the neuron that is found."""
    intervals, tests = [], []
    for name, neuron in PLACES.items():
        for contrast, truth in (("difference", _difference), ("relative", _relative)):
            row = {"contrast": contrast, "neuron": neuron}
            intervals.append(Interval(f"{contrast}, {name} neuron", row, _neuron(truth, neuron)))
            tests.append(Rejection(f"{contrast}, {name} neuron", row))
    searched = ("estimate", "selected_low", "selected_high")
    relative = {"contrast": "relative"}
    intervals.append(Interval("most selective neuron, found", relative, _relative_of_row, searched, first=LEADING))
    first = {"contrast": "relative", "neuron": 0}
    effect = ("rank_biserial", "rank_biserial_low", "rank_biserial_high")
    intervals.append(Interval("rank-biserial effect", first, None, effect, "rank_biserial"))
    tests.append(Rejection("some neurons are selective (verdict)", first, "verdict", "supported"))
    return Study("rare_contrast", tuple(intervals), tuple(tests))


def _band(curve: str, band: int) -> Truth:
    def truth(world: World, corpus: Corpus, row: Row) -> float:
        plateau, rest = world.level[:N_CORE, band - 1].mean(), world.level[N_CORE:, band - 1].mean()
        return float({"plateau": plateau, "rest": rest, "plateau_over_rest": np.log(plateau / rest)}[curve])

    return truth


def _trend(world: World, corpus: Corpus, row: Row) -> float:
    over = np.log(world.level[:N_CORE].mean(axis=0) / world.level[N_CORE:].mean(axis=0))
    return float(np.polyfit(np.arange(1, len(over) + 1), over, 1)[0])


def frequency_study() -> Study:
    """The curves in the outer bands, and the trend."""
    intervals = [
        Interval(f"{curve} in band {band}", {"curve": curve, "band": band}, _band(curve, band))
        for curve in ("plateau", "rest", "plateau_over_rest")
        for band in (1, 10)
    ]
    row = {"curve": "plateau_over_rest", "band": 1}
    intervals.append(Interval("trend", row, _trend, ("trend", "trend_low", "trend_high"), "trend"))
    tests = (Rejection("no trend", row), Rejection("the plateau gains (verdict)", row, "verdict", "supported"))
    return Study("frequency_curve", tuple(intervals), tests)


_KNOWN: dict[tuple[bytes, Corpus], float] = {}


def _reliability(world: World, corpus: Corpus, row: Row) -> float:
    """What the rankings of two other corpora of the same size correlate by, on average of 300 pairs."""
    key = (world.level.tobytes(), corpus)
    if key not in _KNOWN:
        drawn = true_influences(world, corpus, 600, np.random.default_rng(20260101))
        ranks = ordinal_ranks(drawn).astype(float)
        _KNOWN[key] = float(spearman_rows(ranks[::2], ranks[1::2]).mean())
    return _KNOWN[key]


def reliability_study() -> Study:
    """Reliability of the ranking and the overlap of two top tens and thirties."""
    row, top, wide = ({"token_class": "all", "measure": each} for each in ("spearman", "top_10", "top_30"))
    intervals = (
        Interval("reliability", row, _reliability),
        Interval("overlap of two top tens", top, signal="half"),
        Interval("overlap of two top thirties", wide, signal="half", designs=SOFT),
    )
    tests = (Rejection("reliability", row), Rejection("overlap of two top tens", top))
    return Study("ranking_reliability", intervals, tests)


def stability_study() -> Study:
    """The agreement of two halves; membership of neurons in a plateau with a soft edge."""
    neurons = {"inside": N_CORE // 2, "at the edge": N_CORE, "outside": 2 * N_CORE}
    jaccard = ("jaccard", "jaccard_low", "jaccard_high")
    first = {"token_class": "all", "neuron": 0}
    intervals = [Interval("overlap of two halves", first, None, jaccard, "jaccard")]
    for where, neuron in neurons.items():
        row = {"token_class": "all", "neuron": neuron}
        intervals.append(Interval(f"membership, neuron {where}", row, signal="regime", designs=SOFT))
    tests = (Rejection("overlap of two halves", first),)
    return Study("plateau_stability", tuple(intervals), tests, FEWER)


FEW = Corpus(documents=8, positions=36)
SOFT = ("soft", "soft, 8 documents")
GRADED = Family(
    "graded",
    (
        Design("none", influence_world),
        Design("weak", partial(influence_world, bias=0.15, selective=0.4, trend=0.04), effect=0.5),
        Design("strong", partial(influence_world, bias=0.3, selective=0.8, trend=0.08), effect=1.0),
        Design("none, 8 documents", influence_world, FEW),
    ),
    (influence_study(), contrast_study(), frequency_study()),
    upstream=(Study("plateau_stability", effort=FEWEST),),
    words="signed mean over size 0, 0.15, 0.3; ln selectivity 0, 0.4, 0.8; trend 0, 0.04, 0.08 per band",
    n_check=60,
)
RANKING = Family(
    "ranking",
    (
        Design("none", flat_world),
        Design("weak", partial(flat_world, spread=0.05), effect=0.05),
        Design("strong", partial(flat_world, spread=0.1), effect=0.1),
        Design("soft", partial(influence_world, excess=0.15), effect=0.15, is_tested=False),
        Design("soft, 8 documents", partial(influence_world, excess=0.15), FEW, effect=0.15, is_tested=False),
    ),
    (reliability_study(), stability_study()),
    words="sd of ln influence over the neurons 0, 0.05, 0.1; soft: a plateau 0.15 above a power law",
    n_check=40,
)
