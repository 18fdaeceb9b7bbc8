"""Is influence alike among neurons that write in like directions, and are the plateau neurons neighbours?

The index of a neuron is arbitrary, so neighbours are defined by weights: every neuron's 10 nearest are those whose rows
of W_out have the largest cosine with its own. In a gated MLP (Llama and the like) the sign of a neuron is arbitrary, so
there the size of the cosine makes neighbours. Moran's I is the correlation of a neuron's value with the mean of its
neighbours' values: near 0 without spatial order, positive where neighbours are alike. `influence` takes the ranks of
the influence, `membership` whether a neuron is in the plateau's stable core (1) or not (0).

`null` deals the values anew among the neurons 1,999 times. For `membership` there is a second null: the core leads the
ranking by influence, and where neighbours have like influence any part of the ranking has neighbours. So the other
neurons are cut into windows of the ranking, as large as the core, and a parabola through their I is continued to the
core: `trend`, its prediction interval and p. With fewer than 10 windows there is none, and the answer says so. `p` is
the larger of the one-sided p-values. `power` is how often a planted set would be beyond 95 % of both nulls: as many
neurons as the plateau has, a third of them in neighbourhoods of 11 neurons. The papers say that plateau neurons are
spread and form no clusters: for `membership` that is `contradicted` if q < 0.05 and the interval lies above the means
of both nulls, `supported` if p >= 0.05 and the power is at least 80 %, else `undecidable`. A trend that predicts surely
more than there is does not hold, and explains nothing. An `influence` beyond its null says that what a neuron writes
has to do with how much it matters; it is no cluster of plateau neurons.

Intervals leave out twentieths of the weights in turn, finding the neighbours anew each time. They hold the influence
and the plateau as they are: how far other documents would change them is the question of the plateau's stability.

Caveats: intervals are cautious, 1.5 to 1.9 times as wide as they need be, as the nearest of many like neighbours change
with the weights that are left out. Nearest neighbours in hundreds of dimensions are often hardly nearer than any other
neuron. A few neurons that are near to everything can carry I. Neurons of like size or purpose may be neighbours for
other reasons than clustering. Where `influence` is far beyond its null, the trend may predict too little for the core,
or far too much: the core is the open end of the ranking.

Source: Moran (1950), Biometrika 37, 17; the claim: Liu et al. (2025), arXiv 2505.12822, and arXiv 2509.21163.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.tables import schema_of
from queries.stats.groups import floor_p, monte_carlo_p
from queries.stats.moran import Array, Index, morans_i, nearest, permuted, planted_membership
from queries.stats.nulls import benjamini_hochberg
from queries.stats.point_sets import unit_rows
from queries.stats.set_tests import trend_limit
from queries.stats.trend import Trend, continued, place_of, windows
from queries.stats.verdict import REFUTED
from queries.stats.words import counted

KEYS = ("run", "token_class", "measure")
MEASURES = ("influence", "membership")
K_NEIGHBOURS, N_PERMUTATIONS, N_PLANTED, N_BLOCKS = 10, 1999, 200, 20
PLANTED_SHARE, MIN_POWER, MIN_MEMBERS, LEVEL = 1 / 3, 0.8, 5, 0.05
COLUMNS = {
    "n_members": "Neurons of the plateau's stable core.",
    "null_mean": "Mean with the values dealt anew among the neurons.",
    "null_low": "Low end of 95 % of these.",
    "null_high": "High end of 95 % of these.",
    "p_null": "One-sided p against them.",
    "trend_mean": "What the trend over the ranking by influence predicts for the core; NaN: none could be made.",
    "trend_low": "Low end of its 95 % prediction interval.",
    "trend_high": "High end of it.",
    "p_trend": "One-sided p against it.",
    "p": "The larger of both p-values.",
    "q": "Benjamini-Hochberg q of `p` over classes and measures of the run.",
    "power": "Share of planted sets beyond 95 % of both nulls; NaN for influence.",
    "verdict": "Plateau neurons are no neighbours: `supported`, `contradicted` or `undecidable`; null for influence.",
    "reason": "Why, in words, or why there is no estimate.",
}
CLOSEST = {"p_null": "null_mean", "p_trend": "trend_mean"}
NUMBERS = (
    *("estimate", "low", "high", "null_mean", "null_low", "null_high", "p_null"),
    *("trend_mean", "trend_low", "trend_high", "p_trend", "p", "power"),
)
SCHEMA = schema_of(KEYS, COLUMNS, counts=["n_members"])


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Two rows per run and class; `n` counts neurons."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        classes = dict(by_group(group, ("token_class",)))
        graphs = _graphs(next(iter(classes.values())), rng)
        found = [
            {"run": run, "token_class": token_class, "measure": measure, **_row(part, measure, graphs, rng)}
            for (token_class,), part in classes.items()
            for measure in MEASURES
        ]
        for row, q in zip(found, benjamini_hochberg(np.array([row["p"] for row in found])), strict=True):
            rows.append({**row, "q": float(q), **_verdict(row, float(q))})
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _graphs(part: pl.DataFrame, rng: np.random.Generator) -> list[Index]:
    """Neighbours (N, k) by all weights, then without each twentieth of them; nothing without weights."""
    if part["weight"].null_count() or part.height <= K_NEIGHBOURS:
        return []
    weight = part["weight"].list.to_array(part["weight"].list.len()[0]).to_numpy()  # (N, d)
    is_gated = bool(part["is_gated"].any())
    graphs = [_graph(weight, is_gated)]
    block = rng.permutation(np.arange(weight.shape[1]) % N_BLOCKS)
    return graphs + [_graph(weight[:, block != each], is_gated) for each in np.unique(block)]


def _graph(weight: NDArray[np.float32], is_gated: bool) -> Index:
    """Neighbours (N, k) by cosine; by its size where the sign of a neuron is arbitrary."""
    rows = unit_rows(weight, is_centred=False)
    cosines = rows @ rows.T
    return nearest(np.abs(cosines) if is_gated else cosines, K_NEIGHBOURS)


def _row(part: pl.DataFrame, measure: str, graphs: list[Index], rng: np.random.Generator) -> dict[str, Any]:
    """Estimate, interval, null and power of one measure of a class."""
    n_members = int(part["is_plateau"].sum())
    row: dict[str, Any] = {name: float("nan") for name in NUMBERS}
    row |= {"n": part.height, "n_members": n_members, "reason": _shortage(part, measure, graphs, n_members)}
    if row["reason"]:
        return row
    source = part["influence"].rank() if measure == "influence" else part["is_plateau"]
    values = source.cast(pl.Float64).to_numpy()
    observed, *left = (float(morans_i(values[None], graph)[0]) for graph in graphs)
    half = _half_width(np.array(left))
    null = permuted(values, graphs[0], N_PERMUTATIONS, rng)
    low, high = np.quantile(null, [0.025, 0.975])
    p = monte_carlo_p(observed, null, "greater")
    row |= {
        "estimate": observed, "low": observed - half, "high": observed + half, "null_mean": float(null.mean()),
        "null_low": float(low), "null_high": float(high), "p_null": p, "p": p,
    }  # fmt: skip
    if measure == "membership":
        trend = _trend(part, values, graphs[0])
        row |= _against(trend, observed, p)
        planted = planted_membership(n_members, graphs[0], PLANTED_SHARE, N_PLANTED, rng)
        critical = np.fmax(np.quantile(null, 1 - LEVEL), trend_limit(trend, LEVEL)[0])
        row["power"] = float((morans_i(planted, graphs[0]) > critical).mean())
    return row


def _trend(part: pl.DataFrame, values: Array, graph: Index) -> Trend:
    """What the I of windows of the ranking, continued to the core, predicts: the core leads and has no equals."""
    influence = part["influence"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    members = np.flatnonzero(values > 0)
    found = windows(influence, members)
    in_window = np.zeros((len(found), len(values)))
    np.put_along_axis(in_window, found, 1.0, axis=1)
    at = float(place_of(influence, members))
    return continued(place_of(influence, found), morans_i(in_window, graph)[:, None], at)


def _against(trend: Trend, observed: float, p: float) -> dict[str, float]:
    """The columns of the trend, and the larger of its p and `p`."""
    low, high = trend.range()
    p_trend = float(trend.p(np.array([observed]), "greater")[0])
    return {
        "trend_mean": float(trend.mean[0]), "trend_low": float(low[0]), "trend_high": float(high[0]),
        "p_trend": p_trend, "p": float(np.fmax(p, p_trend)),
    }  # fmt: skip


def _shortage(part: pl.DataFrame, measure: str, graphs: list[Index], n_members: int) -> str:
    """Why there is no estimate; empty where there is one."""
    if part["weight"].null_count():
        return "this run has no output weights"
    if not graphs:
        return f"only {counted(part.height, 'neuron')}; more than {K_NEIGHBOURS} are needed"
    if measure == "membership" and n_members < MIN_MEMBERS:
        return f"only {counted(n_members, 'neuron')} in the plateau's stable core; at least {MIN_MEMBERS} are needed"
    if measure == "influence" and part["influence"].is_finite().fill_null(value=False).not_().any():
        return "no influence on this class"
    return "the influence is the same for all neurons" if part["influence"].n_unique() == 1 else ""


def _half_width(left: Array) -> float:
    """Half the 95 % delete-a-group jackknife interval from the G leave-one-out values (G,)."""
    n = len(left)
    return float(stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))


def _verdict(row: dict[str, Any], q: float) -> dict[str, str | None]:
    """Verdict and reason, for membership only."""
    if row["measure"] != "membership":
        return {"verdict": None, "reason": row["reason"]}
    if row["reason"]:
        return {"verdict": "undecidable", "reason": row["reason"]}
    is_refuted = row["p_trend"] > REFUTED  # it predicts surely more than there is, and so explains nothing
    explained = f"{'the trend over the ranking' if row['p'] > row['p_null'] else 'chance'} explains it (q = {q:.2g})"
    if is_refuted:
        explained = f"chance explains it (p = {row['p_null']:.2g})"
    if q < LEVEL and row["low"] > np.fmax(row["null_mean"], row["trend_mean"]):
        beyond = "chance" if np.isnan(row["p_trend"]) else "chance and the trend over the ranking"
        return {"verdict": "contradicted", "reason": f"plateau neurons are neighbours beyond {beyond} (q = {q:.2g})"}
    if is_refuted and row["p_null"] < LEVEL:
        predicted = f"{row['trend_low']:.2g} to {row['trend_high']:.2g}"
        return {
            "verdict": "undecidable",
            "reason": f"neighbours beyond chance (p = {row['p_null']:.2g}), but not even as the trend over the ranking "
            f"predicts ({predicted}): that does not hold here",
        }
    planted = f"a third of them in common neighbourhoods would be seen in {100 * row['power']:.0f} % of sets"
    if row["p"] >= LEVEL and row["power"] >= MIN_POWER:
        return {"verdict": "supported", "reason": f"{explained}, and {planted}"}
    why = explained if row["p"] >= LEVEL else f"p = {row['p']:.2g}, but q = {q:.2g}"
    if q < LEVEL:
        why = f"neither null explains it (q = {q:.2g}), but the interval over weights reaches {row['low']:.2g}"
    allowed = f" (the trend allows for up to {row['trend_high']:.2g})" if np.isfinite(row["trend_high"]) else ""
    return {"verdict": "undecidable", "reason": f"{why}, and {planted}{allowed}"}


def answer(table: pl.DataFrame) -> str:
    """One line per run and class."""
    return "\n".join(_line(key, group) for key, group in by_group(table, ("run", "token_class")))


def _line(key: tuple[Any, ...], group: pl.DataFrame) -> str:
    rows = {row["measure"]: row for row in group.iter_rows(named=True)}
    influence, membership = rows["influence"], rows["membership"]
    head = f"- `{key[0]}`, {key[1]} tokens: no neighbourhoods of plateau neurons is **{membership['verdict']}**: "
    head += f"{membership['reason']}."
    for name, row in (("membership", membership), ("influence", influence)):
        if not np.isnan(row["estimate"]):
            head += (
                f" Moran's I of {name} {row['estimate']:.3g} ({row['low']:.3g} to {row['high']:.3g}; "
                f"by chance {row['null_low']:.3g} to {row['null_high']:.3g}{_words(row)}, q = {row['q']:.2g})."
            )
    return head


def _words(row: dict[str, Any]) -> str:
    if row["measure"] != "membership":
        return ""
    if np.isnan(row["trend_mean"]):
        return "; too few neurons for a trend over the ranking"
    return f"; by the trend over the ranking {row['trend_low']:.3g} to {row['trend_high']:.3g}"


ANALYSIS = Analysis(
    chapter="Clustering",
    keys=KEYS,
    unit="correlation with the neighbours' mean",
    resampled="twentieths of the weights, left out in turn",
    counts="neurons",
    columns=COLUMNS,
    chart=Chart("autocorrelation", tables=("influence_autocorrelation",)),
    estimate=estimate,
    answer=answer,
    uses=("plateau_stability",),
    claims=(
        Claim(
            "Plateau neurons are no neighbours by weight",
            "arXiv 2509.21163",
            "Moran's I of membership",
            finding(CLOSEST, token_class="rare", measure="membership"),
        ),
    ),
    key_columns={"measure": "`influence`: the ranks of the influence; `membership`: in the plateau's core or not."},
    p_floors=(floor_p(N_PERMUTATIONS),),
)
