"""Do the plateau neurons form modules, more than other groups of neurons of the same size?

The neurons of a group are the nodes of a complete graph, and the Pearson correlation of two activations is the signed
weight of their link. Signed modularity Q is high if neurons can be parted such that positive correlations lie within
the parts and negative ones between them, beyond what the strengths of the neurons give by chance; it is the best of 20
searches (Louvain). `mg_q` does the same with what is left of the correlations without noise and without what moves all
neurons alike, on the scale of a correlation: signed Q says how cleanly the correlations part the neurons, whatever
their size, `mg_q` also how strong they are. `abs_q` is the papers' measure, on |r|. Resolution (`gamma`) and density
(strongest share of the links) are swept; `n_communities` and `ari`, the agreement between searches, describe the
partition of `signed_q`.

The search finds some Q in anything, so a value means nothing by itself. Five nulls are searched in the same way:
groups of the same size of any neurons, matched on mean and variance of activation, matched on influence; the same
neurons, each turned in a circle within each document on its own; and independent Gaussian noise of as many neurons and
positions. `p` is the largest of the first four one-sided p: small only if the group is more modular than all of them.

Rare and common positions are compared on equally many positions of each document. The plateau group is the stable
core; `power_law` and `decay` are as many neurons spread over their regime. Intervals leave out sets of documents in
turn. `supported` means: no modules, and two planted modules would have been seen. `contradicted` means: more modular
than every null, whichever documents are left out.

Caveats: 40 neurons of pure noise have a signed Q near 0.2 at any number of positions, and positive modules in a group
that already parts into opposites can even lower it: then the power says that nothing was decided. Compare values only
at the same number of positions and neurons. Matched groups may hold neurons of the group itself, which makes the test
careful. Turning within documents keeps differences between documents, so those do not count as modules. The edge that
`mg_q` cuts noise at is for independent Gaussian positions; heavy tails exceed it, in the nulls too.

Source: Liu et al. (2025), arXiv 2505.12822 and 2509.21163 (plateau neurons do not form modules, Q of 0.05 to 0.11);
Gomez, Jensen and Arenas (2009), Phys. Rev. E 80, 016114; MacMahon and Garlaschelli (2015), Phys. Rev. X 5, 021006.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.coordination import KEYS
from queries.shared.grouped import NEEDS, Grouped, grouped
from queries.shared.tables import Row, correct_within, null_meanings, schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS, Array
from queries.stats.correlations import correlation
from queries.stats.groups import Index, floor_p
from queries.stats.module_groups import GROUPS, equal_positions, module_groups
from queries.stats.module_verdict import ModuleEvidence, decide_modules
from queries.stats.modules import (
    FULL,
    GROUP_NULLS,
    MEASURES,
    NULLS,
    QUALITIES,
    Assessment,
    Effort,
    Sample,
    assess,
    noise_floor,
)
from queries.stats.nulls import p_text
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

CLASSES = ("rare", "common")
P_FLOORS = tuple(floor_p(n_draws, side) for n_draws in (FULL.groups, FULL.shifts) for side in ("greater", "two"))
MIN_POSITIONS = 30
_OF_NULL = {
    "any": "random groups of any neurons",
    "activation": "groups matched on mean and variance of activation",
    "influence": "groups matched on influence",
    "shift": "the same neurons, turned within documents",
    "noise": "independent Gaussian noise",
}
COLUMNS = {
    "n_positions": "Positions of the class that were used, as many for rare as for common.",
    "n_neurons": "Neurons of the group.",
    **null_meanings(
        _OF_NULL, "{}", "of that null", "p in that null: one-sided (more modular) for qualities, else two-sided."
    ),
    "n_null": "Random groups in each of the first three nulls.",
    "overlap": "Largest mean share of the group's own neurons in matched groups; strata are widened above one half.",
    "p": "Largest of the p of the first four nulls, for qualities.",
    "q": "Benjamini-Hochberg q of `p` over classes and groups of run and measure.",
    "planted": "Median of `signed_q` with two modules of r = 0.3 added to the group.",
    "power": "Share of such planted draws that exceed the 95 % points of the first four nulls.",
    "verdict": "`signed_q` of the plateau: no modules is `supported`, `contradicted` or `undecidable`.",
    "reason": "Why, in words; or why there is no estimate or no interval.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["n_positions", "n_neurons", "n_null"])


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, class, group and measure; `n` counts the documents."""
    rows: list[Row] = []
    for run, known in grouped(frame):
        found = _run_rows(known.finite(), rng, effort)
        correct_within(found, "measure")
        for row in found:
            if row["group"] == "plateau" and row["measure"] == "signed_q":
                row["verdict"], row["reason"] = decide_modules(_evidence(row, found))
        rows += [{**row, "run": run} for row in found]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _run_rows(known: Grouped, rng: np.random.Generator, effort: Effort) -> list[Row]:
    """The rows of one run, without `run`, `q` and verdict."""
    groups, reason = module_groups(known.regime, known.is_core, known.influence)
    positions = equal_positions(known.document, known.is_rare, rng)
    rows = []
    for token_class in CLASSES:
        chosen = positions[token_class]
        document = known.document[chosen]
        why = reason or _too_few(len(chosen))
        found: dict[str, dict[str, Assessment]] = {name: {} for name in GROUPS}
        if not why:
            values = known.activation[chosen].astype(np.float64)
            found = _class_groups(values, document, known.influence, groups, rng, effort)
        n_documents = len(np.unique(document))
        rows += [
            {"token_class": token_class, "group": group, "measure": name, "n": n_documents, "n_positions": len(chosen)}
            | _columns(name, found[group].get(name), len(groups.get(group, ())), n_documents, why)
            for group in GROUPS
            for name in MEASURES
        ]
    return rows


def _too_few(n_positions: int) -> str:
    if n_positions >= MIN_POSITIONS:
        return ""
    few = counted(n_positions, "position") if n_positions else "no positions"
    return f"{few} of this class; at least {MIN_POSITIONS} are needed"


def _class_groups(
    values: Array,
    document: Index,
    influence: Array,
    groups: Mapping[str, Index],
    rng: np.random.Generator,
    effort: Effort,
) -> dict[str, dict[str, Assessment]]:
    """Every measure of every group at positions `values` (T, N)."""
    sample = Sample(values, document, correlation(values), influence)
    m = len(groups["plateau"])
    shared = noise_floor(sample, m, rng, effort)
    return {name: assess(sample, groups[name], shared, rng, effort) if name in groups else {} for name in GROUPS}


def _columns(name: str, found: Assessment | None, n_neurons: int, n_documents: int, reason: str) -> Row:
    """The columns of one row from its assessment, NaN where there is none."""
    nan = float("nan")
    row: Row = dict.fromkeys((*COLUMNS, "estimate", "low", "high"), nan)
    del row["n_positions"]
    row |= {"n_neurons": n_neurons, "n_null": 0, "verdict": None, "reason": reason}
    if found is None:
        return row | {"reason": reason or "the regime has fewer neurons than the core of the plateau"}
    row |= {"estimate": found.estimate, "low": found.low, "high": found.high}
    for null in NULLS:
        one = found.nulls[null]
        row |= {f"{null}_mean": one.mean, f"{null}_low": one.low, f"{null}_high": one.high, f"p_{null}": one.p}
    row["n_null"] = found.nulls["any"].n_draws
    if name in QUALITIES:
        row["p"] = max(found.nulls[null].p for null in GROUP_NULLS)
    if np.isnan(found.low):
        few = f"fewer than {MIN_DOCUMENTS} documents hold positions of the class"
        same = "it stays the same whichever documents are left out"
        row["reason"] = f"no interval: {few if n_documents < MIN_DOCUMENTS else same}"
    return row | {"planted": found.planted, "power": found.power, "overlap": found.overlap}


def _evidence(row: Row, found: list[Row]) -> ModuleEvidence:
    null_mean = max(row[f"{null}_mean"] for null in GROUP_NULLS)
    named = {name: row[name] for name in ("estimate", "low", "high", "p", "q", "planted", "power", "reason")}
    (p_correlation,) = (
        each["p"]
        for each in found
        if (each["token_class"], each["group"], each["measure"]) == (row["token_class"], "plateau", "mg_q")
    )
    return ModuleEvidence(null_mean=null_mean, p_correlation=p_correlation, **named)


def answer(table: pl.DataFrame) -> str:
    """One line per run and class: the verdict on the plateau, with what it rests on."""
    return "\n".join(_class_answer(key, group) for key, group in by_group(table, ("run", "token_class")))


def _class_answer(key: tuple[str, ...], group: pl.DataFrame) -> str:
    run, token_class = key
    rows = {row["measure"]: row for row in group.filter(pl.col("group") == "plateau").iter_rows(named=True)}
    q, mg, absolute = rows["signed_q"], rows["mg_q"], rows["abs_q"]
    head = (
        f"- `{run}`, {token_class} tokens: that plateau neurons form no modules is **{q['verdict']}**: {q['reason']}."
    )
    if np.isnan(q["estimate"]):
        return head
    nulls = "; ".join(
        f"{words} {q[f'{null}_mean']:.3g} ({p_text(q[f'p_{null}'], *P_FLOORS)})" for null, words in _OF_NULL.items()
    )
    interval = "" if np.isnan(q["low"]) else f" ({q['low']:.3g} to {q['high']:.3g})"
    return head + (
        f" Signed Q of the {q['n_neurons']:,} neurons is {q['estimate']:.3g}{interval}, q = {q['q']:.2g}; {nulls}. "
        f"Without noise and common mode {mg['estimate']:.3g} (q = {mg['q']:.2g}); on |r|, as the papers do, "
        f"{absolute['estimate']:.3g}, where noise alone gives {absolute['noise_low']:.3g} to "
        f"{absolute['noise_high']:.3g} ({counted(q['n'], 'document')}, {q['n_positions']:,} positions of each class)."
    )


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """Signed modularity and `mg_q` of every group, the sweep for the plateau only."""
    columns = [*KEYS, "estimate", "low", "high", *(f"{null}_mean" for null in NULLS), "p", "q"]
    wanted = pl.col("measure").is_in(["signed_q", "mg_q"]) | (pl.col("group") == "plateau")
    return table.filter(wanted).select(columns).head(60)


ANALYSIS = Analysis(
    chapter="Clustering",
    keys=KEYS,
    unit="modularity; communities; index",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart("modularity", tables=("modularity",)),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=NEEDS,
    uses=("plateau_stability",),
    claims=(
        Claim(
            "Plateau neurons form no modules",
            "arXiv 2509.21163",
            "signed modularity Q",
            finding(
                {f"p_{null}": f"{null}_mean" for null in GROUP_NULLS},
                token_class="rare", group="plateau", measure="signed_q",
                # beyond the nulls, they must be excluded; else what planted modules would give
                bar=pl.when(pl.col("p") < LEVEL).then(pl.max_horizontal(f"{null}_mean" for null in GROUP_NULLS))
                .otherwise("planted"),
            ),
        ),
    ),
    p_floors=P_FLOORS,
)  # fmt: skip
