"""Are there specialist neurons, a distinct component of high influence, or does one smooth law describe all neurons?

Ten smooth laws are fitted to the influences by maximum likelihood, each blurred by the noise that resampling documents
shows: half-normal, exponential, Weibull, gamma, lognormal, generalised gamma (skewed to either side), a lognormal body
with a power-law tail, the same cut off, and the power law above the smallest value, pure and cut off. `mixture` is the
law whose fit gains most from a narrow component above it (at most a quarter of the neurons). `estimate` is BIC over the
best of the eleven; its interval and `win_share` come from resampled documents, whose values carry the noise twice: it
is cautious.

The verdict is about the component. Its likelihood ratio over the same law without it is judged by simulation from that
law with the noise of these documents, ranked as the neurons are, for every smooth law within 10 of the best BIC; the
largest p counts. It is `supported` if q < 0.05, the mixture has the best BIC and its parts are apart (Ashman's D of at
least 2). It is `contradicted` if not, and 3 % of the neurons, e times above the law's own top 3 %, would have been seen
with a power of 80 %. Else it is `undecidable`.

`tail_alpha` is the density exponent of a power law above the threshold that the Kolmogorov-Smirnov distance chooses.
`tail_verdict` needs 50 neurons above it; a simulated p below 0.05, a lognormal tail that is closer by Vuong's test, or
a cut-off that fits significantly better, contradicts it; support needs a p above 0.1 and a BIC at least 6 better than
either rival's.

Caveats: `supported` says that no law of the ten explains the bump, not that its neurons act together. The component is
narrow by definition: a broad heavy tail is a smooth law here. Vuong's test takes neurons as independent and is not
given for laws of which one is a case of the other. With few documents the noise itself is poorly known. The tail fit
uses values drawn towards their mean until the variance of the noise is gone.

Source: Liu et al. (2025), arXiv 2505.12822, section 3 (plateau neurons); Clauset, Shalizi and Newman (2009), SIAM
Review 51, 661; Vuong (1989), Econometrica 57, 307; McLachlan (1987), Applied Statistics 36, 318.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from queries import FINDING, Analysis, Chart, Claim, by_group
from queries.stats.bootstrap import N_REPLICATES, document_weights
from queries.stats.component_verdict import decide_component
from queries.stats.document_sums import TOKEN_CLASSES, ClassSums, document_sums
from queries.stats.groups import floor_p
from queries.stats.noisy_laws import LAWS, nested
from queries.stats.nulls import benjamini_hochberg, p_text
from queries.stats.plateau import denoise
from queries.stats.power_law import MIN_TAIL, Rival, against_cutoff, against_lognormal, bootstrap_p, fit_power_law
from queries.stats.specialists import EXCEEDED, FULL, MIXTURE, Assessment, Effort, assess, bic_intervals, vuong
from queries.stats.verdict import CONTRADICTED, LEVEL, SUPPORTED, UNDECIDABLE
from queries.stats.words import counted

KEYS = ("run", "token_class", "law")
INPUT = ("token_class", "document", "neuron", "n_positions", "sum_delta", "sum_abs_delta")
N_THRESHOLDS = 200
FITS = 0.1  # p above which Clauset, Shalizi and Newman let a power law stand
STRONG_BIC = 6.0  # strong evidence on the scale of Kass and Raftery (1995)
P_FLOORS = (floor_p(FULL.tail), floor_p(FULL.simulated))
CURVE = {share: f"exceeded_by_{round(1000 * share):03d}" for share in EXCEEDED}
COLUMNS = {
    "n_neurons": "Neurons with a nonzero influence.",
    "n_parameters": "Fitted parameters of the law.",
    "log_likelihood": "Log likelihood of ln influence, binned, over the width of a bin.",
    "win_share": "Share of document resamples in which the law has the best BIC.",
    "is_best": "Whether the law has the best BIC.",
    "vuong_z": "Vuong's z of the best smooth law over this one, Schwarz's correction; NaN for nested laws.",
    "vuong_p": "Its two-sided p.",
    "tail_exponent": "Minus the slope of ln share above against ln influence where 1 % of true values lie above.",
    "noise_share": "Share of the variance of ln influence that is the documents' noise.",
    "mixture_body": "The law below the high component.",
    "mixture_share": "Share of the neurons in the high component.",
    "mixture_place": "Its place: ln over the geometric mean of the body.",
    "mixture_separation": "Ashman's D of component and body; above 2 they are apart.",
    "likelihood_ratio": "Twice the gain in log likelihood by the component.",
    "p_mixture": "Simulated p of that ratio, largest over the smooth laws in the running.",
    "q_mixture": "Benjamini-Hochberg q of it over the classes of the run.",
    "power": "Power of the test at 5 % against a visible component.",
    "tail_alpha": "Density exponent of the power law above `tail_xmin`; row `power_law` only, as all of `tail_`.",
    "tail_xmin": "Threshold of the tail, nats.",
    "tail_n": "Neurons above it.",
    "tail_p": "Simulated p of the power law in the tail; NaN below 50 neurons.",
    "tail_vuong_z": "Vuong's z of the power law over a lognormal law of the tail; negative: lognormal.",
    "tail_vuong_p": "Its two-sided p.",
    "tail_delta_bic": "BIC of a lognormal tail over that of the power law; positive: the power law suffices.",
    "tail_cutoff_p": "Likelihood ratio p of the power law against one with an exponential cut-off.",
    "tail_cutoff_delta_bic": "BIC of the power law with a cut-off over that without; positive: none is needed.",
    "tail_verdict": "A power law in the tail: `supported`, `contradicted` or `undecidable`.",
    **{
        name: f"Influence that {100 * share:.1f} % of neurons exceed by the law, noise in."
        for share, name in CURVE.items()
    },
    "verdict": "A distinct high component: `supported`, `contradicted` or `undecidable`; same for all laws.",
    "reason": "Why, in words.",
}  # fmt: skip
_TEXT = ("run", "token_class", "law", "mixture_body", "tail_verdict", "verdict", "reason")
_COUNT = ("n", "n_neurons", "n_parameters", "tail_n")
SCHEMA: dict[str, Any] = {
    name: pl.String
    if name in _TEXT
    else pl.Int64
    if name in _COUNT
    else pl.Boolean
    if name == "is_best"
    else pl.Float64
    for name in (*KEYS, "estimate", "low", "high", "n", *COLUMNS)
}
_NAN = float("nan")


def estimate(frame: pl.DataFrame, rng: np.random.Generator, effort: Effort = FULL) -> pl.DataFrame:
    """Eleven rows per run and class."""
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        sums = document_sums(*(group[name].to_numpy() for name in INPUT))
        weights = document_weights(len(sums.documents), N_REPLICATES, rng)
        found: dict[str, Assessment] = {}
        for token_class in TOKEN_CLASSES:
            of_class = sums.classes[token_class]
            found[token_class] = (
                found["all"]
                if sums.is_everything(token_class)
                else assess(of_class.absolute, of_class.counts, weights, rng, effort)
            )
        q = benjamini_hochberg(np.array([each.p for each in found.values()]))
        tail: dict[str, Any] = {}
        for q_mixture, (token_class, each) in zip(q, found.items(), strict=True):
            of_class = sums.classes[token_class]
            # a class with all positions has what `all` has
            tail = tail if sums.is_everything(token_class) else _tail(of_class, each, rng, effort.tail)
            rows += [
                {"run": run, "token_class": token_class, **row, **(tail if row["law"] == "power_law" else {})}
                for row in _rows(of_class, each, float(q_mixture))
            ]
    floats = [name for name, kind in SCHEMA.items() if kind == pl.Float64]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(floats).fill_null(_NAN)).sort(KEYS)


def _rows(sums: ClassSums, found: Assessment, q_mixture: float) -> list[dict[str, Any]]:
    """The rows of one class, without its name."""
    verdict, reason = decide_component(found, q_mixture)
    shared = {
        "n": sums.n_documents, "mixture_body": found.body or None, "mixture_share": found.share,
        "mixture_place": found.place, "mixture_separation": found.separation, "likelihood_ratio": found.ratio,
        "p_mixture": found.p, "q_mixture": q_mixture, "power": found.power, "verdict": verdict, "reason": reason,
    }  # fmt: skip
    if found.bins is None:
        return [{"law": law, **shared} for law in (*LAWS, MIXTURE)]
    intervals, best = bic_intervals(found.laws), min(law.bic for law in found.laws.values())
    n = float(found.counts.sum())
    width = float(found.bins.edges[2] - found.bins.edges[1])
    rows = []
    for name, law in found.laws.items():
        low, high, wins = intervals[name]
        over = law.bic - best
        z, p = _against_best(found, name)
        rows.append(
            {
                "law": name, "estimate": over, "low": min(low, over), "high": max(high, over), "n_neurons": int(n),
                "n_parameters": law.n_parameters, "win_share": wins, "is_best": over == 0, "vuong_z": z, "vuong_p": p,
                "log_likelihood": float(law.fit.log_likelihood[0]) - n * float(np.log(width)),
                "tail_exponent": law.tail_exponent(found.bins),
                "noise_share": found.noise_variance / found.bins.spread**2,
                **dict(zip(CURVE.values(), law.exceeded(found.bins).tolist(), strict=True)), **shared,
            }
        )  # fmt: skip
    return rows


def _against_best(found: Assessment, name: str) -> tuple[float, float]:
    """Vuong's z and p of the best smooth law over the law `name`; NaN where one is a case of the other."""
    best = found.best_smooth
    if nested(best, found.body if name == MIXTURE else name):
        return _NAN, _NAN
    return vuong(found.laws[best], found.laws[name], found.counts)


def _tail(sums: ClassSums, found: Assessment, rng: np.random.Generator, n_draws: int) -> dict[str, Any]:
    """The columns `tail_`: the power law above a threshold, of influences with the variance of the noise taken out."""
    if found.reason:
        return {}
    values = sums.mean(sums.absolute)
    values = denoise(values[values > 0], found.noise_variance)
    fit = fit_power_law(values, N_THRESHOLDS)
    p = bootstrap_p(values, fit, n_draws, rng, N_THRESHOLDS)
    rival, cutoff = against_lognormal(values, fit), against_cutoff(values, fit)
    return {
        "tail_alpha": fit.alpha, "tail_xmin": fit.xmin, "tail_n": fit.n_tail, "tail_p": p,
        "tail_vuong_z": rival.z, "tail_vuong_p": rival.p, "tail_delta_bic": rival.bic,
        "tail_cutoff_p": cutoff.p, "tail_cutoff_delta_bic": cutoff.bic,
        "tail_verdict": _tail_verdict(fit.n_tail, p, rival, cutoff),
    }  # fmt: skip


def _tail_verdict(n_tail: int, p: float, lognormal: Rival, cutoff: Rival) -> str:
    """Clauset, Shalizi and Newman: enough values, a fit that is not too bad, and no need of a rival."""
    if n_tail < MIN_TAIL:
        return UNDECIDABLE
    if p < LEVEL or (lognormal.z < 0 and lognormal.p < LEVEL) or cutoff.p < LEVEL:
        return CONTRADICTED
    fits = p > FITS and min(lognormal.bic, cutoff.bic) >= STRONG_BIC
    return SUPPORTED if fits else UNDECIDABLE


def answer(table: pl.DataFrame) -> str:
    """One line per run and class."""
    return "\n".join(_class_answer(key, group) for key, group in by_group(table, ("run", "token_class")))


def _class_answer(key: tuple[Any, ...], group: pl.DataFrame) -> str:
    run, token_class = key
    rows: Mapping[str, dict[str, Any]] = {row["law"]: row for row in group.iter_rows(named=True)}
    mixture, tail = rows[MIXTURE], rows["power_law"]
    head = f"- `{run}`, {token_class} tokens: specialist neurons are **{mixture['verdict']}**: {mixture['reason']}."
    if np.isnan(mixture["estimate"]):
        return head
    best = min(rows.values(), key=lambda row: float(row["estimate"]))
    words = f" Best by BIC: {best['law'].replace('_', ' ')}"
    if best["law"] == MIXTURE:
        words += f" (body: {best['mixture_body'].replace('_', ' ')})"
    words += f", in {100 * best['win_share']:.0f} % of the resamples. "
    enough = tail["tail_n"] >= MIN_TAIL
    words += f"A power law in the tail is **{tail['tail_verdict']}**: density exponent {tail['tail_alpha']:.2f} above "
    words += f"{tail['tail_xmin']:.3g} nats, {counted(tail['tail_n'], 'neuron')}"
    words += f", {p_text(tail['tail_p'], *P_FLOORS)}" if enough else f" (at least {MIN_TAIL} are needed)"
    if enough:
        words += f", BIC against a lognormal tail {tail['tail_delta_bic']:.2g}"
        words += f", against a cut-off {tail['tail_cutoff_delta_bic']:.2g}"
    return head + words + f" ({counted(mixture['n'], 'document')}, {counted(mixture['n_neurons'], 'neuron')})."


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The four best laws of every run and class."""
    columns = [
        *KEYS, "estimate", "low", "high", "n_parameters", "win_share", "vuong_z", "tail_exponent", "p_mixture",
        "verdict",
    ]  # fmt: skip
    ranked = table.sort("run", "token_class", "estimate")
    return ranked.group_by("run", "token_class", maintain_order=True).head(4).select(columns)


def _lead_of_mixture(table: pl.DataFrame) -> pl.DataFrame:
    """`Claim.findings`: by how much BIC prefers the component to the best smooth law; below 0, the smooth law."""
    rare = table.filter(pl.col("token_class") == "rare").sort("run", "estimate")
    smooth = rare.filter(pl.col("law") != MIXTURE).unique("run", keep="first", maintain_order=True)
    mixture = rare.filter(pl.col("law") == MIXTURE)
    both = smooth.join(mixture, on="run", how="left", suffix="_mixture", maintain_order="left")
    leads = pl.col("estimate_mixture") == 0
    ends = {"estimate": "estimate", "low": "high", "high": "low"}
    return both.with_columns(
        *(pl.when(leads).then(name).otherwise(-pl.col(f"{other}_mixture")).alias(name) for name, other in ends.items()),
        null=pl.lit(0.0), bar=pl.lit(0.0), q="q_mixture", reason="reason_mixture",
        remedy=pl.lit(None, dtype=pl.String),
    ).select(pl.col(name).cast(kind) for name, kind in FINDING.items())  # fmt: skip


ANALYSIS = Analysis(
    chapter="Influence",
    keys=KEYS,
    unit="nats",
    resampled="documents",
    columns=COLUMNS,
    chart=Chart("tail_laws", tables=("influence", "influence_tail")),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    claims=(
        Claim(
            "Specialist neurons form a component of their own",
            "arXiv 2505.12822",
            "BIC in favour of the component over the best smooth law",
            _lead_of_mixture,
        ),
    ),
    key_columns={"law": "The law that was fitted; `mixture` is a smooth law with a narrow component above it."},
    p_floors=P_FLOORS,
)
