"""How does influence grow from frequent to rare tokens, and more so for plateau neurons than for the rest?

The vocabulary is ranked by frequency and cut into ten bands; band 1 is the most frequent tenth of the types, band 10
the rarest. `plateau` is the mean influence (mean |change of the loss| when a neuron is set to its mean) of the neurons
in the stable core of the plateau set of all tokens, `rest` that of all others, in nats. Both rise with rarity, since
rare tokens have a higher loss. So the third curve is ln(plateau / rest): flat if rarity moves all neurons alike.

`trend` is its slope, ln per band, by least squares over the bands that at least 5 documents hold. Intervals and `p`
leave out one document after the other, with as many degrees of freedom as documents really contribute, less one.
**Supported** means: the trend is above 0 (p < 0.05), the plateau gains on the rest as tokens get rarer;
**contradicted**: it is not, and the interval excludes a doubling from band 1 to band 10. A trend that is above 0 and
surely less than a doubling meets both: `supported` takes precedence, and the answer says that it is less.

Caveats: the rare bands hold few positions, often a dozen in a few documents; intervals there are cautious and cover
more than 95 %. The core is chosen on all tokens, most of which are frequent, so its lead there is a little flattered,
and the trend is if anything too low; a core chosen on rare tokens would err the other way, and more. Frequencies may
come from a proxy.

Source: Liu et al., arXiv 2509.04479, for influence by token frequency; Satterthwaite (1946) for the degrees of freedom.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import Analysis, Chart, Claim, by_group, finding
from queries.stats.bands import Array, band_log_means, band_slope
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.contrast import Studentised, studentise
from queries.stats.words import counted

KEYS = ("run", "curve", "band")
CURVES = ("plateau", "plateau_over_rest", "rest")
N_BANDS = 10
MIN_NEURONS = 5
MIN_BANDS = 3
DOUBLING = float(np.log(2.0)) / (N_BANDS - 1)
COLUMNS = {
    "n_positions": "Positions of the band.",
    "n_neurons": "Neurons of the group; of the smaller one for `plateau_over_rest`.",
    "trend": "Slope of `plateau_over_rest`, ln per band; the same in all rows of a run.",
    "trend_low": "Low end of its interval.",
    "trend_high": "High end of its interval.",
    "p": "Two-sided jackknife p of no trend.",
    "verdict": "The plateau gains on the rest as tokens get rarer: `supported`, `contradicted` or `undecidable`.",
    "reason": "Why there is no interval in the band; empty where there is one.",
}
SCHEMA = {
    "run": pl.String, "curve": pl.String, "band": pl.Int64,
    "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
    "n_positions": pl.Int64, "n_neurons": pl.Int64,
    "trend": pl.Float64, "trend_low": pl.Float64, "trend_high": pl.Float64, "p": pl.Float64,
    "verdict": pl.String, "reason": pl.String,
}  # fmt: skip


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Thirty rows per run; `n` counts the documents that hold the band. Nothing is drawn from `rng`."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        rows += [{"run": run, **row} for row in _run_rows(group)]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _dense(group: pl.DataFrame, documents: list[int], column: str) -> Array:
    """A column as (D, 10): documents and bands; 0 where a document has none of the band."""
    values = np.zeros((len(documents), N_BANDS))
    place = np.searchsorted(documents, group["document"].to_numpy())
    values[place, group["band"].to_numpy() - 1] = group[column].to_numpy()
    return values


def _run_rows(group: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of one run, without its id."""
    documents = sorted(group["document"].unique().to_list())
    parts = {name: group.filter(pl.col("neuron_group") == name) for name in ("plateau", "rest")}
    size = {name: int(part["n_neurons"][0]) if part.height else 0 for name, part in parts.items()}
    counts = _dense(parts["rest"] if size["rest"] else parts["plateau"], documents, "n_positions")  # (D, 10)
    held = (counts > 0).sum(axis=0)
    logs = {
        name: band_log_means(_dense(part, documents, "sum_abs_delta"), counts * size[name])
        for name, part in parts.items()
    }
    logs["plateau_over_rest"] = (logs["plateau"][0] - logs["rest"][0], logs["plateau"][1] - logs["rest"][1])
    size["plateau_over_rest"] = min(size.values())
    known = held >= MIN_DOCUMENTS
    rows = []
    for curve in CURVES:
        found = studentise(*logs[curve])
        answered = known & (size[curve] >= MIN_NEURONS) & np.isfinite(found.low)
        convert = np.asarray if curve == "plateau_over_rest" else np.exp
        low, high = (np.where(answered, convert(end), np.nan) for end in (found.low, found.high))
        rows += [
            {
                "curve": curve, "band": b + 1, "estimate": float(convert(found.estimate)[b]),
                "low": float(low[b]), "high": float(high[b]), "n": int(held[b]),
                "n_positions": int(counts[:, b].sum()), "n_neurons": size[curve],
                "reason": "" if answered[b] else _reason(int(held[b]), size[curve]),
            }
            for b in range(N_BANDS)
        ]  # fmt: skip
    trend = _trend(*logs["plateau_over_rest"], known, size["plateau_over_rest"])
    return [{**row, **trend} for row in rows]


def _reason(held: int, n_neurons: int) -> str:
    """Why a band has no interval: too few neurons, no position, too few documents, or nothing that differs."""
    if n_neurons < MIN_NEURONS:
        return f"{counted(n_neurons, 'neuron')} in the stable core or outside it; at least {MIN_NEURONS} are needed"
    if held == 0:
        return "no position of this band"
    if held < MIN_DOCUMENTS:
        return f"only {counted(held, 'document')} with this band; at least {MIN_DOCUMENTS} are needed"
    return "no influence, or none that differs between documents"


def _trend(whole: Array, without: Array, known: NDArray[np.bool_], n_neurons: int) -> dict[str, Any]:
    """The slope over the bands that are `known` (10,), its interval, p and verdict; NaN where there is none."""
    nan = np.full(1, np.nan)
    found = Studentised(nan, nan, nan, nan, nan, nan)
    if known.sum() >= MIN_BANDS and n_neurons >= MIN_NEURONS:
        bands = np.flatnonzero(known).astype(np.float64) + 1.0
        found = studentise(band_slope(bands, whole[None, known]), band_slope(bands, without[:, known])[:, None])
    estimate, low, high, p = (float(value[0]) for value in (found.estimate, found.low, found.high, found.p))
    verdict = "undecidable"
    if p < 0.05 and estimate > 0:
        verdict = "supported"
    elif high < DOUBLING:
        verdict = "contradicted"
    return {"trend": estimate, "trend_low": low, "trend_high": high, "p": p, "verdict": verdict}


def answer(table: pl.DataFrame) -> str:
    """One paragraph per run: the trend, and both ends of the curves."""
    return "\n".join(_run_answer(run, group) for (run,), group in by_group(table, ("run",)))


def _run_answer(run: str, group: pl.DataFrame) -> str:
    over = group.filter(pl.col("curve") == "plateau_over_rest").sort("band")
    row = over.row(0, named=True)
    head = f"- `{run}`: that the plateau gains on the rest as tokens get rarer is **{row['verdict']}**: "
    known = over.filter(pl.col("low").is_finite())
    if np.isnan(row["trend"]):
        return (
            head + f"{known.height} of {N_BANDS} bands can be compared, at least {MIN_BANDS} are needed ({_why(over)})."
        )
    first, last = (known.row(place, named=True) for place in (0, -1))
    ratios = " and ".join(
        f"{np.exp(one['estimate']):.3g} times ({np.exp(one['low']):.3g} to {np.exp(one['high']):.3g}) the rest's "
        f"influence in band {one['band']}"
        for one in (first, last)
    )
    small = (
        ", less than a doubling from band 1 to band 10"
        if row["verdict"] == "supported" and row["trend_high"] < DOUBLING
        else ""
    )
    return head + (
        f"per tenth of the vocabulary ln(plateau / rest) changes by {row['trend']:.3g} ({row['trend_low']:.3g} to "
        f"{row['trend_high']:.3g}, p = {row['p']:.2g}){small}. The {row['n_neurons']:,} core neurons have {ratios}. "
        f"{known.height} of {N_BANDS} bands are in {MIN_DOCUMENTS} documents or more."
    )


def _why(rows: pl.DataFrame) -> str:
    """The reason that most bands give."""
    return str(rows["reason"].filter(rows["reason"] != "").mode().sort()[0])


_TREND = finding("flat", q="p", names={"estimate": "trend", "low": "trend_low", "high": "trend_high"})

ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="nats (`plateau`, `rest`), ln ratio (`plateau_over_rest`)",
    resampled="documents, left out in turn",
    columns=COLUMNS,
    chart=Chart("band_curve", tables=("frequency_curve",)),
    estimate=estimate,
    answer=answer,
    uses=("plateau_stability",),
    claims=(
        Claim(
            "The plateau gains on the rest as tokens get rarer",
            "arXiv 2509.04479",
            "change of ln(plateau / rest) per tenth of the vocabulary",
            lambda table: _TREND(table.with_columns(flat=pl.lit(0.0))),
        ),
    ),
    key_columns={
        "curve": "`plateau`: mean influence of its stable core; `rest`: of all others; `plateau_over_rest`: ln ratio.",
        "band": "Tenth of the vocabulary by frequency, 1 = most frequent, 10 = rarest.",
    },
)
