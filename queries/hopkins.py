"""Are the plateau neurons nearer to each other than scattered points are, by the Hopkins statistic?

Neurons are points in two spaces: their activations at the positions of a class, z-scored, and the directions of their
output weights. They are projected to at most 5 principal components (one for every five neurons), each scaled to
variance 1. `hopkins` compares the distances from uniform points to the nearest neuron with those from neurons to their
nearest neighbour, both to the power of the dimension, on samples of a tenth of the neurons (at least 5), averaged over
200 samples. 0.5 is what uniform points give, and values above 0.7 are often called clustered.

That is not so: one Gaussian cloud is dense in its middle and gives 0.65 with 40 neurons in five dimensions, 0.9 with
200. So the value is compared with five nulls that go through the same projection: random groups (`any`), groups matched
on mean and spread of the activation, groups matched on influence (`null`, the wide bar), one Gaussian cloud with the
group's covariance, and `shuffled`: every column (position or weight) dealt anew among the neurons. `p` is the largest
of the five one-sided p-values. `power` is how often three planted clusters whose neurons correlate by 0.3 more than
others would exceed all nulls. The papers say that there are no clusters: `contradicted` if q < 0.05, `supported` if
some null explains the value and the power is at least 80 %, else `undecidable`. All groups have the same size: larger
ones than the plateau's stable core are a random part.

Intervals leave out documents (activations) or twentieths of the weights in turn; they say how much the value depends on
these documents, for these neurons.

Caveats: five components hold a small part of what 30 to 60 neurons do, and clusters beyond them are not seen. With
fewer than 50 neurons the statistic is weak, as `power` says. `supported` is about clusters of the planted kind.

Source: Hopkins and Skellam (1954), Ann. Bot. 18, 213; the exponent: Wright (2022), The R Journal 14/3, 282; the claim:
Liu et al. (2025), arXiv 2505.12822, and arXiv 2509.21163.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import Analysis, Chart, Claim, by_group, finding
from queries.stats.hopkins import hopkins
from queries.stats.point_sets import Array
from queries.stats.set_tests import (
    FULL,
    P_FLOORS,
    Effort,
    Neurons,
    Statistic,
    activation_space,
    run_tests,
    weight_space,
)
from queries.stats.set_verdict import judge

KEYS = ("run", "space", "token_class", "group", "measure")
BOUNDS = {"hopkins": (0.0, 1.0)}
COLUMNS = {
    "n_columns": "Positions of the class, or weights of a neuron.",
    "null_mean": "Mean of random groups matched on influence.",
    "null_low": "Low end of 95 % of these groups.",
    "null_high": "High end of 95 % of these groups.",
    "p_influence": "One-sided p against these groups.",
    "any_mean": "Mean of random groups of any neurons.",
    "p_any": "One-sided p against them.",
    "activation_mean": "Mean of random groups matched on mean and spread of the activation.",
    "p_activation": "One-sided p against them.",
    "gaussian_mean": "Mean of one Gaussian cloud with the covariance of the group.",
    "gaussian_low": "Low end of 95 % of these clouds.",
    "gaussian_high": "High end of 95 % of these clouds.",
    "p_gaussian": "One-sided p against them.",
    "shuffled_mean": "Mean with each column (position or weight) dealt anew among the neurons.",
    "p_shuffled": "One-sided p against them.",
    "p": "Largest of the five p-values.",
    "q": "Benjamini-Hochberg q of `p` over spaces, classes and groups of the run.",
    "power": "Share of random groups with planted clusters that exceed 95 % of every null.",
    "verdict": "No clusters: `supported`, `contradicted` or `undecidable`; for the plateau only.",
    "reason": "Why, in words, or why there is no estimate or no interval.",
}
CLOSEST = {
    "p_influence": "null_mean", "p_any": "any_mean", "p_activation": "activation_mean", "p_gaussian": "gaussian_mean",
    "p_shuffled": "shuffled_mean",
}  # fmt: skip
_TEXT = (*KEYS, "verdict", "reason")
SCHEMA = {
    name: pl.String if name in _TEXT else pl.Int64 if name in ("n", "n_columns") else pl.Float64
    for name in (*KEYS, "estimate", "low", "high", "n", *COLUMNS)
}


def statistic_of(gram: Array, rng: np.random.Generator) -> Statistic:
    """The statistic (B, 1) of Gram matrices (B, m, m); nothing of it depends on the group's own `gram`."""

    def statistic(grams: Array, rng: np.random.Generator) -> Array:
        return hopkins(grams, rng)[:, None]

    return statistic


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, space, class and group; `n` counts neurons."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for (run,), group in by_group(frame, ("run",)):
        activation = group["activation"].list.to_array(group["activation"].list.len()[0]).to_numpy()
        is_rare = (group["token_class"] == "rare").to_numpy()
        document = group["document"].cast(pl.Int64).to_numpy()
        spaces = [activation_space(activation[~is_rare], document[~is_rare], "common")]
        spaces.append(activation_space(activation[is_rare], document[is_rare], "rare"))
        rows = run_tests(
            [*spaces, weight_space(_weights(group), activation.shape[1], rng)],
            _neurons(group, activation), statistic_of, BOUNDS, rng, turns_activations=False, effort=effort,
        )  # fmt: skip
        parts.append(pl.DataFrame(judge([{"run": run, **row} for row in rows], tuple(BOUNDS)), schema=SCHEMA))
    return pl.concat(parts).sort(KEYS)


def _neurons(group: pl.DataFrame, activation: NDArray[np.float32]) -> Neurons:
    """What is known of the neurons of a run: the lists of its first row, and the moments of the activations."""
    return Neurons(
        regime=group["regime"][0].to_numpy(),
        is_core=group["is_core"][0].fill_null(value=False).to_numpy(),
        influence=group["influence"][0].to_numpy(),
        mean=activation.mean(axis=0, dtype=np.float64),
        sd=activation.std(axis=0, dtype=np.float64),
    )


def _weights(group: pl.DataFrame) -> NDArray[np.float32] | None:
    """The output weights (N, d) of the run, None where it has none."""
    known = group["out_weight"].drop_nulls()
    return None if known.is_empty() else np.array(known[0].to_list(), dtype=np.float32)


def answer(table: pl.DataFrame) -> str:
    """One line per run, space, and class, on the plateau."""
    judged = table.filter(pl.col("verdict").is_not_null())
    return "\n".join(_line(row) for row in judged.iter_rows(named=True))


def _line(row: dict[str, Any]) -> str:
    where = "output weights" if row["space"] == "weight" else f"activations on {row['token_class']} tokens"
    head = f"- `{row['run']}`, {where}: no clusters among the plateau neurons is **{row['verdict']}**: "
    head += f"{row['reason']}."
    if np.isnan(row["estimate"]):
        return head
    interval = "" if np.isnan(row["low"]) else f" ({row['low']:.3g} to {row['high']:.3g})"
    return head + (
        f" Hopkins statistic {row['estimate']:.3g}{interval}; neurons of like influence {row['null_mean']:.3g} "
        f"({row['null_low']:.3g} to {row['null_high']:.3g}), one Gaussian cloud {row['gaussian_mean']:.3g} "
        f"({row['n']} neurons)."
    )


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """All groups, without the nulls that only the whole table has."""
    columns = [*KEYS, "estimate", "low", "high", "n", "null_mean", "gaussian_mean", "p", "q", "power", "verdict"]
    return table.select(columns).head(60)


ANALYSIS = Analysis(
    chapter="Clustering",
    keys=KEYS,
    unit="1 (0.5: uniform points)",
    resampled="documents, or twentieths of the weights, left out in turn",
    columns=COLUMNS,
    chart=Chart("set_nulls", tables=("hopkins",), options={"measures": {"hopkins": "Hopkins statistic"}}),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("neuron_tokens.activation", "neuron_tokens.delta_loss"),
    uses=("plateau_stability",),
    claims=tuple(
        Claim(
            f"Plateau neurons form no clusters (Hopkins, {words})",
            "arXiv 2505.12822",
            "Hopkins statistic",
            finding(CLOSEST, space=space, token_class=token_class, group="plateau", measure="hopkins"),
        )
        for words, space, token_class in (("activations", "activation", "rare"), ("weights", "weight", "all"))
    ),
    key_columns={
        "measure": "`hopkins`, the only one.",
        "token_class": "Whose positions, `rare` or `common`; `all` for weights, which have none.",
    },
    p_floors=P_FLOORS,
)  # fmt: skip
