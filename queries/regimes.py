"""Do the influences fall into a plateau, a power law and a rapid decay, or does one smooth law explain the curve?

The neurons are ranked by influence, and ln influence is drawn against ln rank. A segmentation with two breakpoints (the
level is free at the first, so that a group of specialists can stand out as a step; the line bends down at the second)
gives nine quantities: `plateau_end` and `elbow` (ranks), `kappa` (minus the slope between them), the slopes before and
after, the shares of the neurons in the three regimes, and `plateau_excess`: ln of the plateau's line over the continued
middle line, both at the first breakpoint. `segmented` is what the data as they are give. Ranking noisy values stretches
the curve, so `estimate` takes that bias, measured by resampling documents and ranking again, out of slopes and excess.

Such a segmentation proves nothing: any light-tailed law gives a concave curve with three seeming regimes. The verdict
therefore asks whether the excess is larger than in curves simulated from the best smooth law with the noise of these
documents (`q_smooth`), and needs a reliable ranking, a flat first regime, an excess whose interval is above zero, and
two breakpoints by BIC. It is `supported`, `contradicted` (a step that doubles the influence is excluded) or
`undecidable`; `reason` says why. The noise null permutes neurons within documents: a ranking of nothing. A breakpoint
at an end of the range in which it is sought has no number: it lies there or beyond.

`boost` and `suppress` are the neurons whose mean delta over ALL positions is above zero, or below, in every class, so
that classes are compared on the same neurons. `rare_minus_common` is the difference in the same resamples of documents.
Whether the classes' labels matter at all is the question of `plateau_contrast`.

Caveats: a plateau whose height is below what the intervals resolve is not seen, and a supported one says that no single
smooth law of the eight explains the curve, not that its neurons act together. The excess of a perfectly flat plateau is
underestimated, because noise tilts what is flat. Verdicts of overlapping sets of neurons are not independent.

Source: Liu et al. (2025), arXiv 2505.12822, section 3, with 2509.21163 and 2509.04479 (rare against common tokens); the
smooth laws and their test follow Clauset, Shalizi and Newman (2009), SIAM Review 51, 661.
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.tables import schema_of
from queries.stats.corrected import Corrected, correct
from queries.stats.document_sums import TOKEN_CLASSES, document_sums
from queries.stats.groups import floor_p
from queries.stats.nulls import benjamini_hochberg
from queries.stats.plateau import N_NOISE, N_SMOOTH, NO_NULL, Null, summarise_null
from queries.stats.regime_cells import EXCESS, SIGN_GROUPS, Cell, assess_cells, decide_cell
from queries.stats.three_regimes import QUANTITIES, no_place
from queries.stats.words import counted

KEYS = ("run", "token_class", "sign_group", "quantity")
INPUT = ("token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta")
CONTRAST = "rare_minus_common"
MEASURE = "plateau's excess over the continued power law (ln)"
COLUMNS = {
    "n_positions": "Positions of the class.",
    "n_neurons": "Neurons of the sign group.",
    "segmented": "The quantity in the data as they are, before the bias of ranking is taken out; the nulls compare it.",
    "null_mean": "Mean with neurons permuted within each document: the noise null.",
    "null_low": "Low end of 95 % of the noise null.",
    "null_high": "High end of 95 % of the noise null.",
    "p_noise": "Two-sided p of `segmented` in the noise null.",
    "smooth_law": "Best smooth law by BIC, of the influences with their noise taken out.",
    "smooth_mean": "Mean over simulations of that law with the documents' noise.",
    "smooth_low": "Low end of 95 % of these simulations.",
    "smooth_high": "High end of 95 % of these simulations.",
    "p_smooth": "For `plateau_excess` the verdict's one-sided p, largest over the laws in the running; else two-sided.",
    "q_smooth": "Benjamini-Hochberg q of the verdict's test, over the sign groups of the class; the same in all rows.",
    "reliability": "Split-half reliability of the ranking (Spearman-Brown).",
    "delta_bic_1": "BIC with one breakpoint minus BIC with two; positive: two are preferred.",
    "delta_bic_0": "BIC with none minus BIC with two.",
    "plateau_rule_share": "Resamples in which the first slope is below half the second.",
    "level": "ln influence of the middle line at the first breakpoint, as segmented; the slopes give the rest.",
    "verdict": "In the row of the excess, not of contrasts: a plateau beyond a smooth law.",
    "reason": "Why, in words; for a quantity without a number, why it has none.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["n_positions", "n_neurons"], text=["smooth_law"])


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Nine rows per run, class (and the contrast) and sign group."""
    rows = []
    for (run,), group in by_group(frame, ("run",)):
        cells = assess_cells(document_sums(*(group[name].to_numpy() for name in INPUT)), rng)
        for token_class in TOKEN_CLASSES:
            family = [cells[token_class, name].assessment for name in SIGN_GROUPS]
            q = benjamini_hochberg(np.array([each.p_statistic for each in family]))
            q_high = benjamini_hochberg(np.array([each.p_statistic_high for each in family]))
            for i, name in enumerate(SIGN_GROUPS):
                part = _cell_rows(cells[token_class, name], float(q[i]), float(q_high[i]))
                rows += [{"run": run, "token_class": token_class, "sign_group": name, **row} for row in part]
        for name in SIGN_GROUPS:
            part = _contrast_rows(cells["rare", name], cells["common", name])
            rows += [{"run": run, "token_class": CONTRAST, "sign_group": name, **row} for row in part]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _cell_rows(cell: Cell, q_smooth: float, q_high: float) -> list[dict[str, Any]]:
    """The nine rows of one class and sign group, without its names."""
    found = cell.assessment
    observed = found.observed
    corrected = correct(observed.located[0], found.drawn.widest, max(2, cell.sums.n_documents))
    verdict, reason = decide_cell(cell, corrected, q_smooth, q_high)
    nothing = bool(found.reason)
    shared = {
        "n": cell.sums.n_documents, "n_positions": cell.sums.n_positions, "n_neurons": cell.n_neurons,
        "smooth_law": found.law, "q_smooth": q_smooth, "reliability": cell.reliability,
        "delta_bic_1": float(observed.delta_bic_1[0]), "delta_bic_0": float(observed.delta_bic_0[0]),
        "plateau_rule_share": float("nan") if nothing else float(np.mean(found.drawn.is_plateau)),
        "level": float("nan") if nothing else float(observed.level[0]),
    }  # fmt: skip
    rows = []
    for i, quantity in enumerate(QUANTITIES):
        value = float(observed.located[0, i])
        noise = summarise_null(value, found.noise.quantity[:, i])
        smooth = summarise_null(value, found.smooth.quantity[:, i])
        row = _row(quantity, corrected, noise, smooth) | {"segmented": float(observed.quantity[0, i])}
        row |= {"p_smooth": found.p_statistic} if quantity == EXCESS else {}
        why = reason if nothing or quantity == EXCESS else no_place(quantity, observed)
        rows.append({**row, **shared, "verdict": verdict if quantity == EXCESS else None, "reason": why})
    return rows


def _contrast_rows(rare: Cell, common: Cell) -> list[dict[str, Any]]:
    """The nine rows of rare minus common: differences within the same resamples."""
    a, b = rare.assessment, common.assessment
    named = (("rare", a), ("common", b))
    reason = "; ".join(f"{name}: {found.reason}" for name, found in named if found.reason)
    n_documents = min(rare.sums.n_documents, common.sums.n_documents)
    unknown = ("q_smooth", "reliability", "delta_bic_1", "delta_bic_0", "plateau_rule_share", "level")
    shared = {
        "n": n_documents, "n_positions": rare.sums.n_positions + common.sums.n_positions, "n_neurons": rare.n_neurons,
        "smooth_law": "", "verdict": None, **dict.fromkeys(unknown, float("nan")),
    }  # fmt: skip
    nothing = np.full(len(QUANTITIES), np.nan)
    corrected, raw = Corrected(nothing, nothing, nothing), nothing
    if not reason:
        drawn = a.drawn.located - b.drawn.located
        corrected = correct(a.observed.located[0] - b.observed.located[0], drawn, max(2, n_documents))
        raw = a.observed.quantity[0] - b.observed.quantity[0]
    rows = []
    for i, quantity in enumerate(QUANTITIES):
        placeless = "" if reason else "; ".join(
            f"{name}: {why}" for name, found in named if (why := no_place(quantity, found.observed))
        )  # fmt: skip
        if not reason and not placeless and np.isnan(corrected.low[i]):
            placeless = "a breakpoint is at an end of its range in more than 5 % of the resamples: no interval"
        row = _row(quantity, corrected, NO_NULL, NO_NULL) | {"segmented": float(raw[i])}
        rows.append({**row, **shared, "reason": reason or placeless})
    return rows


def _row(quantity: str, corrected: Corrected, noise: Null, smooth: Null) -> dict[str, Any]:
    """What one quantity has of its own."""
    i = QUANTITIES.index(quantity)
    return {
        "quantity": quantity, "estimate": float(corrected.estimate[i]),
        "low": float(corrected.low[i]), "high": float(corrected.high[i]),
        "null_mean": noise.mean, "null_low": noise.low, "null_high": noise.high, "p_noise": noise.p,
        "smooth_mean": smooth.mean, "smooth_low": smooth.low, "smooth_high": smooth.high, "p_smooth": smooth.p,
    }  # fmt: skip


def answer(table: pl.DataFrame) -> str:
    """One line per run and class, on all neurons, and one on the contrast."""
    return "\n".join(
        _class_answer(key, group.filter(pl.col("sign_group") == "all")) + _by_sign(group)
        for key, group in by_group(table, ("run", "token_class"))
    )


def _by_sign(group: pl.DataFrame) -> str:
    """The verdicts on boosting and on suppressing neurons alone."""
    found = group.filter(pl.col("quantity") == EXCESS, pl.col("sign_group") != "all", pl.col("verdict").is_not_null())
    words = {"boost": "boosting", "suppress": "suppressing"}
    said = [
        f"{words[row['sign_group']]} neurons alone: **{row['verdict']}**"
        + ("" if np.isnan(row["low"]) else f" (excess {row['estimate']:.3g}, {row['low']:.3g} to {row['high']:.3g})")
        for row in found.sort("sign_group").iter_rows(named=True)
    ]
    return f" On {'; '.join(said)}." if said else ""


def _class_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, token_class = key
    rows = {row["quantity"]: row for row in group.iter_rows(named=True)}
    excess, kappa = rows["plateau_excess"], rows["kappa"]

    def with_interval(row: dict[str, Any]) -> str:
        if np.isnan(row["estimate"]):
            beyond = "earlier" if row["quantity"] == "plateau_end" else "later"
            return f"{row['segmented']:.3g} or {beyond} (an end of its range)"
        return f"{row['estimate']:.3g} ({row['low']:.3g} to {row['high']:.3g})"

    if token_class == CONTRAST:
        head = f"- `{run}`, rare minus common tokens: "
        if excess["reason"]:
            return head + f"no answer, {excess['reason']}."
        differ = excess["low"] > 0 or excess["high"] < 0
        word = "differs between the classes" if differ else "is not shown to differ between the classes"
        return head + f"the plateau's excess {word}: {with_interval(excess)} (ln); kappa {with_interval(kappa)}."
    head = f"- `{run}`, {token_class} tokens: a plateau beyond a smooth law is "
    head += f"**{excess['verdict']}**: {excess['reason']}."
    if np.isnan(excess["estimate"]):
        return head
    read = (("plateau to rank", rows["plateau_end"]), ("excess", excess), ("kappa", kappa), ("elbow", rows["elbow"]))
    shape = ", ".join(f"{name} {with_interval(row)}" for name, row in read)
    size = f"{counted(excess['n_positions'], 'position')} in {counted(excess['n'], 'document')}"
    return head + f" The segmentation reads, in {size}: {shape}."


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The four quantities that carry the shape, without what is the same in every row."""
    shown = ("plateau_end", "elbow", "kappa", "plateau_excess")
    columns = [*KEYS, "estimate", "low", "high", "null_mean", "smooth_mean", "p_smooth", "verdict"]
    return table.filter(pl.col("quantity").is_in(shown)).select(columns)


def _no_plateau(table: pl.DataFrame) -> pl.DataFrame:
    """`Claim.findings`: common tokens lack the plateau, the contrary of what the verdict on their plateau says."""
    contrary = {"supported": "contradicted", "contradicted": "supported"}
    found = finding("smooth_mean", q="q_smooth", token_class="common", sign_group="all", quantity=EXCESS)(table)
    return found.with_columns(pl.col("verdict").replace(contrary))


ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="ranks, slopes, shares and nats",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart("regimes", tables=("influence", "regimes")),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    claims=(
        Claim(
            "Three regimes, with a plateau that no smooth law explains",
            "arXiv 2505.12822",
            MEASURE,
            finding("smooth_mean", q="q_smooth", token_class="rare", sign_group="all", quantity=EXCESS),
        ),
        Claim("Common tokens lack the plateau", "arXiv 2509.21163", MEASURE, _no_plateau),
    ),
    p_floors=(floor_p(N_SMOOTH), floor_p(N_SMOOTH, "two"), floor_p(N_NOISE, "two")),
)
