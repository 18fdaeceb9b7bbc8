"""Do rare tokens have a plateau that common tokens lack?

The ranked curve of influences is segmented for rare and for common tokens on the same neurons, and every quantity of
`regimes` is subtracted: rare minus common. `segmented` is the difference in the data as they are; `estimate` takes out
the bias of ranking noisy values, and its interval resamples documents, both as in `regimes`.

There are far fewer rare positions than common ones, so their means are noisier, and noise alone stretches and bends a
ranked curve: a difference by itself shows nothing about rarity. The null therefore permutes the labels rare and common
among the positions of each document, which keeps the numbers of positions and all that they do to the curves.
`null_mean` is the difference that noise alone gives.

The verdict is about `plateau_excess`: `supported` if the plateau is higher for rare tokens (q < 0.05 against permuted
labels, interval above zero), `contradicted` if a plateau twice as high is excluded and the difference is ordinary under
the null, else `undecidable`.

Caveats: a difference in excess says that the curves differ at the top, not that either has a plateau beyond a smooth
law: that is the question of `regimes`. Positions of one document are exchanged as if they were alike but for the label;
where rare tokens sit at other places in the text, their place counts as rarity.

Source: Liu et al. (2025), arXiv 2509.21163 and 2509.04479: common tokens lack the plateau.
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.tables import schema_of
from queries.stats.bootstrap import N_REPLICATES
from queries.stats.class_shapes import Positions, ShapeContrast, decide_contrast, shape_contrasts
from queries.stats.groups import floor_p
from queries.stats.nulls import benjamini_hochberg
from queries.stats.plateau import monte_carlo_high, summarise_null
from queries.stats.regime_cells import EXCESS, sign_members
from queries.stats.segmentation import MIN_RANKS
from queries.stats.three_regimes import QUANTITIES, no_place
from queries.stats.words import counted

N_PERMUTATIONS = 999
KEYS = ("run", "sign_group", "quantity")
COLUMNS = {
    "segmented": "The difference in the data as they are; the null is compared with it.",
    "null_mean": "Mean difference with labels permuted within documents.",
    "null_low": "Low end of 95 % of the permutations.",
    "null_high": "High end of 95 % of the permutations.",
    "p": "Two-sided p of `segmented` under permuted labels.",
    "q": "Benjamini-Hochberg q over the three sign groups of a quantity.",
    "n_rare": "Positions with a rare token.",
    "n_common": "Positions with a common token.",
    "n_neurons": "Neurons of the sign group.",
    "verdict": "In the row of the excess: a higher plateau for rare tokens is supported, contradicted or undecidable.",
    "reason": "Why, in words; for a quantity without a number, why it has none.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["n_rare", "n_common", "n_neurons"])


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Nine rows per run and sign group; `n` counts the documents that hold both classes."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        rows += [{"run": run, **row} for row in _run_rows(group, rng)]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _run_rows(group: pl.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    if group["delta_loss"].null_count():
        group = group.filter(pl.col("delta_loss").is_not_null())
    if group.is_empty():
        return []
    delta = group["delta_loss"].to_numpy()  # (T, N)
    signed = delta.mean(axis=0, dtype=np.float64)
    _, document = np.unique(group["document"].to_numpy(), return_inverse=True)
    positions = Positions(np.abs(delta), document, (group["token_class"] == "rare").to_numpy())
    members = sign_members(signed)
    enough = {name: member for name, member in members.items() if member.sum() >= MIN_RANKS}
    found, reason = shape_contrasts(positions, enough, N_REPLICATES, N_PERMUTATIONS, rng)
    n_rare = int(positions.is_rare.sum())
    both = np.intersect1d(document[positions.is_rare], document[~positions.is_rare])
    sizes = {"n": len(both), "n_rare": n_rare, "n_common": len(document) - n_rare}
    q, q_high = _q_values(found)
    rows: list[dict[str, Any]] = []
    for name, member in members.items():
        shared = {"sign_group": name, "n_neurons": int(member.sum()), **sizes}
        if name in found:
            part = _rows(found[name], q[name], q_high[name], len(both), n_rare)
        else:
            part = _nothing(reason or f"{counted(int(member.sum()), 'neuron')}; at least {MIN_RANKS} are needed")
        rows += [{**shared, **row} for row in part]
    return rows


def _q_values(found: dict[str, ShapeContrast]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Q (9,) of each sign group, over the groups; and that of the excess at the upper end of Monte-Carlo error."""
    p = [[summarise_null(*pair).p for pair in zip(each.segmented, each.null.T, strict=True)] for each in found.values()]
    excess = QUANTITIES.index(EXCESS)
    highest = np.array([_highest_p(each.segmented[excess], each.null[:, excess]) for each in found.values()])
    q = np.array([benjamini_hochberg(column) for column in np.array(p).reshape(len(found), len(QUANTITIES)).T])
    return dict(zip(found, q.T, strict=True)), dict(zip(found, benjamini_hochberg(highest).tolist(), strict=True))


def _highest_p(observed: float, null: np.ndarray) -> float:
    """Upper end of the Monte-Carlo error of the two-sided p."""
    if np.isnan(observed) or np.isnan(null).all():
        return float("nan")
    return min(1.0, 2 * min(monte_carlo_high(observed, null), monte_carlo_high(-observed, -null)))


def _rows(found: ShapeContrast, q: np.ndarray, q_high: float, n_documents: int, n_rare: int) -> list[dict[str, Any]]:
    """The nine rows of one sign group, without its names and sizes."""
    corrected, excess = found.corrected, QUANTITIES.index(EXCESS)
    nulls = [summarise_null(*pair) for pair in zip(found.segmented, found.null.T, strict=True)]
    low, high = float(corrected.low[excess]), float(corrected.high[excess])
    verdict, why = decide_contrast(n_documents, n_rare, low, high, nulls[excess], float(q[excess]), q_high)
    rows = []
    for i, (quantity, null) in enumerate(zip(QUANTITIES, nulls, strict=True)):
        placeless = "; ".join(
            f"{name}: {reason}"
            for name, fit in (("rare", found.rare), ("common", found.common))
            if (reason := no_place(quantity, fit))
        )
        if not placeless and np.isnan(corrected.low[i]):
            placeless = "a breakpoint has no place in more than 5 % of the resamples"
        rows.append({
            "quantity": quantity, "estimate": float(corrected.estimate[i]), "low": float(corrected.low[i]),
            "high": float(corrected.high[i]), "segmented": float(found.segmented[i]), "null_mean": null.mean,
            "null_low": null.low, "null_high": null.high, "p": null.p, "q": float(q[i]),
            "verdict": verdict if i == excess else None, "reason": placeless or (why if i == excess else ""),
        })  # fmt: skip
    return rows


def _nothing(reason: str) -> list[dict[str, Any]]:
    unknown = ("estimate", "low", "high", "segmented", "null_mean", "null_low", "null_high", "p", "q")
    shared = {**dict.fromkeys(unknown, float("nan")), "verdict": "undecidable", "reason": reason}
    return [{"quantity": quantity, **shared} for quantity in QUANTITIES]


def answer(table: pl.DataFrame) -> str:
    """One line per run, on all neurons."""
    lines = []
    for (run,), group in by_group(table, ("run",)):
        rows = {row["quantity"]: row for row in group.filter(sign_group="all").iter_rows(named=True)}
        lines.append(_run_answer(run, rows) + _by_sign(group))
    return "\n".join(lines)


def _by_sign(group: pl.DataFrame) -> str:
    """The verdicts on boosting and on suppressing neurons alone."""
    found = group.filter(pl.col("quantity") == EXCESS, pl.col("sign_group") != "all", pl.col("low").is_not_nan())
    words = {"boost": "boosting", "suppress": "suppressing"}
    said = [
        f"{words[row['sign_group']]} neurons alone: **{row['verdict']}** ({row['estimate']:.3g}, {row['low']:.3g} to "
        f"{row['high']:.3g}, q = {row['q']:.2g})"
        for row in found.sort("sign_group").iter_rows(named=True)
    ]
    return f" On {'; '.join(said)}." if said else ""


def _run_answer(run: str, rows: dict[str, dict[str, Any]]) -> str:
    excess = rows[EXCESS]
    head = f"- `{run}`: a higher plateau for rare tokens is **{excess['verdict']}**: {excess['reason']}."
    if np.isnan(excess["estimate"]):
        return head
    words = "; ".join(
        f"{name} {row['estimate']:.3g} ({row['low']:.3g} to {row['high']:.3g}); as segmented, with the bias of "
        f"ranking, {row['segmented']:.3g}, where permuted labels give "
        f"{row['null_mean']:.3g} ({row['null_low']:.3g} to {row['null_high']:.3g})"
        for name, row in (("excess", excess), ("kappa", rows["kappa"]))
        if not np.isnan(row["low"])
    )
    positions = f"{excess['n_rare']:,} rare and {counted(excess['n_common'], 'common position')}"
    size = f"{positions} in {counted(excess['n'], 'document')}"
    return f"{head} Rare minus common, {size}: {words}."


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The quantities that carry the shape."""
    shown = ("plateau_end", "elbow", "kappa", EXCESS)
    columns = [*KEYS, "estimate", "low", "high", "null_mean", "null_low", "null_high", "p", "q", "verdict"]
    return table.filter(pl.col("quantity").is_in(shown)).select(columns)


ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="ranks, slopes, shares and nats",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart("shape_contrast", tables=("plateau_contrast",)),
    matrix="ablations.delta_loss",
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    claims=(
        Claim(
            "The plateau is one of rare tokens: higher than for common ones",
            "arXiv 2509.21163, 2509.04479",
            "plateau's excess, rare minus common (ln)",
            # the interval is about the difference without the bias of ranking, which the null keeps: compared with none
            lambda table: finding("none", sign_group="all", quantity=EXCESS)(table.with_columns(none=pl.lit(0.0))),
        ),
    ),
    p_floors=(floor_p(N_PERMUTATIONS, "two"),),
)
