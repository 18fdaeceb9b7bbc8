"""Are the states of a layer sparser at difficult tokens?

The sparsity of the residual stream after each layer is regressed on how difficult the token is: on its `loss` (nats),
on its `rarity` (minus the log of its frequency), on the loss with the rarity held fixed (`loss_given_rarity`), and on
the loss with the token held fixed that is read (`loss_given_token`: loss and sparsity less their means over the
positions that read the same token, where there are at least two).
`estimate` is the slope in standard deviations per standard deviation, so that measures and layers can be compared; a
simple regression's is the correlation. Signs are turned so that above 0 always means **sparser at difficult tokens**:
`hoyer`, `gini` and `top_p` (share of the energy in the p % largest components) rise with sparsity, `entropy_rank` and
`l0_share` (share of components that stand out) fall. Intervals and p leave out one document after the other (jackknife,
Student's t).

`raw` is the state as it is; `trimmed` leaves out the layer's five outlier dimensions, which can hold nearly all of
the energy whatever the token; `normed` is the state after the norm that reads it next.

`mean_slope` is the mean over the layers that were read, its interval over documents too, `q` corrected over all of a
run's; `layer_q` corrects `p` of a layer over the layers. **Supported**: q < 0.05 and the mean slope is above 0.
**Contradicted**: it is not, and its interval reaches 0, or lies below it, and ends below 0.05. Fewer than 10 documents
decide nothing. (A slope that is surely above 0 and below 0.05 is supported, and small.)

Caveats: a slope over tokens says nothing of causes: the token that is read differs too, and in early layers a state
says little else (of the default model's slope in layer 2 a fifth is left in `loss_given_token`). Where that predictor
and `loss` disagree, the slope on the loss is one between kinds of tokens. The loss is that of the next token, rarity
that of the token that decides about rare and common. Frequencies may come from a proxy.

Source: Jin et al. (2026), arXiv 2603.03415 (sparser states on difficult input); Hoyer (2004), JMLR 5, 1457;
MacKinnon, Nielsen and Webb (2023), J. Appl. Econometrics 38, 671 (jackknife over clusters).
"""

from typing import Any

import numpy as np
import polars as pl

from queries import Analysis, Chart, Claim, by_group, finding
from queries.shared.depth import LAYER
from queries.shared.sparsity_words import OVER, layers_read, sparsity_words
from queries.shared.tables import schema_of
from queries.stats.bootstrap import MIN_DOCUMENTS
from queries.stats.clustered_slopes import Array, slopes, without_each
from queries.stats.contrast import studentise
from queries.stats.nulls import benjamini_hochberg
from queries.stats.sparsity_verdict import decide_sparsity
from queries.stats.words import counted

KEYS = ("run", "variant", "predictor", "measure", "layer")
# Predictor -> prefix of its columns, and regressors beside the constant; the slope of the first is asked.
PREDICTORS = {
    "loss": ("", ("loss",)), "rarity": ("", ("rarity",)), "loss_given_rarity": ("", ("loss", "rarity")),
    "loss_given_token": ("within_", ("loss",)),
}  # fmt: skip
FALLS = ("entropy_rank", "l0_share")  # with sparsity
COLUMNS = {
    "n_positions": "Positions.",
    "slope": "The slope as it is, with its own sign: of the measure, per nat.",
    "p": "Two-sided p of no slope in this layer.",
    "layer_q": "Benjamini-Hochberg value of `p` over the layers.",
    "n_layers": "Layers that were read, of the `n_model_layers` of the model.",
    "n_model_layers": "Layers of the model; null where that is not known.",
    "mean_slope": "Mean of the estimates over the layers; the same in all of them.",
    "mean_low": "Low end of its 95 % interval.",
    "mean_high": "High end of its 95 % interval.",
    "mean_p": "Two-sided p of a mean slope of 0.",
    "q": "Its Benjamini-Hochberg value over variants, predictors and measures of the run.",
    "verdict": "Sparser at difficult tokens: `supported`, `contradicted` or `undecidable`.",
    "reason": "Why the verdict is what it is, or why there is no interval.",
}
SCHEMA = schema_of(KEYS, COLUMNS, counts=("layer", "n_positions", "n_layers", "n_model_layers"))


def estimate(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A row per run, variant, predictor, measure and layer; `n` counts documents. Nothing is drawn from `rng`."""
    del rng
    rows: list[dict[str, Any]] = []
    for (run,), group in by_group(frame, ("run",)):
        made = []
        for (variant, measure), part in by_group(group, ("variant", "measure")):
            keys = {"run": run, "variant": variant, "measure": measure}
            made += [_layers(part, keys, predictor) for predictor in PREDICTORS]
        q = benjamini_hochberg(np.array([rows_of[0]["mean_p"] for rows_of in made]))
        for rows_of, value in zip(made, q.tolist(), strict=True):
            rows += [{**row, "q": value, **_decided(row, value)} for row in rows_of]
    return pl.DataFrame(rows, schema=SCHEMA).sort(KEYS)


def _layers(part: pl.DataFrame, keys: dict[str, str], predictor: str) -> list[dict[str, Any]]:
    """The rows of all layers of one measure, with the mean over them."""
    documents = part["document"].unique().sort()
    turn = -1.0 if keys["measure"] in FALLS else 1.0
    rows: list[dict[str, Any]] = []
    every = []
    for (layer,), group in by_group(part, ("layer",)):
        products, targets, squares = _sums(group, documents, predictor)
        whole, without = without_each(products, targets, squares)
        if predictor == "loss_given_token":
            # a mean per type is taken off, which leaves less to vary: Cameron and Miller (2015), J. Human Resources 50
            free = float(group["within_free"].sum())
            widening = np.sqrt(products[:, 0, 0].sum() / free) if free > 0 else np.nan
            without = without.mean() + widening * (without - without.mean())
        every.append(turn * np.array([whole, *without]))
        n = group.height
        reason = _reason(n, every[-1])
        rows.append(
            {
                **keys, "predictor": predictor, "layer": layer, "estimate": turn * whole,
                **_interval(every[-1], reason), "n": n, "n_positions": int(products[:, 0, 0].sum()), "reason": reason,
                "slope": float(slopes(products.sum(axis=0), targets.sum(axis=0))),
            }
        )  # fmt: skip
    mean = np.mean(every, axis=0)
    whole_reason = next((row["reason"] for row in rows if row["reason"]), "")
    found = {f"mean_{name}": value for name, value in _interval(mean, whole_reason).items()}
    found |= {"mean_slope": float(mean[0]), "n_layers": len(rows), "n_model_layers": part["n_model_layers"][0]}
    layer_q = benjamini_hochberg(np.array([row["p"] for row in rows])).tolist()
    return [
        {**row, "reason": row["reason"] or whole_reason, "layer_q": value, **found}
        for row, value in zip(rows, layer_q, strict=True)
    ]


def _interval(values: Array, reason: str) -> dict[str, float]:
    """Ends and p of an estimate, from it and from what it is without each document, (1 + G,)."""
    if reason:
        return dict.fromkeys(("low", "high", "p"), float("nan"))
    found = studentise(values[:1], values[1:, None])
    return {"low": float(found.low[0]), "high": float(found.high[0]), "p": float(found.p[0])}


def _sums(group: pl.DataFrame, documents: pl.Series, predictor: str) -> tuple[Array, Array, Array]:
    """X'X (G, K, K), X'y (G, K) and y'y (G,) of each document."""
    prefix, names = PREDICTORS[predictor]
    place = documents.search_sorted(group["document"]).to_numpy()
    terms = ("n_positions", *names)  # the constant's products are counts and plain sums
    k = len(terms)
    products, targets = np.zeros((len(documents), k, k)), np.zeros((len(documents), k))
    squares = np.zeros(len(documents))
    ends = ["y", *(f"{one}_y" for one in names), "y_y"]
    pairs = [(i, j) for i in range(k) for j in range(i + 1)]
    inner = [terms[i] if j == 0 else f"{terms[j]}_{terms[i]}" for i, j in pairs]
    read = group.select(prefix + name for name in (*ends, *inner)).cast(pl.Float64).to_numpy()
    targets[place], squares[place] = read[:, :k], read[:, k]
    for (i, j), column in zip(pairs, read[:, k + 1 :].T, strict=True):
        products[place, i, j] = products[place, j, i] = column
    return products, targets, squares


def _reason(n_documents: int, values: Array) -> str:
    if n_documents < MIN_DOCUMENTS:
        return f"only {counted(n_documents, 'document')}; at least {MIN_DOCUMENTS} are needed"
    return "" if np.isfinite(values).all() and np.ptp(values) > 0 else "sparsity or difficulty does not vary"


def _decided(row: dict[str, Any], q: float) -> dict[str, str]:
    """The verdict and the reason; without an interval of the mean, why there is none."""
    if row["reason"]:
        return {"verdict": "undecidable"}
    verdict, why = decide_sparsity(row["n"], row["mean_slope"], row["mean_low"], row["mean_high"], q)
    return {"verdict": verdict, "reason": f"{why}{OVER}{layers_read(row)}"}


def answer(table: pl.DataFrame) -> str:
    """A line per run and predictor, by Hoyer's sparsity."""
    hoyer = table.filter(pl.col("measure") == "hoyer")
    return "\n".join(sparsity_words(key, group) for key, group in by_group(hoyer, ("run", "predictor")))


def excerpt(table: pl.DataFrame) -> pl.DataFrame:
    """The means over the layers, of the simple regression on the loss and, of Hoyer's sparsity, of the others."""
    first = table.unique(["run", "variant", "predictor", "measure"], keep="first", maintain_order=True)
    some = first.filter((pl.col("predictor") == "loss") | (pl.col("measure") == "hoyer"))
    keys = ["run", "variant", "predictor", "measure"]
    return some.select(*keys, "mean_slope", "mean_low", "mean_high", "q", "n", "n_positions", "verdict")


_MEAN = {"estimate": "mean_slope", "low": "mean_low", "high": "mean_high"}


def _claim(variant: str, words: str, predictor: str = "loss") -> Claim:
    found = finding(null="zero", names=_MEAN, variant=variant, predictor=predictor, measure="hoyer")
    return Claim(
        f"States are sparser at difficult tokens, {words}",
        "arXiv 2603.03415",
        "mean over layers of the standardised slope of Hoyer's sparsity on the loss",
        lambda table: found(table.with_columns(zero=pl.lit(0.0))),
    )


ANALYSIS = Analysis(
    chapter="Layers",
    keys=KEYS,
    unit="standard deviations per standard deviation",
    resampled="documents, left out in turn",
    columns=COLUMNS,
    chart=Chart(
        "depth",
        tables=("layer_sparsity",),
        options={
            "where": {"measure": "hoyer"},
            "panel": "predictor",
            "panels": {
                "loss": "on the loss",
                "loss_given_token": "on the loss, token read fixed",
                "rarity": "on rarity",
                "loss_given_rarity": "on the loss, rarity fixed",
            },
            "series": "variant",
            "names": {
                "raw": "whole state",
                "trimmed": "without outlier dimensions",
                "normed": "after the next norm",
            },
            "zero": 0.0,
            "caption": "Slopes of Hoyer's sparsity; above 0, states are sparser at difficult tokens.",
        },
    ),
    estimate=estimate,
    answer=answer,
    excerpt=excerpt,
    needs=("layer_tokens.hoyer", "tokens.loss"),
    claims=(
        _claim("raw", "as they are"),
        _claim("raw", "among positions that read the same token", "loss_given_token"),
        _claim("trimmed", "without outlier dimensions"),
    ),
    key_columns={
        "variant": "`raw` states, `trimmed`: without outlier dimensions, `normed`: after the norm that reads them.",
        "predictor": "What sparsity is regressed on: `loss`, `rarity`, `loss_given_rarity` or `loss_given_token`.",
        "measure": "Which measure of sparsity.",
        **LAYER,
    },
    subject="a pass over the layers",
    subject_from="rt extract --layers all",
)
