"""What the analyses of clusters among the plateau neurons share: spaces, columns, claims and the sentence of a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from queries import Claim, finding
from queries.shared.grouped import Grouped, grouped
from queries.shared.tables import Row, schema_of
from queries.stats.point_sets import Array
from queries.stats.samples import moments
from queries.stats.set_groups import Neurons, activation_space, weight_space
from queries.stats.set_tests import FULL, Effort, Statistic, run_tests
from queries.stats.set_verdict import judge
from queries.stats.words import counted

KEYS = ("run", "space", "token_class", "group", "measure")
EXCERPT = (*KEYS, "estimate", "low", "high", "n", "null_mean", "gaussian_mean", "p", "q", "power", "verdict")
CLASS_MEANING = "Whose positions, `rare` or `common`; `all` for weights, which have none."
# p column -> column of the null's mean
CLOSEST = {
    "p_influence": "null_mean", "p_any": "any_mean", "p_activation": "activation_mean", "p_gaussian": "gaussian_mean",
    "p_shuffled": "shuffled_mean", "p_trend": "trend_mean",
}  # fmt: skip
# What the columns of the trend mean
OF_TREND = {
    "trend_mean": "What the trend over the ranking by influence predicts for the group; NaN: too few neurons.",
    "trend_low": "Low end of its 95 % prediction interval.",
    "trend_high": "High end of it.",
    "p_trend": "One-sided p against it.",
}


def columns_of(shuffled: str, q: str, verdict: str) -> dict[str, str]:
    """What the columns mean; the shuffled null, the tests that `q` corrects for and the verdict differ."""
    return {
        "n_columns": "Positions of the class, or weights of a neuron.",
        "null_mean": "Mean of random groups from the same tenths of influence.",
        "null_low": "Low end of 95 % of these groups.",
        "null_high": "High end of 95 % of these groups.",
        "p_influence": "One-sided p against these groups.",
        **OF_TREND,
        "any_mean": "Mean of random groups of any neurons.",
        "p_any": "One-sided p against them.",
        "activation_mean": "Mean of groups from the same halves or thirds of mean and spread of the activation.",
        "p_activation": "One-sided p against them.",
        "gaussian_mean": "Mean of one Gaussian cloud with the covariance of the group.",
        "gaussian_low": "Low end of 95 % of these clouds.",
        "gaussian_high": "High end of 95 % of these clouds.",
        "p_gaussian": "One-sided p against them.",
        "shuffled_mean": f"Mean with {shuffled}.",
        "p_shuffled": "One-sided p against them.",
        "p": "Largest of the six p-values.",
        "q": f"Benjamini-Hochberg q of `p` over spaces, classes and groups of the run{q}.",
        "power": "Share of random groups with planted clusters that exceed 95 % of every null.",
        "verdict": f"No clusters: `supported`, `contradicted` or `undecidable`; for {verdict} only.",
        "reason": "Why, in words, or why there is no estimate or no interval.",
    }


@dataclass(frozen=True)
class Clustering:
    """Measures of a set of points: name -> range of its interval, those of them that are `tested`, and the columns.

    `statistic_of(gram, rng)` is the statistic for the group with that Gram matrix, its values in the order of `bounds`.
    `turns_activations`: the shuffled null turns activations within documents, else it deals each column anew.
    """

    bounds: Mapping[str, tuple[float, float]]
    tested: tuple[str, ...]
    columns: Mapping[str, str]
    statistic_of: Callable[[Array, np.random.Generator], Statistic]
    turns_activations: bool

    def estimate(self, frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
        """A row per run, space, class, group and measure; `n` counts neurons."""
        schema = schema_of(KEYS, self.columns, counts=["n_columns"])
        rows: list[Row] = []
        for run, known in grouped(frame):
            found = self._run_rows(known.finite(), rng, effort)
            rows += judge([{"run": run, **row} for row in found], self.tested)
        return pl.DataFrame(rows, schema=schema).sort(KEYS)

    def _run_rows(self, known: Grouped, rng: np.random.Generator, effort: Effort) -> list[Row]:
        """The rows of one run, without `run`, `q` and verdict."""
        activation, document, is_rare = known.activation, known.document, known.is_rare
        mean, variance = moments(activation)
        neurons = Neurons(
            known.regime,
            known.is_core,
            known.influence,
            mean=mean,
            sd=np.sqrt(variance),
            is_gated=known.is_gated,
        )
        spaces = [
            activation_space(activation[~is_rare], document[~is_rare], "common"),
            activation_space(activation[is_rare], document[is_rare], "rare"),
            weight_space(known.out_weight, activation.shape[1], rng),
        ]
        return run_tests(
            spaces, neurons, self.statistic_of, self.bounds, self.tested, rng,
            turns_activations=self.turns_activations, effort=effort,
        )  # fmt: skip


def sentences(table: pl.DataFrame, value: str, how: Mapping[str, str]) -> str:
    """One line per row with a verdict; `value` names the estimate, `how` a measure where there are several."""
    judged = table.filter(pl.col("verdict").is_not_null())
    return "\n".join(_sentence(row, value, how.get(row["measure"], "")) for row in judged.iter_rows(named=True))


def _sentence(row: Row, value: str, how: str) -> str:
    where = "output weights" if row["space"] == "weight" else f"activations on {row['token_class']} tokens"
    head = f"- `{row['run']}`, {where}{how and f', {how}'}: no clusters among the plateau neurons is "
    head += f"**{row['verdict']}**: {row['reason']}."
    if np.isnan(row["estimate"]):
        return head
    reach = "" if np.isnan(row["low"]) else f" ({row['low']:.3g} to {row['high']:.3g})"
    return head + (
        f" {value} {row['estimate']:.3g}{reach}; {_trend(row)}, groups from the same tenths of influence "
        f"{row['null_mean']:.3g} ({row['null_low']:.3g} to {row['null_high']:.3g}), one Gaussian cloud "
        f"{row['gaussian_mean']:.3g} ({counted(row['n'], 'neuron')})."
    )


def _trend(row: Row) -> str:
    if np.isnan(row["trend_mean"]):
        return "too few neurons for a trend over the ranking"
    return f"the trend over the ranking {row['trend_mean']:.3g} ({row['trend_low']:.3g} to {row['trend_high']:.3g})"


def claims(method: str, value: str, measure: str) -> tuple[Claim, ...]:
    """The papers' claim in both spaces: `method` looked for clusters, `measure` is the column's word for `value`."""
    return tuple(
        Claim(
            f"Plateau neurons form no clusters ({method}, {words})",
            "arXiv 2505.12822",
            value,
            finding(CLOSEST, space=space, token_class=token_class, group="plateau", measure=measure),
            is_of_weights=space == "weight",
        )
        for words, space, token_class in (("activations", "activation", "rare"), ("weights", "weight", "all"))
    )
