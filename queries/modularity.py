"""Do the plateau neurons form modules, more than other groups of neurons of the same size?

The neurons of a group are the nodes of a complete graph, and the Pearson correlation of two activations is the signed
weight of their link. Signed modularity Q is high if neurons can be parted such that positive correlations lie within
the parts and negative ones between them, beyond what the strengths of the neurons give by chance; it is the best of 20
searches (Louvain). `mg_q` does the same with what is left of the correlations without noise and without what moves all
neurons alike, on the scale of a correlation: signed Q says how cleanly the correlations part the neurons, whatever
their size, `mg_q` also how strong they are. `abs_q` is the papers' measure, on |r|. Resolution (`gamma`) and density
(strongest share of the links) are swept; `n_communities` and `ari`, the agreement between searches, describe the
partition of `signed_q`.

The search finds some Q in anything, so a value means nothing by itself. Six nulls are searched in the same way: groups
of the same size of any neurons, from the same fifths of mean and variance of activation, from the same tenths of
influence (both without the group's own neurons); the trend over the ranking; the same neurons, each turned in a circle
within each document on its own; and independent Gaussian noise of as many neurons and positions. The core of the
plateau leads the ranking and has no equals: groups from its tenths have less influence, and what rises smoothly with
influence would look special beside them. Hence the trend: windows of the ranking, of the core's size, and a parabola
through their values continued to the core, with a 95 % prediction interval. `p` is the largest of the one-sided p of
the first four, for `mg_q` also of the turned neurons: small only if the group is more modular than all. Of each kind of
groups 200 are drawn, 100 for the sweep and of the kinds that are matched to the other two regimes, and 800 more for the
plateau where these leave `p` of `signed_q` or `mg_q` below 0.1. Turned neurons do not judge signed Q: turning shrinks
correlations, and what is left parts no less cleanly. In a gated MLP the sign of a neuron is arbitrary; there each
group, and each draw of a null, is seen with the signs of its leading eigenvector.

Rare and common positions are compared on equally many positions of each document. The plateau group is the stable
core; `power_law` and `decay` are as many neurons spread over their regime. Intervals leave out sets of documents in
turn. `supported` means: no modules beyond what goes with such influence, in `signed_q` and in `mg_q`, and two planted
modules would have been seen in both. `contradicted` means: beyond every null in both, whichever documents are left out.

Caveats: 40 neurons of pure noise have a signed Q of 0.15 to 0.2 at any number of positions, and positive modules in a
group that already parts into opposites can even lower it: then the power says that nothing was decided. Compare values
only at the same number of positions and neurons. The trend takes a parabola in ln influence for granted. Turning within
documents keeps differences between documents, so those do not count as modules. The edge that `mg_q` cuts noise at is
for independent Gaussian positions; heavy tails exceed it, in the nulls too. Intervals at other resolutions and
densities are cautious, as the best partition jumps when documents are left out.

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
from queries.stats.groups import FIRST_DRAWS, Index, floor_p
from queries.stats.module_groups import GROUPS, equal_positions, module_groups
from queries.stats.module_measures import FULL, HEADLINE, MEASURES, QUALITIES, Effort, Sample
from queries.stats.module_nulls import NULLS, OF_RANK, OTHERS, judges, shared_nulls
from queries.stats.module_verdict import ModuleEvidence, decide_modules
from queries.stats.modules import Assessment, assess
from queries.stats.nulls import p_text
from queries.stats.verdict import LEVEL
from queries.stats.words import counted

CLASSES = ("rare", "common")
P_FLOORS = tuple(
    floor_p(n_draws, side)
    for n_draws in (FULL.groups, FIRST_DRAWS, FULL.sweep, FULL.shifts, FULL.other)
    for side in ("greater", "two")
)
MIN_POSITIONS = 30
_OF_NULL = {
    "any": "random groups of any neurons",
    "activation": "groups from the same fifths of mean and variance of activation",
    "influence": "groups from the same tenths of influence",
    "trend": "the trend over the ranking, continued to the plateau",
    "shift": "the same neurons, turned within documents",
    "noise": "independent Gaussian noise",
}
_WORDS = {"signed_q": "signed Q", "mg_q": "modularity without noise and common mode"}
COLUMNS = {
    "n_positions": "Positions of the class that were used, as many for rare as for common.",
    "n_neurons": "Neurons of the group.",
    **null_meanings(
        _OF_NULL, "{}", "of that null", "p in that null: one-sided (more modular) for qualities, else two-sided."
    ),
    "n_null": "Random groups of `any`, and of the next two; 100 of these for the other two regimes.",
    "n_windows": "Windows of the ranking that the trend is fitted to; 0 where there are too few, or for other groups.",
    "p": "Largest of the p of the first four nulls, for `mg_q` of the first five, for qualities.",
    "q": "Benjamini-Hochberg q of `p` over classes and groups of run and measure.",
    "planted": "Median of `signed_q` and `mg_q` with two modules of r = 0.3 added to the group.",
    "power": "Share of such planted draws that exceed the 95 % points of the nulls that `p` is the largest of.",
    "verdict": "No modules is `supported`, `contradicted` or `undecidable`; for `signed_q` of the plateau, `mg_q` too.",
    "reason": "Why, in words; or why there is no estimate or no interval.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=["n_positions", "n_neurons", "n_null", "n_windows"])


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """One row per run, class, group and measure; `n` counts the documents."""
    rows: list[Row] = []
    for run, known in grouped(frame):
        found = _run_rows(known.finite(), rng, effort)
        correct_within(found, "measure")
        for row in found:
            if row["group"] == "plateau" and row["measure"] == "signed_q":
                row["verdict"], row["reason"] = _verdict(row, found)
        rows += [{**row, "run": run} for row in found]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _run_rows(known: Grouped, rng: np.random.Generator, effort: Effort) -> list[Row]:
    """The rows of one run, without `run`, `q` and verdict."""
    groups, reason = module_groups(known.regime, known.is_core, known.influence)
    positions = equal_positions(known.document, known.is_rare)
    rows = []
    for token_class in CLASSES:
        chosen = positions[token_class]
        document = known.document[chosen]
        why = reason or _too_few(len(chosen))
        found: dict[str, dict[str, Assessment]] = {name: {} for name in GROUPS}
        if not why:
            values = known.activation[chosen].astype(np.float64)
            found = _class_groups(values, document, known, groups, rng, effort)
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
    known: Grouped,
    groups: Mapping[str, Index],
    rng: np.random.Generator,
    effort: Effort,
) -> dict[str, dict[str, Assessment]]:
    """Every measure of every group at positions `values` (T, N); only the plateau leads the ranking: it has a trend."""
    sample = Sample(values, document, correlation(values), known.influence, known.is_gated)
    shared = shared_nulls(sample, len(groups["plateau"]), rng, effort)
    return {
        name: assess(sample, groups[name], shared, rng, effort, is_plateau=name == "plateau") if name in groups else {}
        for name in GROUPS
    }


def _columns(name: str, found: Assessment | None, n_neurons: int, n_documents: int, reason: str) -> Row:
    """The columns of one row from its assessment, NaN where there is none."""
    nan = float("nan")
    row: Row = dict.fromkeys((*COLUMNS, "estimate", "low", "high"), nan)
    del row["n_positions"]
    row |= {"n_neurons": n_neurons, "n_null": 0, "n_windows": 0, "verdict": None, "reason": reason}
    if found is None:
        return row | {"reason": reason or "the regime has fewer neurons than the core of the plateau"}
    row |= {"estimate": found.estimate, "low": found.low, "high": found.high}
    for null in NULLS:
        one = found.nulls[null]
        row |= {f"{null}_mean": one.mean, f"{null}_low": one.low, f"{null}_high": one.high, f"p_{null}": one.p}
    row |= {"n_null": found.nulls["any"].n_draws, "n_windows": found.nulls["trend"].n_draws}
    if name in QUALITIES:
        row["p"] = max(p for null in judges(name) if not np.isnan(p := row[f"p_{null}"]))
    if not all(found.nulls[null].n_draws for null in ("activation", "influence")):
        row["reason"] = "too few other neurons for groups from the same strata"
    elif np.isnan(found.low):
        few = f"fewer than {MIN_DOCUMENTS} documents hold positions of the class"
        same = "it stays the same whichever documents are left out"
        row["reason"] = f"no interval: {few if n_documents < MIN_DOCUMENTS else same}"
    return row | {"planted": found.planted, "power": found.power}


def _verdict(row: Row, found: list[Row]) -> tuple[str, str]:
    """The verdict on the plateau of the class of `row`, from both measures, and why."""
    own = [each for each in found if (each["token_class"], each["group"]) == (row["token_class"], "plateau")]
    evidence = () if row["reason"] else tuple(_evidence(each) for each in own if each["measure"] in HEADLINE)
    return decide_modules(evidence, row["reason"])


def _evidence(row: Row) -> ModuleEvidence:
    nulls = [null for null in judges(row["measure"]) if not np.isnan(row[f"p_{null}"])]
    closest = max(nulls, key=lambda null: row[f"p_{null}"])
    farthest = min((null for null in nulls if null in OF_RANK), key=lambda null: row[f"p_{null}"])
    named = {name: row[name] for name in ("p", "q", "planted", "power")}
    # `mg_q` is exactly 0 where nothing exceeds the noise, whichever documents are left out
    low, high = (row["estimate"] if np.isnan(row[end]) else row[end] for end in ("low", "high"))
    return ModuleEvidence(
        words=_WORDS[row["measure"]], low=low, high=high, null_mean=max(row[f"{null}_mean"] for null in nulls),
        closest=_OF_NULL[closest], least_p=row[f"p_{farthest}"], farthest=_OF_NULL[farthest], **named,
    )  # fmt: skip


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
    nulls = "; ".join(_null_words(q, mg, null) for null in NULLS)
    interval = "" if np.isnan(q["low"]) else f" ({q['low']:.3g} to {q['high']:.3g})"
    without = "" if np.isnan(mg["low"]) else f" ({mg['low']:.3g} to {mg['high']:.3g})"
    return head + (
        f" Signed Q of the {q['n_neurons']:,} neurons is {q['estimate']:.3g}{interval}, q = {q['q']:.2g}, and without "
        f"noise and common mode {mg['estimate']:.3g}{without}, q = {mg['q']:.2g}. Both in nulls: {nulls}. On |r|, as "
        f"the papers do, {absolute['estimate']:.3g}, where noise alone gives {absolute['noise_low']:.3g} to "
        f"{absolute['noise_high']:.3g} ({counted(q['n'], 'document')}, {q['n_positions']:,} positions of each class)."
    )


def _null_words(signed: Row, mg: Row, null: str) -> str:
    """Mean and p of both measures in a null, or that there is none."""
    if not np.isfinite(signed[f"{null}_mean"]):
        return f"{_OF_NULL[null]} could not be made: there are too few other neurons"
    # a prediction has no smallest p
    floors = () if null == "trend" else P_FLOORS
    both = " and ".join(f"{row[f'{null}_mean']:.3g} ({p_text(row[f'p_{null}'], *floors)})" for row in (signed, mg))
    return f"{_OF_NULL[null]} {both}"


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """Signed modularity and `mg_q` of every group, the sweep for the plateau only."""
    columns = [*KEYS, "estimate", "low", "high", *(f"{null}_mean" for null in NULLS), "p", "q"]
    wanted = pl.col("measure").is_in(["signed_q", "mg_q"]) | (pl.col("group") == "plateau")
    return table.filter(wanted).select(columns).head(60)


ANALYSIS = Analysis(
    chapter="Clustering",
    keys=KEYS,
    unit="modularity; communities; index",
    resampled="sets of documents, left out in turn",
    columns=COLUMNS,
    chart=Chart("modularity", tables=("modularity",)),
    matrix="activations.activation",
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
                {f"p_{null}": f"{null}_mean" for null in OTHERS},
                token_class="rare", group="plateau", measure="signed_q",
                # beyond the nulls, they must be excluded; else what planted modules would give
                bar=pl.when(pl.col("p") < LEVEL)
                .then(pl.max_horizontal(pl.col(f"{null}_mean").fill_nan(None) for null in OTHERS))
                .otherwise("planted"),
            ),
        ),
    ),
    p_floors=P_FLOORS,
)  # fmt: skip
