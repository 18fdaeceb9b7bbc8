"""Do attention heads move the plateau neurons more at rare than at common targets, and more so than other neurons?

Each head is ablated at sampled positions, one at a time (its output there is set to its mean, or to what it is if the
head attends to position 0 alone), and the change of every neuron of the last MLP is taken at that position, in standard
deviations of the neuron. The plateau's neurons are its stable core at rare positions where no head was ablated: chosen
at the same ones, they would move more there by their choice. `influence` of a head is the mean |change| over them: on
`rare` targets, on `common` ones, and `rare_minus_common`, its selectivity, within windows and documents. Intervals
resample the documents, `p` flips their signs, `q` is Benjamini and Hochberg's over the heads. `null_mean` to
`null_high` is the selectivity that the same head has for 1,000 random groups of as many neurons, `p_any` the share of
these with at least as much; `null_alike_...` and `p_alike` the same for groups that the heads move as much at common
positions. Heads that fewer than 10 draws reach are held against 20,000 groups and 100,000 flips, so that q can be below
0.05 for a single head among up to 999 by groups, and up to 4,999 by flips.

`excess` is the question of the title in one number: ln of what all heads together do to the plateau at rare positions,
over what they do at common ones, minus the mean of that over random groups. "Attention routes rare tokens to the
plateau" is `supported` if some head is selective (q < 0.05) and the excess is above the mean of both kinds of random
groups, in p and by the whole interval; `contradicted` if random groups explain the excess, its interval excludes a
ratio a quarter above theirs, and no selective head moves the plateau more than 99 % of random groups. An effect that is
sure but surely smaller than that is supported and said to be small.

`gini` (0: all heads do as much; 1: one does it all) and `heads_of_half` (how many of the strongest carry half of the
effect on the plateau) say whether the effect is concentrated in few heads, for each class and for their difference.

Caveats: one head is ablated at a time, at the position whose target is predicted: what it wrote at earlier positions is
left, and heads that stand in for each other look idle. With few positions the noise in each head's influence makes
`gini` too large, in both classes alike. Rare positions were paired with common ones that read tokens of like frequency;
`input_gap` and `position_gap` say what is left of a difference. The plateau is read off other positions of the same
documents, so what a document does to all its positions is on both sides. Sums are stored for whole documents and the
classes of the extraction: with other classes, or a condition on positions, documents that are no longer whole are left
out (`n_left_out`). Heads of the last layer cannot reach the MLP where residuals are
parallel: they have no number.

Source: Liu et al., arXiv 2509.21163 and 2509.04479, who report no preferential routing (position 0 only).
"""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.heads import KEY_COLUMNS
from queries.shared.routing import HeadRows, head_rows, plateau_core
from queries.shared.routing_words import routing_words
from queries.shared.tables import Row, schema_of
from queries.stats.bootstrap import N_REPLICATES, Array, document_weights, ratio_intervals
from queries.stats.contrast import Studentised
from queries.stats.groups import floor_p, monte_carlo_p, random_groups, sparse_strata
from queries.stats.nulls import benjamini_hochberg, sign_flip_p
from queries.stats.paired import paired_differences
from queries.stats.routing import concentration, excess, group_p, log_ratios, membership, selectivity
from queries.stats.routing_verdict import RoutingEvidence, decide_routing, remedy
from queries.stats.verdict import LEVEL

Draw = Callable[[int], NDArray[np.int64]]
KEYS = ("run", "ablation", "measure", "token_class", "layer", "head")
CLASSES = ("rare", "common", "rare_minus_common")
N_GROUPS = 1000
# For heads that hardly any draw reaches: 20,000 groups and 100,000 flips, the observed one among them.
MORE_GROUPS, MORE_FLIPS = 19_999, 99_999
STANDS_OUT = 0.01  # of random groups, that move at least as much by a head that stands out
NULLS = {"any": "null", "alike": "null_alike"}
COLUMNS = {
    "n_positions": "Sampled positions of either class.",
    "n_neurons": "Neurons of the plateau's stable core.",
    "n_elsewhere": "Rare positions without an ablated head, which the core was read off.",
    "n_left_out": "Documents that are left out, as they are not whole under the classes and conditions asked for.",
    "input_gap": "Rare minus common: ln rank of the tokens read there, in standard deviations.",
    "position_gap": "Rare minus common: place in the window, in standard deviations.",
    "p": "Two-sided p of no difference: by flips of the signs of documents, of the concentration by jackknife.",
    "q": "Benjamini-Hochberg q of `p` over the heads, or over the two measures of concentration.",
    "null_mean": "Mean over random groups of neurons of as many.",
    "null_low": "Low end of their middle 95 %.",
    "null_high": "High end of their middle 95 %.",
    "p_any": "One-sided p: share of random groups with at least as much.",
    "q_any": "Benjamini-Hochberg q of `p_any` over the heads.",
    "null_alike_mean": "Mean over groups that heads move as much at common positions.",
    "null_alike_low": "Low end of their middle 95 %.",
    "null_alike_high": "High end of their middle 95 %.",
    "p_alike": "One-sided p against these groups.",
    "verdict": "Attention routes rare tokens to the plateau; only in the row of `excess`.",
    "reason": "Why, or why there is no number.",
    "remedy": "How to get the positions that the verdict lacks, where more documents alone do not give them.",
}
COUNTS = ("layer", "head", "n_positions", "n_neurons", "n_elsewhere", "n_left_out")
SCHEMA = schema_of(KEYS, COLUMNS, counts=COUNTS, text=("remedy",))


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Rows of every head and class, of concentration and of the excess; `n` counts documents with both classes."""
    parts = [pl.DataFrame(schema=SCHEMA)]
    for (run,), group in by_group(frame, ("run",)):
        core = plateau_core(group, rng)
        gaps = {name: group[name].drop_nulls().first() for name in ("input_gap", "position_gap")}
        for (ablation,), part in by_group(group, ("ablation",)):
            found = head_rows(part, group, core)
            rows = [*_rows(found, rng), *_without_path(found)]
            counts = ("n_positions", "n_elsewhere", "n_left_out")
            shared = {
                "run": run, "ablation": ablation, "n": found.n_documents, "n_neurons": len(found.members),
                **{name: getattr(found, name) for name in counts}, **gaps,
            }  # fmt: skip
            parts.append(pl.DataFrame([{**shared, **row} for row in rows], schema=SCHEMA))
    return pl.concat(parts).with_columns(pl.col(pl.Float64).fill_null(float("nan"))).sort(KEYS)


def _rows(found: HeadRows, rng: np.random.Generator) -> list[Row]:
    """Every row that is a number, or might be."""
    if found.reason:
        heads = [_row("influence", name, None, found.reason, place) for name in CLASSES for place in found.heads]
        return [*heads, {**_row("excess", "rare_minus_common", None, found.reason), "verdict": "undecidable"}]
    draws = _draws(found, rng)
    members = {
        name: membership(np.concatenate([found.members[None], draw(N_GROUPS)]), found.n_neurons)
        for name, draw in draws.items()
    }
    heads = [row for name in CLASSES for row in _influences(found, name, members, draws, rng)]
    selective = [row for row in heads if row["token_class"] == CLASSES[2] and row["q"] < LEVEL and row["estimate"] > 0]
    n_special = sum(row["p_any"] <= STANDS_OUT for row in selective)
    parts = concentration(found.rare.of_group, found.common.of_group)
    said = []
    for key, each in parts.items():
        measure, _, token_class = key.partition("/")
        said.append(_row(measure, token_class, each, "no document changes it"))
    q = benjamini_hochberg(np.array([row["p"] if row["token_class"] == CLASSES[2] else np.nan for row in said]))
    for row, value in zip(said, q, strict=True):
        is_difference = row["token_class"] == CLASSES[2]
        row |= {"q": float(value), "p": row["p"] if is_difference else float("nan")}
    return [*heads, *said, _excess(found, members, len(selective), n_special)]


def _draws(found: HeadRows, rng: np.random.Generator) -> dict[str, Draw]:
    """How random groups of neurons are drawn, free and alike; none of a kind that cannot be."""
    draws: dict[str, Draw] = {"any": lambda size: random_groups(found.members, found.n_neurons, size, rng)}
    alike = sparse_strata(found.common.by_document.sum(axis=0), found.members)
    if alike is not None:
        draws["alike"] = lambda size: random_groups(found.members, found.n_neurons, size, rng, alike)
    return draws


def _influences(
    found: HeadRows, token_class: str, members: dict[str, Array], draws: dict[str, Draw], rng: np.random.Generator
) -> list[Row]:
    """A row of one class for every head; against random groups where it is the difference."""
    rare, common = found.rare, found.common
    if token_class == "rare_minus_common":
        sums, counts = paired_differences(rare.of_group, rare.counts, common.of_group, common.counts)
    else:
        one = rare if token_class == "rare" else common
        sums, counts = one.of_group, one.counts
    weights = document_weights(len(counts), N_REPLICATES, rng)
    ends = ratio_intervals(sums, counts, weights)
    value = sums.sum(axis=0) / counts.sum()
    columns: dict[str, Array] = {"estimate": value, "low": ends.low, "high": ends.high}
    if token_class == "rare_minus_common":
        p = sign_flip_p(sums, rng, n_more=MORE_FLIPS)
        columns |= {"p": p, "q": benjamini_hochberg(p)}
        difference = selectivity(rare, common)
        for name, each in members.items():
            # the plateau's own is the first: of the same kind as its groups'
            own, drawn = np.split(difference @ each, [1], axis=1)
            p = group_p(difference, own[:, 0], drawn, draws[name], MORE_GROUPS)
            columns |= {**_against(name, own[:, 0], drawn), f"p_{name}": p}
        columns["q_any"] = benjamini_hochberg(columns["p_any"])
    rows = []
    for i, (layer, head) in enumerate(found.heads):
        numbers = {name: float(each[i]) for name, each in columns.items()}
        rows.append({"measure": "influence", "token_class": token_class, "layer": layer, "head": head, **numbers})
        rows[-1]["reason"] = ends.reason
    return rows


def _against(name: str, value: Array, drawn: Array) -> dict[str, Array]:
    """The columns of one null from draws (H, G); `value` (H,) is what is held against them."""
    low, high = np.percentile(drawn, [2.5, 97.5], axis=1)
    p = np.array([monte_carlo_p(float(one), each, "greater") for one, each in zip(value, drawn, strict=True)])
    column = NULLS[name]
    return {f"{column}_mean": drawn.mean(axis=1), f"{column}_low": low, f"{column}_high": high, f"p_{name}": p}


def _excess(found: HeadRows, members: dict[str, Array], n_selective: int, n_special: int) -> Row:
    """The row that answers the question, with the verdict."""
    whole, without = log_ratios(found.rare, found.common, members["any"])
    result = excess(whole, without)
    centre = float(whole[1:].mean())
    row = _row("excess", "rare_minus_common", result, "no document changes it")
    means, p = {}, {}
    for name, each in members.items():
        drawn = log_ratios(found.rare, found.common, each)[0][None, 1:] - centre
        columns = {key: float(value[0]) for key, value in _against(name, result.estimate, drawn).items()}
        if name == "any":
            columns["null_mean"] = 0.0  # what the excess is counted from
        row |= columns
        means[name], p[name] = columns[f"{NULLS[name]}_mean"], columns[f"p_{name}"]
    evidence = RoutingEvidence(
        n_documents=found.n_documents, n_positions=found.n_positions, n_elsewhere=found.n_elsewhere,
        n_neurons=len(found.members),
        n_heads=len(found.heads), n_selective=n_selective, n_special=n_special,
        excess=float(result.estimate[0]), low=float(result.low[0]), high=float(result.high[0]), null_mean=means, p=p,
    )  # fmt: skip
    verdict, reason = decide_routing(evidence)
    q = float(np.max(list(p.values())))  # both nulls must be passed: the larger p needs no correction
    return {**row, "p": q, "q": q, "verdict": verdict, "reason": reason, "remedy": remedy(evidence)}


def _row(
    measure: str, token_class: str, found: Studentised | None, reason: str, place: tuple[int, int] | None = None
) -> Row:
    """A row without null columns; without a result NaN, and `reason` wherever there is no interval."""
    names = ("estimate", "low", "high", "p")
    numbers = {name: float(getattr(found, name)[0]) if found else float("nan") for name in names}
    layer, head = place or (None, None)
    why = "" if np.isfinite(numbers["low"]) else reason
    return {"measure": measure, "token_class": token_class, "layer": layer, "head": head, **numbers, "reason": why}


def _without_path(found: HeadRows) -> list[Row]:
    """Rows of heads that cannot reach the neurons: no number, and why."""
    return [
        _row("influence", token_class, None, f"no path: {found.no_path_reason}", place)
        for token_class in CLASSES
        for place in found.without_path
    ]


def answer(table: pl.DataFrame) -> str:
    """One paragraph per run and ablation: the verdict, the selective heads, and how concentrated the effect is."""
    return "\n".join(routing_words(key, group) for key, group in by_group(table, ("run", "ablation")))


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The excess, the concentration and the eight heads with the smallest p."""
    columns = [*KEYS, "estimate", "low", "high", "p", "q", "null_mean", "null_high", "p_any"]
    contrast = (pl.col("measure") == "influence") & (pl.col("token_class") == "rare_minus_common")
    place = pl.when(contrast).then(pl.col("p").fill_nan(2.0)).rank("ordinal").over("run", "ablation")
    chosen = table.filter((pl.col("measure") != "influence") | (contrast & (place <= 8) & pl.col("p").is_not_nan()))
    return chosen.sort("run", "ablation", "measure", "token_class", "p").select(columns)


ANALYSIS = Analysis(
    chapter="Attention",
    keys=KEYS,
    unit="sd of the neuron (`influence`), ln ratio (`excess`)",
    resampled="documents: resampled (`influence`), or left out in turn (all others)",
    columns=COLUMNS,
    chart=Chart(
        "head_map",
        tables=("head_routing",),
        options={"where": {"measure": "influence"}, "unit": "mean |change| of plateau neurons (sd)"},
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("head_neurons.sum_abs_change", "neuron_tokens.delta_loss"),
    claims=(
        Claim(
            "Attention routes rare tokens to the plateau",
            "arXiv 2509.21163",
            "ln(rare / common) of what heads do to the plateau, over that of random groups",
            finding({"p_any": "null_mean", "p_alike": "null_alike_mean"}, measure="excess"),
        ),
    ),
    key_columns={
        **KEY_COLUMNS,
        "measure": "`influence` of a head, `gini` and `heads_of_half` over the heads, or `excess` of all together.",
    },
    subject="attention heads ablated one by one",
    subject_from="rt extract --heads",
    p_floors=(floor_p(MORE_FLIPS), floor_p(MORE_GROUPS), floor_p(N_GROUPS)),
)
