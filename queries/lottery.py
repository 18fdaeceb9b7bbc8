"""Is what an atom of a sparse autoencoder will be about settled early in its training?

`rt train-sae` keeps the 60 strongest contexts of every atom at steps of its training. The **purity** of an atom is the
share of the largest class among the first 30; classes are, by `scheme`: `word_class` of the token that is read and
`target_class` of the next one (function word, content word, name, piece, number, mark, space), `frequency` of the
token that is read, in tenths of the positions, and `position` in the window, in tenths. Atoms keep their index: their
directions turn too far in training to be told apart by these.

`spearman` correlates, over atoms, purity at 5 % of the training with that at the end. `top_decile` is the mean final
purity of the tenth of the atoms that was purest early; `lift_over_chance` is that over 1/C of C classes,
`lift_over_majority` over the share of the largest class among all positions, and `excess_in_strata` what of it remains
after the share that the frequencies of an atom's contexts let expect. `purity` is the mean over all atoms at a step.

The null permutes labels within documents. It is not 0: the largest of several noisy shares is above 1/C, and an atom's
early and late contexts are partly the same positions, so that its purities correlate whatever the classes mean.
**Supported**: q < 0.05 over schemes and autoencoders, and the interval of `spearman` begins at least 0.2 above the
null's mean: a smaller excess is significant with enough atoms, but settles little. **Contradicted**: q is not, and the
interval ends less than 0.2 above it. Fewer than 10 documents decide nothing.

Along the training, of the `codes`: `phase` is ln(beta_em/beta_c), the precision that a mixture of 12 prototypes finds
in the codes over the critical one (the inverse of their largest variance); with it the explained variance, the atoms
per position (`l0`) and the share of dead atoms. These are facts of one training, without an interval.

Caveats: intervals are cautious (in simulated lakes they cover 95 to 100 %). They resample documents, and tell how far
the numbers hold for these atoms with other text; another seed gives other atoms. Where tenths of frequency and position
are cut depends on the text, which their intervals leave out. Atoms with fewer than 10 labelled contexts at either step
are left out (`n_dead` of those have none at the end). A small text is learnt by heart, and contexts are positions it
was learnt from. Word classes are a small rule on the token's text, not parts of speech. Atoms that are pure by
frequency are so by word class too; look at `excess_in_strata`.

Source: Yang (2026), arXiv 2605.24057 (purity at 5 % of the training against the end, top decile, phase coordinate).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.atoms import autoencoders, position_labels
from queries.shared.tables import Row, schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.groups import floor_p
from queries.stats.lottery_evidence import FAR, N_REPLICATES, decide_lottery, evidence
from queries.stats.nulls import benjamini_hochberg
from queries.stats.purity import MEASURES, MIN_ATOMS, Index, Labels
from queries.stats.words import counted

KEYS = ("run", "sae", "scheme", "measure", "step")
CODES = "codes"
FACTS = ("phase", "explained_variance", "l0", "dead_share")
N_PERMUTATIONS = 199
COLUMNS = {
    "early_step": "Step that is compared with the last: the kept one that is nearest to 5 % of the training.",
    "n_atoms": "Atoms with a purity: at both steps, or at the step of the row.",
    "n_dead": "Atoms without any context at the end.",
    "n_positions": "Positions with a label.",
    "n_classes": "Classes of the scheme that occur.",
    "null_mean": "Mean over permutations of the labels within documents.",
    "null_low": "Low end of their middle 95 %.",
    "null_high": "High end of their middle 95 %.",
    "p": "One-sided p: share of permutations with at least as much.",
    "q": "Benjamini-Hochberg value of `p` of `spearman` over schemes and autoencoders of the run.",
    "verdict": "What an atom is about is settled early: only in rows of `spearman`.",
    "reason": "Why, or why there is no number or no interval.",
}
SCHEMA = schema_of(
    KEYS, COLUMNS, counts=("step", "early_step", "n_atoms", "n_dead", "n_positions", "n_classes"), text=["sae"]
)


@dataclass(frozen=True)
class Effort:
    """Draws inside an estimate."""

    n_permutations: int = N_PERMUTATIONS
    n_replicates: int = N_REPLICATES


FULL = Effort()


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """Rows of every autoencoder, scheme and measure; `n` counts documents."""
    rows: list[Row] = []
    for (run,), group in by_group(frame, ("run",)):
        document = group["document"].to_numpy().astype(np.int64)
        labels = position_labels(group)
        mine: list[Row] = []
        for sae, facts, contexts in autoencoders(group):
            mine += [{"sae": sae, **row} for row in _facts(facts)]
            for scheme, each in labels.items():
                found = _scheme_rows(contexts, each, document, effort, rng)
                mine += [{"sae": sae, "scheme": scheme, **row} for row in found]
        _decide(mine, len(np.unique(document)))
        rows += [{"run": run, "n": len(np.unique(document)), **row} for row in mine]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(pl.Float64).fill_null(float("nan"))).sort(KEYS)


def _facts(facts: pl.DataFrame) -> Iterator[Row]:
    """What is known of the codes at each step."""
    why = "a fact of this training: nothing is resampled"
    for row in facts.iter_rows(named=True):
        beta, top = row["beta_em"], row["lambda_max"]
        phase = float(np.log(beta * top)) if beta is not None and beta * top > 0 else float("nan")
        for measure, value in (("phase", phase), *((name, row[name]) for name in FACTS[1:])):
            reason = why if np.isfinite(value) else "codes that do not vary, or that prototypes reach exactly"
            yield {"scheme": CODES, "measure": measure, "step": row["step"], "estimate": value, "reason": reason}


def _scheme_rows(
    contexts: dict[int, Index], labels: Labels, document: Index, effort: Effort, rng: np.random.Generator
) -> list[Row]:
    """The measures of early against final purity, and mean purity at every step."""
    found = evidence(contexts, labels, document, effort.n_permutations, rng, effort.n_replicates)
    shared = {
        "early_step": found.early, "n_positions": int((labels.of >= 0).sum()), "n_classes": labels.n_classes,
        "n_dead": int((contexts[found.last] < 0).all(axis=1).sum()),
    }  # fmt: skip
    n_documents = len(np.unique(document))
    rows = []
    for i, (measure, step) in enumerate(found.names):
        numbers = {name: float(getattr(found, name)[i]) for name in ("estimate", "low", "high")}
        row = {"measure": measure, "step": step, "n_atoms": found.n_atoms[i], **numbers}
        row["reason"] = _reason(row, labels, n_documents)
        rows.append({**shared, **row, **found.null(i)})
    return rows


def _reason(row: Row, labels: Labels, n_documents: int) -> str:
    """Why there is no number or no interval; empty where there is one."""
    if np.isfinite(row["low"]):
        return ""
    if labels.n_classes < 2:
        return "fewer than 2 classes occur"
    if row["n_atoms"] < (least := 1 if row["measure"] == "purity" else MIN_ATOMS):
        return f"{counted(row['n_atoms'], 'atom')} with a purity; at least {least} needed"
    if not np.isfinite(row["estimate"]):
        return "the classes are the strata" if row["measure"] == "excess_in_strata" else "all purities are equal"
    if n_documents < MIN_DOCUMENTS:
        return f"only {counted(n_documents, 'document')}; at least {MIN_DOCUMENTS} are needed"
    return "no document changes it"


def _decide(rows: list[Row], n_documents: int) -> None:
    """Give rows of `spearman` their q and verdict."""
    asked = [row for row in rows if row["measure"] == "spearman"]
    q = benjamini_hochberg(np.array([row.get("p", np.nan) for row in asked]))
    for row, value in zip(asked, q, strict=True):
        row["q"] = float(value)
        row["verdict"], said = decide_lottery(
            row["estimate"], row["low"], row["high"], row.get("null_mean", np.nan), row["q"], n_documents
        )
        row["reason"] = row["reason"] or said


def answer(table: pl.DataFrame) -> str:
    """A line per run, autoencoder and scheme, and one on the codes."""
    lines = []
    for (run, sae, scheme), group in by_group(table, ("run", "sae", "scheme")):
        start = f"- `{run}`, {sae}, `{scheme}`: "
        rows = {(row["measure"], row["step"]): row for row in group.iter_rows(named=True)}
        last = max(step for _, step in rows)
        if scheme == CODES:
            first = min(step for _, step in rows)
            of = {name: (rows[name, first]["estimate"], rows[name, last]["estimate"]) for name in FACTS}
            lines.append(
                f"{start}from step {first} to {last:,} ln(beta/beta_c) goes from {of['phase'][0]:.2f} to "
                f"{of['phase'][1]:.2f}; at the end {of['l0'][1]:.3g} atoms a position explain "
                f"{100 * of['explained_variance'][1]:.0f} % of the variance, and {100 * of['dead_share'][1]:.1f} % "
                "of the atoms are dead."
            )
            continue
        row, top = rows["spearman", last], rows["top_decile", last]
        said = f"that what an atom is about is settled by step {row['early_step']:,} is **{row['verdict']}**: "
        said += f"{row['reason']}."
        if np.isfinite(top["estimate"]):
            said += (
                f" The tenth that is purest then ends at a purity of {top['estimate']:.2f} "
                f"({rows['lift_over_chance', last]['estimate']:.1f} times 1/{top['n_classes']}, "
                f"{rows['lift_over_majority', last]['estimate']:.1f} times the largest class)."
            )
        lines.append(start + said)
    return "\n".join(lines)


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """Early against late by word class, the correlation by other schemes, the codes at the end."""
    last = pl.col("step") == pl.col("step").max().over("run", "sae")
    words = (pl.col("scheme") == "word_class") & pl.col("measure").is_in(MEASURES)
    chosen = table.filter(last & (words | (pl.col("measure") == "spearman") | (pl.col("scheme") == CODES)))
    return chosen.select(*KEYS, "estimate", "low", "high", "null_mean", "p", "q", "n_atoms")


ANALYSIS = Analysis(
    chapter="Training",
    keys=KEYS,
    unit="correlation (`spearman`), share (`purity`, `top_decile`, `excess_in_strata`), ratio (`lift_...`)",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart(
        "training_steps",
        tables=("lottery",),
        options={
            "panels": {
                "purity of atoms": {"measure": "purity"},
                "ln(beta/beta_c) of the codes": {"measure": "phase"},
                "variance explained": {"measure": "explained_variance"},
            },
            "series": "scheme",
            "column": "sae",
            "caption": "Purity is the mean over the atoms, a colour for each scheme of classes.",
        },
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("sae_steps.l0",),
    claims=(
        Claim(
            "What a feature will be about is settled early in training",
            "arXiv 2605.24057",
            "rank correlation of atoms' purity by word class at 5 % of the training with that at the end",
            finding("null_mean", bar=pl.col("null_mean") + FAR, scheme="word_class", measure="spearman"),
        ),
        Claim(
            "Features that are pure early end far purer than chance",
            "arXiv 2605.24057",
            "final purity by word class of the tenth of the atoms that was purest early, over 1/C",
            finding("null_mean", scheme="word_class", measure="lift_over_chance"),
        ),
    ),
    key_columns={
        "sae": "Which autoencoder: `topk` or `relu`.",
        "scheme": "What classes the purity is of; `codes`: facts of the codes, without classes.",
        "step": "Step of the autoencoder's training.",
    },
    subject="a sparse autoencoder of a run",
    subject_from="rt train-sae",
    p_floors=(floor_p(N_PERMUTATIONS),),
)
